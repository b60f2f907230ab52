"""Finds the blocks of a TIFF in its file, to detect truncated files.

New files are checked because GDAL defers writes, and rasterio doesn't report writes that fail on closing.
Inputs are checked because GDAL opens a truncated download like a complete file.

This module replaces `tifffile`, which takes four times as long per file and almost a second to import: a
batch of 3,000 inputs checks each of them before it starts.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


# Source: TIFF 6.0, sections 2, 8 and 15; BigTIFF as in libtiff's design document.
OFFSET_TAGS = (273, 324)
"""StripOffsets and TileOffsets."""
LENGTH_TAGS = (279, 325)
"""StripByteCounts and TileByteCounts."""
METADATA_TAG = 42112
"""GDAL_METADATA: XML text. Source: GDAL, GeoTIFF driver, "Metadata"."""
CLASSIC_VERSION, BIG_VERSION = 42, 43
NUMBER_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
"""SHORT, LONG, IFD, LONG8, IFD8."""
BROKEN = (OSError, struct.error, ValueError, MemoryError)
"""Errors raised for a file that isn't a complete TIFF."""


class TiffBlocks(NamedTuple):
    """The blocks of a TIFF's directories: image, mask and overviews.

    Attributes:
        big: Whether the file is a BigTIFF.
        extents: Offset and length in bytes of each block, `(block, 2)`, for each directory; both are 0 for a
            block that isn't stored.
    """

    big: bool
    extents: list[NDArray[np.uint64]]

    @property
    def end(self) -> int:
        """The first byte after the last block."""
        return max((int(blocks.sum(axis=1).max()) for blocks in self.extents if len(blocks)), default=0)

    @property
    def sparse(self) -> bool:
        """Whether some blocks of the image aren't stored."""
        return bool(self.extents) and bool((self.extents[0][:, 1] == 0).any())

    @property
    def complete(self) -> bool:
        """Whether every block of image, mask and overviews is stored."""
        return all(bool((blocks[:, 1] > 0).all()) for blocks in self.extents)

    @property
    def disjoint(self) -> bool:
        """Whether no two blocks overlap; they do if a write fails and GDAL continues."""
        present = np.concatenate(self.extents) if self.extents else np.zeros((0, 2), dtype=np.uint64)
        present = present[present[:, 1] > 0]
        ordered = present[np.argsort(present[:, 0])]
        return bool((ordered[:-1].sum(axis=1) <= ordered[1:, 0]).all())


def tiff_metadata(path: Path) -> str | None:
    """Return GDAL's XML metadata of a TIFF's first image, or None if the TIFF is incomplete.

    This is ten times as fast as opening the file with GDAL.
    """
    try:
        with path.open("rb") as file:
            tiff = _Directories(file)
            for tag, _, length, field in tiff.entries(tiff.first)[0]:
                if tag == METADATA_TAG:
                    return tiff.value(field, length).decode(errors="replace")
            return ""
    except BROKEN:
        return None


def tiff_blocks(path: Path) -> TiffBlocks | None:
    """Return the blocks of a local TIFF, or None if it is no TIFF or its directories are broken."""
    extents, seen = [], set()
    try:
        with path.open("rb") as file:
            tiff = _Directories(file)
            offset = tiff.first
            while offset and offset not in seen:
                seen.add(offset)
                blocks, offset = tiff.blocks(offset)
                extents.append(blocks)
            return TiffBlocks(tiff.pointer.endswith("Q"), extents)
    except BROKEN:
        return None


class _Directories:
    """The directories of an open TIFF. No read goes beyond the end of the file.

    Attributes:
        first: The offset of the first directory.
        pointer: The format of an offset, byte order included.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        order = {b"II": "<", b"MM": ">"}.get(self._read(0, 2), "")
        version = self._number(f"{order}H", 2) if order else None
        if version not in (CLASSIC_VERSION, BIG_VERSION):
            raise ValueError("no TIFF")
        self._order = order
        self.pointer = f"{order}{'Q' if version == BIG_VERSION else 'I'}"
        self.first = self._number(self.pointer, 8 if version == BIG_VERSION else 4)

    def _read(self, offset: int, length: int) -> bytes:
        if offset + length > self._size:
            raise ValueError(f"{length} bytes at {offset} in a file of {self._size}")
        self._file.seek(offset)
        return self._file.read(length)

    def _number(self, layout: str, offset: int) -> int:
        return int(struct.unpack(layout, self._read(offset, struct.calcsize(layout)))[0])

    def entries(self, offset: int) -> tuple[list[tuple[int, int, int, bytes]], int]:
        """Return tag, type, count and field of each entry of a directory, and the offset of the next or 0."""
        word = struct.calcsize(self.pointer)
        count_layout = f"{self._order}{'Q' if word == 8 else 'H'}"
        count = self._number(count_layout, offset)
        entry = struct.Struct(f"{self._order}HH{self.pointer[1]}{word}s")
        start = offset + struct.calcsize(count_layout)
        table = self._read(start, count * entry.size)
        return list(entry.iter_unpack(table)), self._number(self.pointer, start + len(table))

    def value(self, field: bytes, length: int) -> bytes:
        """Return the bytes of a tag, stored in its field or at the offset in that field."""
        if length <= len(field):
            return field[:length]
        return self._read(struct.unpack(self.pointer, field)[0], length)

    def blocks(self, offset: int) -> tuple[NDArray[np.uint64], int]:
        """Return the block extents of one directory, and the offset of the next or 0."""
        entries, following = self.entries(offset)
        extents = [np.zeros(0, dtype=np.uint64)] * 2
        for tag, kind, count, field in entries:
            for column, tags in enumerate((OFFSET_TAGS, LENGTH_TAGS)):
                if tag in tags:
                    if kind not in NUMBER_TYPES:
                        raise ValueError(f"block tags of type {kind}")
                    dtype = np.dtype(self._order + NUMBER_TYPES[kind])
                    extents[column] = np.frombuffer(self.value(field, count * dtype.itemsize), dtype)
        return np.stack(extents, axis=1).astype(np.uint64), following
