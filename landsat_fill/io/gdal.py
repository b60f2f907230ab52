"""Opens datasets through GDAL so that what goes wrong is an error of ours, never noise on the terminal."""

from __future__ import annotations

import logging
import os
import re
import shlex
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader


BLOCK_CACHE_MB = 128
"""GDAL's block cache. Its default of 5 % of the machine's memory would be charged to us on a large machine;
strips are read and written once, top to bottom, so a few block rows are all that is ever reused."""


@contextmanager
def gdal_session(**options: str) -> Iterator[None]:
    """Run GDAL calls with every core decompressing and its messages kept off the terminal.

    GDAL's settings and its error handler belong to a thread, so every call into GDAL enters a session of its
    own, in whatever thread it is made.

    Args:
        options: Further GDAL configuration options.
    """
    import rasterio

    # GDAL reads this once, at its first block. A value the user has set wins.
    os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_MB))
    # Without any handler, Python prints rasterio's warnings to stderr.
    logger = logging.getLogger("rasterio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    # GDAL would leave a `.properties` file beside every .tar.gz, on closing too, so outside of sessions.
    os.environ.setdefault("CPL_VSIL_GZIP_WRITE_PROPERTIES", "NO")
    # The user's number wins: a task on a cluster has fewer cores than the machine.
    defaults = {
        "GDAL_NUM_THREADS": os.environ.get("GDAL_NUM_THREADS", "ALL_CPUS"),
        # Side files are asked for by name. To find them GDAL else lists the folder each time it opens one of
        # its files: in one of 20,000 that is half of what opening takes.
        "GDAL_DISABLE_READDIR_ON_OPEN": os.environ.get("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"),
    }
    with rasterio.Env(**defaults | options):
        yield


OTHER_ARCHIVES = (".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar", ".lz4", ".tar.z")
"""How the names of archives end that GDAL can't read in place."""

PIXEL_FORMATS = (
    "GTiff", "COG", "LIBERTIFF", "HFA", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JPEG", "JPEGXL", "PNG",
    "WEBP", "GIF", "BIGGIF", "BMP", "PNM", "SGI", "ENVI", "EHdr", "BIL", "ERS", "LAN", "netCDF", "HDF4",
    "HDF4Image", "HDF5", "HDF5Image", "GRIB", "NITF", "KEA", "PCIDSK", "PCRaster", "ILWIS", "RST", "SAGA",
    "AAIGrid", "GRASSASCIIGrid", "GSAG", "GSBG", "GS7BG", "XYZ", "R", "RMF", "GPKG", "Zarr", "DTED",
    "SRTMHGT", "GXF", "AIG",
)  # fmt: skip
"""Formats of files that hold their own pixels. Others, VRT and WMS for two, name files and addresses to read
from, so that a download of that content could send anything into the output."""

_NAMES_FORMAT = re.compile(r"[A-Za-z][A-Za-z0-9_]+:(?!//)")


def drivers_for(source: str) -> list[str] | None:
    """Return the formats that GDAL may find in a file, or None for any, where the user names the format.

    A VRT is one only where it is called so.
    """
    if _NAMES_FORMAT.match(source) and not is_local(source):
        return None
    return [*PIXEL_FORMATS, "VRT"] if source.lower().endswith(".vrt") else [*PIXEL_FORMATS]


def is_local(source: str) -> bool:
    """Return whether `source` is a path on this machine, rather than a URL or a `/vsi…` path."""
    return "://" not in source and not source.startswith("/vsi") and Path(source).exists()


def not_permitted(path: Path) -> InputError:
    """Return the error of a file or folder that may not be read."""
    return InputError(
        f"expected to be let read {path}, but got: permission denied",
        hint="Change its permissions (chmod), or ask its owner to.",
    )


def open_dataset(source: str) -> DatasetReader:
    """Return an open dataset.

    Args:
        source: A path, a URL, or anything else that GDAL opens.

    Raises:
        InputError: If there is nothing there, or nothing that GDAL can read.
    """
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    _refuse_what_is_no_file(source)
    # Listing the folder of a URL to find side files costs many requests, or is refused.
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if "://" in source or "/vsicurl" in source else {}
    try:
        with gdal_session(**options), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = _opened(source)
    except (RasterioError, ValueError, OSError) as error:
        raise InputError(
            f"expected a raster that GDAL can read, but got {source}: {_reason(error, source)}",
            hint=_hint(error, source),
        ) from error
    if dataset.count == 0:
        inner = tuple(dataset.subdatasets)
        dataset.close()
        raise InputError(
            f"expected a raster with bands, but got {source}, which holds none itself",
            hint=f"Name one of its {len(inner)} subdatasets, for example {shlex.quote(inner[0])}"
            if inner
            else None,
        )
    return dataset


def _opened(source: str) -> DatasetReader:
    """Return what rasterio opens, if it has one of the formats that it may have."""
    import rasterio
    from rasterio._path import _parse_path
    from rasterio.io import DatasetReader as Reader

    drivers = drivers_for(source)
    if drivers is None or "://" in source:  # rasterio.open knows how to log in to clouds
        dataset = rasterio.open(source)
        if drivers is not None and dataset.driver not in drivers:
            dataset.close()
            raise OSError(
                f"a {dataset.driver} file names others to read from, and is opened as a .vrt file only"
            )
        return dataset
    return Reader(_parse_path(source), driver=drivers)


def _refuse_what_is_no_file(source: str) -> None:
    """Raise InputError for a plain path to nothing, to a folder or to an empty file."""
    if "://" in source or source.startswith("/vsi"):
        return
    path = Path(source)
    if path.is_dir():
        raise InputError(
            f"expected a raster file, but got the folder {source}",
            hint="Give a file inside it, or a folder that holds a USGS or ESPA product.",
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"expected a raster file, but got {source}, which is empty (0 bytes)")
    # What isn't a path may still be a name that GDAL knows: `NETCDF:file.nc:variable`.
    if not path.exists() and ":" not in source:
        raise InputError(
            f"expected a raster file, but there is no {source}", hint="Check the path for a slip of the pen."
        )


def _hint(error: Exception, source: str) -> str:
    """Return what to do about a file that GDAL can't read."""
    name, text = Path(source).name.lower(), str(error)
    if any(name.endswith(suffix) for suffix in OTHER_ARCHIVES):
        return "Unpack it first: archives are read in place if they are .tar, .tar.gz, .tgz or .zip."
    if "data file" in text.lower() or name.endswith(".hdr"):
        return (
            "This is the header of a raster: name the data file beside it, often the same name without .hdr."
        )
    if "permission denied" in text.lower():
        return not_permitted(Path(source)).hint or ""
    return (
        "Check that the file is complete and is an image: a download that was cut off, "
        "or a page of text saved under a raster's name, reads like this."
    )


def _reason(error: Exception, source: str) -> str:
    """Return GDAL's own words, without the file name that it repeats."""
    text = str(error)
    for name in (source, Path(source).name):
        text = text.replace(f"'{name}' ", "").replace(f"{name}:", "")
    return text.strip().rstrip(".") or type(error).__name__
