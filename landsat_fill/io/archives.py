"""Lists the files of a product in a folder or an archive, and copies some of them.

Each file has the path by which GDAL opens it. In an archive, that is a path of a virtual file system. GDAL has none
for bzip2 and xz, so these archives are unpacked into the folder for temporary files.
Source: GDAL documentation, "Virtual File Systems", /vsizip/, /vsitar/, /vsigzip/ and /vsisubfile/.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from landsat_fill.errors import InputError
from landsat_fill.io.usgs_names import GZIP_SUFFIX, VRT_SUFFIX, FileKind, read_name, without_gzip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*COMPRESSED_SUFFIXES, ".tar", ".zip")
"""Endings of archives."""

_GZIP_MAGIC = b"\x1f\x8b"
_UNPACKED_MAGIC = (b"BZh", b"\xfd7zXZ")
"""The first bytes of bzip2 and xz files."""
_LONGEST_NAME = 100
"""Characters of a member's name that are kept where it is unpacked."""
_LONG_NAME_BYTES = 100
_LARGEST_TEXT_BYTES = 256 << 10
"""Largest number of bytes read from an MTL file. Real ones have up to 65,536; an archive may hold hundreds of files."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError)
"""Errors of the standard library for a file that is truncated, encrypted or no archive."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a product.

    Attributes:
        name: Path inside the folder or archive, with `/` and without the `.gz` of a gzipped raster.
        dataset: The path that GDAL opens.
        stored: Path inside as it is stored, for `copy_members`.
        text: Content of an MTL file; None for other files.
    """

    name: str
    dataset: str
    stored: str
    text: str | None = None


def is_archive(path: Path) -> bool:
    """Return whether a file is named like an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_stem(path: Path) -> str:
    """Return an archive's name without its ending."""
    ending = next((suffix for suffix in ARCHIVE_SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)]


def list_members(source: Path, *, unpack: bool = True) -> list[Member]:
    """Return the files of an archive, or of a folder and its gap_mask sub-folders, except those named .vrt.

    Without `unpack`, the files of a bzip2 or xz archive have only names.

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
                _in_zip(source) if zipfile.is_zipfile(source) else _in_tar(source, unpack=unpack),
                key=lambda member: member.name,
            )
    except _BROKEN as error:
        raise _broken(source, error) from error
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
                yield _member(name, name, str(path.absolute()), partial(FileIO, path))


def _in_zip(source: Path) -> list[Member]:
    prefix = f"/vsizip/{_quoted(source, '.zip')}/"
    with zipfile.ZipFile(source) as archive:
        if not all(info.filename for info in archive.infolist()):
            raise zipfile.BadZipFile("a file in it has no name")
        return [
            _member(
                _without_dot(info.filename),
                info.filename,
                prefix + _without_dot(info.filename),
                partial(archive.open, info),
            )
            for info in archive.infolist()
            if not info.is_dir()
        ]


def _in_tar(source: Path, *, unpack: bool) -> list[Member]:
    with source.open("rb") as file:
        first = file.read(max(map(len, _UNPACKED_MAGIC)))
    if first.startswith(_UNPACKED_MAGIC) and not unpack:
        with tarfile.open(source, "r|*") as stream:
            return [Member(_without_dot(info.name), "", info.name) for info in stream if info.isfile()]
    if first.startswith(_UNPACKED_MAGIC):
        return [
            _member(_without_dot(stored), stored, str(path), partial(FileIO, path))
            for stored, path in _unpacked(source).items()
        ]
    is_gzipped = first.startswith(_GZIP_MAGIC)
    with tarfile.open(source, "r:gz" if is_gzipped else "r:") as archive:
        members = [
            _member(
                _without_dot(info.name),
                info.name,
                _in_tar_for_gdal(source, info, is_gzipped),
                partial(archive.extractfile, info),
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

    /vsitar/ needs an archive name with the right ending, and doesn't find members whose long or non-ASCII name is in
    a pax header. These members are opened as a range of bytes of the archive.
    """
    path, name = str(source.absolute()), _without_dot(info.name)
    is_named_gzipped = path.lower().endswith((".tar.gz", ".tgz"))
    if is_gzipped == is_named_gzipped and len(name) < _LONG_NAME_BYTES and name.isascii():
        return f"/vsitar/{_quoted(source, '.tar', '.tar.gz', '.tgz')}/{name}"
    return f"/vsisubfile/{info.offset_data}_{info.size},{'/vsigzip/' if is_gzipped else ''}{path}"


_kept: dict[tuple[Path, int, int], tuple[tempfile.TemporaryDirectory[str], dict[str, Path]]] = {}
"""The archives that this process has unpacked, by path, size and time: the folder, and the files by stored path."""


