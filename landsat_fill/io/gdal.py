"""Opens datasets through GDAL, and turns GDAL's messages into errors of this package."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shlex
import sys
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader


BLOCK_CACHE_MB = 128
"""GDAL's block cache. The default, 5 % of the memory, is wasteful on a large machine: strips are read and
written once, from top to bottom, and only a few rows of blocks are reused."""


@contextmanager
def gdal_session(**options: str) -> Iterator[None]:
    """Run GDAL calls with all cores for decompression and without messages on the terminal.

    GDAL's settings and error handler belong to one thread, so each call into GDAL enters its own session.

    Args:
        options: Further GDAL configuration options.
    """
    import rasterio

    _lose_undecodable_messages()
    # The user's values of these options take precedence. GDAL reads the first one only once.
    os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_MB))
    # Otherwise GDAL leaves a `.properties` file beside every .tar.gz, even on closing outside a session.
    os.environ.setdefault("CPL_VSIL_GZIP_WRITE_PROPERTIES", "NO")
    # Without any handler, Python prints rasterio's warnings to stderr.
    logger = logging.getLogger("rasterio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    defaults = {
        # On a cluster, a task has fewer cores than the machine.
        "GDAL_NUM_THREADS": "1" if _is_short_of_room() else os.environ.get("GDAL_NUM_THREADS", "ALL_CPUS"),
        # GDAL looks for side files by name instead of listing the folder at each opening, which takes half
        # the time in a folder of 20,000 files.
        "GDAL_DISABLE_READDIR_ON_OPEN": os.environ.get("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"),
    }
    with rasterio.Env(**defaults | options):
        yield


ROOM_FOR_THREADS_BYTES = 2 << 30
"""Address space that GDAL's threads may take: on each core, 8 MiB of stack and 64 MiB of malloc's arena."""


@cache
def _is_short_of_room() -> bool:
    """Return whether `ulimit -v` may refuse threads: GDAL waits forever for one that it couldn't start."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # Windows, macOS
        return False
    return limit not in (resource.RLIM_INFINITY, -1) and limit - used < ROOM_FOR_THREADS_BYTES


@cache
def _lose_undecodable_messages() -> None:
    """Let messages of GDAL that aren't UTF-8 be lost: rasterio can't log them, and Python would print a traceback."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda seen: None if isinstance(seen.exc_value, UnicodeDecodeError) else before(seen)


@cache
def silence_libtiff() -> None:
    """Stop libtiff from printing errors of writes on standard error: GDAL reports them, too."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8", errors="replace").splitlines() if maps.exists() else []
    for path in {line.split()[-1] for line in lines if "/libtiff" in line}:
        ctypes.CDLL(path).TIFFSetErrorHandler(None)


UNREADABLE_ARCHIVES = (".bz2", ".xz", ".zst", ".7z", ".rar", ".lz4", ".tar.z")
"""Endings of archives and compressed files that can't be read."""

PIXEL_FORMATS = (
    "GTiff", "COG", "LIBERTIFF", "HFA", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JPEG", "JPEGXL", "PNG",
    "WEBP", "GIF", "BIGGIF", "BMP", "PNM", "SGI", "ENVI", "EHdr", "BIL", "ERS", "LAN", "netCDF", "HDF4",
    "HDF4Image", "HDF5", "HDF5Image", "GRIB", "NITF", "KEA", "PCIDSK", "PCRaster", "ILWIS", "RST", "SAGA",
    "AAIGrid", "GRASSASCIIGrid", "GSAG", "GSBG", "GS7BG", "XYZ", "R", "RMF", "GPKG", "Zarr", "DTED",
    "SRTMHGT", "GXF", "AIG",
)  # fmt: skip
"""Formats of files that hold their own pixels. Others, such as VRT and WMS, refer to files and addresses, so
that a downloaded one could copy any file into the output."""

_NAMES_FORMAT = re.compile(r"[A-Za-z][A-Za-z0-9_]+:(?!//)")


