"""Lists the files of a product in a folder or an archive, without unpacking it.

Each file has the path by which GDAL opens it, in an archive through a virtual file system.
Source: GDAL documentation, "Virtual File Systems", /vsizip/, /vsitar/, /vsigzip/ and /vsisubfile/.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from landsat_fill.errors import InputError
from landsat_fill.io.usgs_names import GZIP_SUFFIX, VRT_SUFFIX, FileKind, read_name, without_gzip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
"""Endings of archives that GDAL reads in place."""

_GZIP_MAGIC = b"\x1f\x8b"
_LONG_NAME_BYTES = 100
_LARGEST_TEXT_BYTES = 256 << 10
"""Bytes read of an MTL file; they have up to 65,536, and an archive may hold hundreds."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError)
"""Errors of the standard library for a file that is truncated, encrypted or no archive."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a product.

    Attributes:
        name: Path inside the folder or archive, with `/` and without the `.gz` of a gzipped raster.
        dataset: The path that GDAL opens.
        text: Content of an MTL file; None for other files.
    """

    name: str
    dataset: str
    text: str | None = None


def is_archive(path: Path) -> bool:
    """Return whether a file is named like an archive that GDAL reads in place."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_stem(path: Path) -> str:
    """Return an archive's name without its ending."""
    ending = next((suffix for suffix in ARCHIVE_SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)]


def list_members(source: Path) -> list[Member]:
    """Return the files of an archive, or of a folder and its gap_mask sub-folders, without those named .vrt.

    Raises:
        InputError: If the source is missing, unreadable or no archive.
    """
    if not source.exists():
        raise InputError(f"expected a product at {source}, but got nothing there", hint="Check the path.")
    try:
        if source.is_dir():
            members = list(_in_folder(source))
        else:
            members = sorted(
                _in_zip(source) if zipfile.is_zipfile(source) else _in_tar(source), key=lambda member: member.name
            )
    except _BROKEN as error:
        raise InputError(
            f"expected a complete .tar, .tar.gz or .zip archive, but got {source}: {error}",
            hint="Download it again: it may be truncated, or no archive.",
        ) from error
    except OSError as error:
        raise InputError(
            f"expected to read {error.filename or source}, but got: {error.strerror or error}",
            hint="Check its permissions.",
        ) from error
    return [member for member in members if not member.name.lower().endswith(VRT_SUFFIX)]


def _in_folder(folder: Path) -> Iterator[Member]:
    gap_folders = (sub for sub in folder.iterdir() if sub.is_dir() and sub.name.lower().startswith("gap_mask"))
    for place in (folder, *sorted(gap_folders)):
        for path in sorted(place.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                name = path.relative_to(folder).as_posix()
                yield _member(name, str(path.absolute()), partial(FileIO, path))


def _in_zip(source: Path) -> list[Member]:
    prefix = f"/vsizip/{_quoted(source, '.zip')}/"
    with zipfile.ZipFile(source) as archive:
        return [
            _member(_without_dot(info.filename), prefix + _without_dot(info.filename), partial(archive.open, info))
            for info in archive.infolist()
            if not info.is_dir()
        ]


def _in_tar(source: Path) -> list[Member]:
    with source.open("rb") as file:
        is_gzipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    with tarfile.open(source, "r:gz" if is_gzipped else "r:") as archive:
        members = [
            _member(
                _without_dot(info.name), _in_tar_for_gdal(source, info, is_gzipped), partial(archive.extractfile, info)
            )
            for info in archive
            if info.isfile()
        ]
        # tarfile doesn't check whether the zero block at the end is there.
        if not is_gzipped and source.stat().st_size - archive.offset < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it is truncated between two files")
    return members


def _in_tar_for_gdal(source: Path, info: tarfile.TarInfo, is_gzipped: bool) -> str:
    """Return the path that GDAL opens for a member of a tar.

    /vsitar/ needs an archive name with the right ending, and can't find members whose long or non-ASCII name
    is in a pax header. GDAL opens such members as a range of bytes of the archive.
    """
    path, name = str(source.absolute()), _without_dot(info.name)
    is_named_gzipped = path.lower().endswith((".tar.gz", ".tgz"))
    if is_gzipped == is_named_gzipped and len(name) < _LONG_NAME_BYTES and name.isascii():
        return f"/vsitar/{_quoted(source, '.tar', '.tar.gz', '.tgz')}/{name}"
    return f"/vsisubfile/{info.offset_data}_{info.size},{'/vsigzip/' if is_gzipped else ''}{path}"


def _member(name: str, dataset: str, opened: Callable[[], IO[bytes] | None]) -> Member:
    """Return the member, with its text if it is an MTL file."""
    facts = read_name(name)
    if facts is not None and facts.kind is FileKind.METADATA and (content := opened()) is not None:
        with content as file:
            return Member(name, dataset, file.read(_LARGEST_TEXT_BYTES).decode("utf-8", errors="replace"))
    if facts is not None and name.lower().endswith(GZIP_SUFFIX):
        return Member(without_gzip(name), f"/vsigzip/{dataset}")
    return Member(name, dataset)


def _without_dot(name: str) -> str:
    """Return a member's path without a leading `./`."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _quoted(source: Path, *suffixes: str) -> str:
    """Return an archive's path for GDAL: in braces unless its name has one of the suffixes."""
    path = str(source.absolute())
    return path if path.lower().endswith(suffixes) else f"{{{path}}}"