def _unpacked(source: Path) -> dict[str, Path]:
    """Return the files of a bzip2 or xz archive by stored path, unpacked at the first call.

    Raises:
        InputError: If the folder for temporary files has no room for them.
    """
    stat = source.stat()
    key = source.resolve(), stat.st_size, stat.st_mtime_ns
    if key not in _kept:
        folder = tempfile.TemporaryDirectory(prefix="landsat-fill-", ignore_cleanup_errors=True)
        files: dict[str, Path] = {}
        try:
            with tarfile.open(source, "r|*") as archive:
                for info in archive:
                    if not info.isfile() or info.name in files:
                        continue
                    name = re.sub(r"[^\w.-]", "_", PurePosixPath(info.name).name, flags=re.ASCII)[-_LONGEST_NAME:]
                    files[info.name] = path = Path(folder.name, f"{len(files)}_{name}")
                    _copy(cast("IO[bytes]", archive.extractfile(info)), path, info.size)
        except BaseException as error:
            folder.cleanup()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise InputError(
                    f"expected room to unpack {source} in {tempfile.gettempdir()}, but got a full disk",
                    hint="Set TMPDIR to a folder on a larger disk, or unpack the archive yourself.",
                ) from error
            raise
        _kept[key] = folder, files
    return _kept[key][1]


def forget_unpacked(*, but: Path | None = None) -> None:
    """Remove the unpacked files of all archives except one."""
    for key in [key for key in _kept if but is None or key[0] != but.resolve()]:
        _kept.pop(key)[0].cleanup()


def copy_members(source: Path, targets: Mapping[str, Path]) -> None:
    """Copy files of a folder or an archive byte for byte; `targets` maps stored paths to the new files.

    Raises:
        InputError: If a file can't be read.
        OSError: If a file can't be written.
    """
    for path in {path.parent for path in targets.values()}:
        path.mkdir(parents=True, exist_ok=True)
    with _reported(source):
        if source.is_dir():
            _copy_files({source / stored: path for stored, path in targets.items()})
            return
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for stored, path in targets.items():
                    _copy(archive.open(stored), path, archive.getinfo(stored).file_size)
            return
        with source.open("rb") as file:
            is_unpacked = file.read(max(map(len, _UNPACKED_MAGIC))).startswith(_UNPACKED_MAGIC)
        if is_unpacked:
            files = _unpacked(source)
            _copy_files({files[stored]: path for stored, path in targets.items()})
            return
        with tarfile.open(source, "r|*") as stream:
            left = dict(targets)
            for info in stream:
                if info.isfile() and (wanted := left.pop(info.name, None)) is not None:
                    _copy(cast("IO[bytes]", stream.extractfile(info)), wanted, info.size)
                if not left:
                    return


@contextmanager
def _reported(source: Path) -> Iterator[None]:
    """Raise InputError for errors of a broken archive."""
    try:
        yield
    except _BROKEN as error:
        raise _broken(source, error) from error


def _broken(source: Path, error: Exception) -> InputError:
    return InputError(
        f"expected a complete .tar, .tar.gz, .tar.bz2, .tar.xz or .zip archive, but got {source}: {error}",
        hint="Download it again: it may be truncated, or no archive.",
    )


def _copy_files(targets: Mapping[Path, Path]) -> None:
    for path, target in targets.items():
        try:
            content = path.open("rb")
        except OSError as error:
            raise InputError(
                f"expected to read {path}, but got: {error.strerror}",
                hint="Check its permissions, or leave out the product's other files with --bands-only.",
            ) from error
        _copy(content, target, path.stat().st_size)


def _copy(content: IO[bytes], target: Path, size: int) -> None:
    """Write a file; raise OSError before anything is written if its size exceeds the free space."""
    with content, target.open("xb") as file:
        if size > shutil.disk_usage(target.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        while block := _read(content, target.name):
            file.write(block)


def _read(content: IO[bytes], name: str) -> bytes:
    """Return the next bytes of a file; raise InputError if that fails, unlike a failed write."""
    try:
        return content.read(1 << 20)
    except OSError as error:
        raise InputError(
            f"expected to read {name}, but got: {error.strerror or error}",
            hint="Copy it again, or leave out the product's other files with --bands-only.",
        ) from error


def _member(name: str, stored: str, dataset: str, opened: Callable[[], IO[bytes] | None]) -> Member:
    """Return the member, with its text if it is an MTL file."""
    facts = read_name(name)
    if facts is not None and facts.kind is FileKind.METADATA and (content := opened()) is not None:
        with content as file:
            return Member(name, dataset, stored, file.read(_LARGEST_TEXT_BYTES).decode("utf-8", errors="replace"))
    if facts is not None and name.lower().endswith(GZIP_SUFFIX):
        return Member(without_gzip(name), f"/vsigzip/{dataset}", stored)
    return Member(name, dataset, stored)


def _without_dot(name: str) -> str:
    """Return a member's path without a leading `./`."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _quoted(source: Path, *suffixes: str) -> str:
    """Return an archive's path for GDAL: in braces unless its name has one of the suffixes."""
    path = str(source.absolute())
    return path if path.lower().endswith(suffixes) else f"{{{path}}}"