def gdal_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the exceptions of GDAL (some aren't RasterioErrors) and others to catch with them.

    rasterio decodes all texts of a file as UTF-8.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    return RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError, *others


def drivers_for(source: str) -> list[str] | None:
    """Return the formats that GDAL may use for a file; None means any, because the user named the format.

    VRT is allowed only for a file named `.vrt`.
    """
    if _NAMES_FORMAT.match(source) and not is_local(source):
        return None
    return [*PIXEL_FORMATS, "VRT"] if source.lower().endswith(".vrt") else [*PIXEL_FORMATS]


def is_remote(source: str) -> bool:
    """Return whether `source` is a URL or a `/vsi…` path."""
    return "://" in source or source.startswith("/vsi")


def is_local(source: str) -> bool:
    """Return whether `source` is the path of something on this machine."""
    return not is_remote(source) and Path(source).exists()


def not_permitted(path: Path) -> InputError:
    """Return the error for a file or folder without read permission."""
    return InputError(
        f"expected to read {path}, but got: permission denied",
        hint="Change its permissions (chmod), or ask its owner to do so.",
    )


def open_dataset(source: str) -> DatasetReader:
    """Return the open dataset of a path, a URL or another name that GDAL opens.

    Raises:
        InputError: If the file is missing, or GDAL can't read it.
    """
    from rasterio.errors import NotGeoreferencedWarning

    _check_is_file(source)
    # Listing the folder of a URL costs many requests, or is refused.
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if "://" in source or "/vsicurl" in source else {}
    try:
        with gdal_session(**options), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = _opened(source)
            if "JPEG" in dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", ""):
                # With several threads, GDAL 3.10 loses errors of libjpeg, and damaged blocks come as partly 0.
                dataset.close()
                with gdal_session(**options, GDAL_NUM_THREADS="1"):
                    dataset = _opened(source)
    except gdal_errors(ValueError) as error:
        raise InputError(
            f"expected a raster that GDAL can read, but got {source}: {_reason(error, source)}",
            hint=_hint(error, source),
        ) from error
    if dataset.count == 0:
        inner = tuple(dataset.subdatasets)
        dataset.close()
        raise InputError(
            f"expected a raster with bands, but got {source}, which has none of its own",
            hint=f"Name one of its {len(inner)} subdatasets, for example {shlex.quote(inner[0])}" if inner else None,
        )
    return dataset


def _opened(source: str) -> DatasetReader:
    """Return the open dataset, if its format is allowed."""
    import rasterio
    from rasterio._path import _parse_path
    from rasterio.io import DatasetReader as Reader

    drivers = drivers_for(source)
    if drivers is None or "://" in source:  # only rasterio.open logs in to cloud storage
        dataset = rasterio.open(source)
        if drivers is not None and dataset.driver not in drivers:
            dataset.close()
            raise OSError(f"a {dataset.driver} file refers to other files; only one named .vrt is opened")
        return dataset
    return Reader(_parse_path(source), driver=drivers)


def _check_is_file(source: str) -> None:
    """Raise InputError for a local path that is missing, a folder, an empty file, or not UTF-8."""
    try:
        source.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"expected a name in UTF-8, but got {source}", hint="Rename it: GDAL opens no other names."
        ) from None
    if is_remote(source):
        return
    path = Path(source)
    if path.is_dir():
        raise InputError(
            f"expected a raster file, but got the folder {source}",
            hint="Give a file inside it, or a folder that holds a USGS or ESPA product.",
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"expected a raster file, but got {source}, which is empty (0 bytes)")
    # GDAL also opens names that are no paths: `NETCDF:file.nc:variable`.
    if not path.exists() and ":" not in source:
        raise InputError(f"expected a raster file, but there is no {source}", hint="Check the path.")


def _hint(error: Exception, source: str) -> str:
    """Return the hint for a file that GDAL can't read."""
    name, text = Path(source).name.lower(), str(error)
    if name.endswith(UNREADABLE_ARCHIVES):
        return "Unpack it first: archives are read if they are .tar, .tar.gz, .tar.bz2, .tar.xz or .zip."
    if "data file" in text.lower() or name.endswith(".hdr"):
        return "Name the data file beside this header, often the same name without .hdr."
    if "permission denied" in text.lower():
        return not_permitted(Path(source)).hint or ""
    return (
        "Check that the file is a complete image: it may be a truncated download, or a web page saved under "
        "a raster's name."
    )


def _reason(error: Exception, source: str) -> str:
    """Return GDAL's message without the file name."""
    text = str(error)
    for name in (source, Path(source).name):
        text = text.replace(f"'{name}' ", "").replace(f"{name}:", "")
    return text.strip().rstrip(".") or type(error).__name__
