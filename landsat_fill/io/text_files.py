"""Writes the small files beside the rasters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from landsat_fill.io.atomic import PartialFile, cannot_write

if TYPE_CHECKING:
    from pathlib import Path


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file, as UTF-8, so that it is there whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    partial = PartialFile(path)
    try:
        partial.create()
        partial.lock()
        partial.path.write_bytes(content)
        partial.move_into_place()
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        partial.discard()


def append_line(path: Path, line: str) -> None:
    """Append a line to a file that several processes may append to: each line goes out in one write.

    Raises:
        OutputError: If it can't be written.
    """
    content = line.rstrip("\n").encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            written = os.write(descriptor, content)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from error
    if written != len(content):
        raise cannot_write(path, "the disk took part of a line only")
