"""Writes rasters window by window, and makes sure that every byte could be written."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

import numpy as np

from landsat_fill.errors import OutputError, cannot_write
from landsat_fill.io.atomic import Transaction, refuse_target
from landsat_fill.io.gdal import gdal_session, silence_libtiff
from landsat_fill.io.profile_files import YES, build_overviews, copy_cloud_optimized, create_dataset, gtiff_options
from landsat_fill.io.tiff_structure import tiff_blocks
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from landsat_fill.io.raster_profile import RasterProfile

    Store = Callable[[NDArray[np.generic], NDArray[np.bool_] | None, Window], None]


class BlockRows:
    """Passes on windows in any order. Strips from top to bottom are held until they make whole rows of blocks."""

    def __init__(self, height: int, width: int, block_height: int, store: Store) -> None:
        """Start with nothing held.

        Args:
            height: Rows of the raster.
            width: Columns of the raster.
            block_height: Rows of a block.
            store: Called with planes `(band, row, col)`, validity `(row, col)` or None, and their window.
        """
        self._height, self._width, self._block_height = height, width, block_height
        self._store = store
        self._first_row = 0  # of what is held, or of the next strip
        self._held: tuple[NDArray[np.generic], NDArray[np.bool_] | None] | None = None

    def put(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, window: Window) -> None:
        """Take the pixels of a window; the arrays may be changed afterwards."""
        held_rows = 0 if self._held is None else self._held[0].shape[1]
        if (window.row, window.col, window.width) != (self._first_row + held_rows, 0, self._width):
            self.flush()
            self._store(planes, valid, window)
            self._first_row = window.row + window.height
            return
        rows_to_block = -window.row % self._block_height
        if held_rows and 0 < rows_to_block < window.height:  # only the row of blocks that is held is copied
            for rows in (slice(0, rows_to_block), slice(rows_to_block, window.height)):
                part = Window(window.row + rows.start, 0, rows.stop - rows.start, self._width)
                self.put(planes[:, rows], None if valid is None else valid[rows], part)
            return
        if self._held is not None:
            planes = np.concatenate([self._held[0], planes], axis=1)
            if valid is not None and self._held[1] is not None:
                valid = np.concatenate([self._held[1], valid])
        end = window.row + window.height
        whole_end = end if end == self._height else end - end % self._block_height
        whole = max(whole_end - self._first_row, 0)
        if whole:
            where = Window(self._first_row, 0, whole, self._width)
            self._store(planes[:, :whole], None if valid is None else valid[:whole], where)
            self._first_row += whole
        rest = planes[:, whole:].copy(), None if valid is None else valid[whole:].copy()
        self._held = rest if rest[0].size else None

    def flush(self) -> None:
        """Store what is held."""
        if self._held is not None:
            planes, valid = self._held
            self._held = None
            self._store(planes, valid, Window(self._first_row, 0, planes.shape[1], self._width))
            self._first_row += planes.shape[1]


WRITING_OPTIONS = {
    # Without these, the mask and what a GeoTIFF can't hold would go to files beside the temporary one, which
    # stay behind when that is renamed.
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GDAL_PAM_ENABLED": "NO",
}

COPY_SUFFIX = ".cog.tif"
"""Ending of a cloud optimized copy until it replaces the file."""

ROOM_BYTES = 1 << 16
"""Free space that shows that the disk took all earlier writes."""


@contextmanager
def new_raster(
    target: Path,
    profile: RasterProfile,
    *,
    overwrite: bool = False,
    protected: Iterable[Path] = (),
    cog: bool | None = None,
    creation_options: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[RasterWriter]:
    """Yield the writer of a single file, which appears if the context ends without an error.

    Args:
        target: The file; a link is followed.
        profile: The profile of the file.
        overwrite: Whether an existing file may be replaced.
        protected: Files that must not be replaced, such as the input.
        cog: As of `RasterWriter`.
        creation_options: As of `RasterWriter`.
        tags: As of `RasterWriter`.

    Raises:
        TakenError: If another process is writing the file.
        OutputError: If the target is protected, exists already, or can't be written.
        UsageError: If creation options are wrong.
    """
    protected = tuple(protected)
    refuse_target(target, overwrite=overwrite, protected=protected)
    with Transaction(target, "Wait for it, or choose another name with --output.") as new:
        path = new.folder / new.target.name
        with RasterWriter(path, profile, cog=cog, creation_options=creation_options, tags=tags) as writer:
            yield writer
        refuse_target(target, overwrite=overwrite, protected=protected)


class RasterWriter:
    """Writes a GeoTIFF, as a context manager. After an error the file is incomplete.

    Strips of the raster's width, from top to bottom, are fast, because no block is compressed twice. Windows
    in any other order work too.
    """

    def __init__(
        self,
        path: Path,
        profile: RasterProfile,
        *,
        creation_options: Mapping[str, str] | None = None,
        cog: bool | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            path: The new file, in a staging folder.
            profile: The profile of the file.
            creation_options: The user's creation options, which take precedence over the profile's.
            cog: Whether to write a cloud optimized GeoTIFF; None means as in the profile.
            tags: Dataset tags in addition to those of the profile.
        """
        self._path = path
        self._profile = profile
        self._extra_options = {key.upper(): value for key, value in (creation_options or {}).items()}
        self._sparse = self._extra_options.get("SPARSE_OK", "YES" if profile.sparse else "NO").upper() in YES
        self._cog = profile.cloud_optimized if cog is None else cog
        self._tags = dict(tags or {})
        self._dataset: DatasetWriter | None = None
        self._rows: BlockRows | None = None

    def __enter__(self) -> Self:
        """Create the file.

        Raises:
            OutputError: If it can't be written.
            UsageError: If creation options are wrong.
        """
        # The options of a cloud optimized file belong to GDAL's COG driver, which copies the finished file.
        options = gtiff_options(self._profile, {} if self._cog else self._extra_options)
        try:
            self._path.touch()  # unlike GDAL, this gives the reason if it fails
            with gdal_session(**WRITING_OPTIONS):
                silence_libtiff()
                self._dataset = create_dataset(self._path, self._profile, options)
            block_height = self._dataset.block_shapes[0][0]
            self._rows = BlockRows(self._profile.height, self._profile.width, block_height, self._store)
        except BaseException as error:
            self._abandon()
            raise self._translated(error) from error
        return self

    def write(
        self,
        values: NDArray[np.generic],
        window: Window,
        *,
        valid: NDArray[np.bool_] | None = None,
        alpha: NDArray[np.generic] | None = None,
    ) -> None:
        """Write the pixels of a window.

        Args:
            values: Stored numbers of all bands but alpha, `(band, row, col)`.
            window: The window.
            valid: The dataset mask, `(row, col)`; None means valid everywhere. It also gives the opacity if
                the profile has an alpha band and `alpha` is None.
            alpha: Numbers of the alpha band, `(row, col)`, if the profile has one.

        Raises:
            OutputError: If the write fails.
        """
        if self._rows is None:
            raise RuntimeError("expected an entered RasterWriter, but got one outside its with block")
        expected = (self._profile.count - (self._profile.alpha is not None), window.height, window.width)
        if values.shape != expected:
            raise ValueError(f"expected values of shape {expected}, but got {values.shape}")
        planes = self._with_alpha(values, valid, alpha)
        if valid is None and self._profile.masked:
            valid = np.ones(planes.shape[1:], dtype=bool)
        try:
            self._rows.put(planes, valid if self._profile.masked else None, window)
        except Exception as error:
            raise self._translated(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or raise OutputError; after an error, only close it."""
        try:
            if error is None:
                self._finish()
            else:
                self._abandon()
        except BaseException as failure:
            self._abandon()
            raise self._translated(failure) from failure

    def _finish(self) -> None:
        if self._dataset is None or self._rows is None:
            return
        self._rows.flush()
        with gdal_session(**WRITING_OPTIONS):
            if self._tags:
                self._dataset.update_tags(**self._tags)
            self._dataset.close()
            self._refuse_unfinished(self._path)
            if self._cog:
                copy = self._path.with_name(self._path.name + COPY_SUFFIX)
                copy_cloud_optimized(self._path, copy, self._profile, self._extra_options)
                self._refuse_unfinished(copy)
                copy.replace(self._path)
            elif self._profile.overviews:
                build_overviews(self._path, self._profile)
                self._refuse_unfinished(self._path)

    def _refuse_unfinished(self, path: Path) -> None:
        """Raise OutputError if a deferred write of GDAL failed, which rasterio doesn't report.

        A full disk shows this, and so do blocks that are absent, overlap, or lie beyond the end of the file.
        """
        with path.open("r+b") as file:
            there = file.seek(0, os.SEEK_END)
            file.write(bytes(ROOM_BYTES))
            file.flush()
            os.fsync(file.fileno())
            file.truncate(there)
        blocks = tiff_blocks(path)
        if blocks is None or blocks.end > there or not blocks.disjoint or not (self._sparse or blocks.complete):
            raise cannot_write(self._path, f"only {there:,} bytes of it could be written")

    def _store(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, window: Window) -> None:
        """Write a window with GDAL."""
        from rasterio.windows import Window as RasterioWindow

        if self._dataset is None:
            return
        where = RasterioWindow(window.col, window.row, window.width, window.height)
        with gdal_session(**WRITING_OPTIONS):
            self._dataset.write(planes, window=where)
            if valid is not None:
                self._dataset.write_mask(valid, window=where)

    def _with_alpha(
        self, values: NDArray[np.generic], valid: NDArray[np.bool_] | None, alpha: NDArray[np.generic] | None
    ) -> NDArray[np.generic]:
        """Return the values with the alpha band inserted."""
        if self._profile.alpha is None:
            return values
        if alpha is None:
            opaque = np.iinfo(self._profile.dtype).max if values.dtype.kind in "iu" else 1.0
            alpha = np.where(np.ones(values.shape[1:], dtype=bool) if valid is None else valid, opaque, 0)
        planes: NDArray[np.generic] = np.insert(values, self._profile.alpha - 1, alpha.astype(values.dtype), axis=0)
        return planes

    def _abandon(self) -> None:
        """Close the file in any state; the first error is the one to report."""
        from rasterio.errors import RasterioError

        with suppress(RasterioError, OSError), gdal_session(**WRITING_OPTIONS):
            if self._dataset is not None:
                self._dataset.close()

    def _translated(self, error: BaseException) -> BaseException:
        """Return an OutputError for an error of GDAL or the disk, and any other error unchanged."""
        from rasterio.errors import RasterioError

        if isinstance(error, RasterioError | OSError) and not isinstance(error, OutputError):
            return cannot_write(self._path, error.__cause__ or error)
        return error
