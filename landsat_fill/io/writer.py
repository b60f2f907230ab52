"""Writes rasters window by window, and makes sure that every byte could be written."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import numpy as np

from landsat_fill.errors import OutputError, cannot_write
from landsat_fill.io.atomic import Transaction, refuse_target
from landsat_fill.io.gdal import gdal_session
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
    """Takes windows in any order and hands them on; strips from top to bottom go on in whole rows of blocks.

    At most one row of blocks is held at any time.
    """

    def __init__(self, height: int, width: int, block_height: int, store: Store) -> None:
        """Prepare an empty buffer.

        Args:
            height: Rows of the raster.
            width: Columns of the raster.
            block_height: Rows of a block.
            store: Called with planes `(band, row, col)`, validity `(row, col)` or None, and their window.
        """
        self._height = height
        self._width = width
        self._block_height = block_height
        self._store = store
        self._stored_row = 0
        self._held: tuple[NDArray[np.generic], NDArray[np.bool_] | None] | None = None
        self._held_rows = 0

    def put(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, window: Window) -> None:
        """Take the pixels of a window; nothing given is kept a reference to."""
        next_row = self._stored_row + self._held_rows
        if (window.row, window.col, window.width) != (next_row, 0, self._width):
            self.flush()
            self._store(planes, valid, window)
            self._stored_row = window.row + window.height
            return
        # Rows of this window, counted from its top, after which a row of blocks or the raster is complete.
        first = -window.row % self._block_height or self._block_height
        ends = [*range(first, window.height + 1, self._block_height)]
        if window.row + window.height == self._height:
            ends.append(window.height)
        start = 0
        if self._held_rows:
            start = min([*ends, window.height])
            self._hold(planes, valid, slice(0, start))
            if ends:
                self.flush()
        if ends:
            self._hand_on(planes, valid, slice(start, ends[-1]))
            start = ends[-1]
        self._hold(planes, valid, slice(start, window.height))

    def flush(self) -> None:
        """Hand on what is held."""
        if self._held is not None:
            planes, valid = self._held
            rows = slice(0, self._held_rows)
            self._held, self._held_rows = None, 0
            self._hand_on(planes, valid, rows)

    def _hand_on(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, rows: slice) -> None:
        """Store rows that follow what is stored."""
        if rows.start == rows.stop:
            return
        where = Window(self._stored_row, 0, rows.stop - rows.start, self._width)
        self._stored_row += where.height
        self._store(planes[:, rows], None if valid is None else valid[rows], where)

    def _hold(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, rows: slice) -> None:
        """Copy rows that follow what is held."""
        if rows.start == rows.stop:
            return
        if self._held is None:
            shape = (self._block_height, self._width)
            held_planes = np.empty((len(planes), *shape), planes.dtype)
            self._held = held_planes, None if valid is None else np.empty(shape, bool)
        held, held_valid = self._held
        into = slice(self._held_rows, self._held_rows + rows.stop - rows.start)
        self._held_rows = into.stop
        held[:, into] = planes[:, rows]
        if valid is not None and held_valid is not None:
            held_valid[into] = valid[rows]


WRITING_OPTIONS = {
    # Else the mask goes to a file beside the temporary one, and is orphaned when that is renamed.
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    # Else what a GeoTIFF can't hold goes to such an orphan, too.
    "GDAL_PAM_ENABLED": "NO",
}


COPY_SUFFIX = ".cog.tif"
"""What follows the name of a file while its cloud optimized copy is made."""

ROOM_BYTES = 1 << 16
"""What a disk must still have room for to be believed that it took all before."""


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
    """Yield the writer of a single file, which is there once the context is left without an error, else not.

    Args:
        target: The file. Where it is a link, what it leads to is replaced.
        profile: What the file is to be like.
        overwrite: Whether an existing file may be replaced.
        protected: Files that must not be replaced, the input above all.
        cog: As of `RasterWriter`.
        creation_options: As of `RasterWriter`.
        tags: As of `RasterWriter`.

    Raises:
        TakenError: If another process is writing the file.
        OutputError: If the target is protected, is there already, or can't be written.
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
    """A GeoTIFF that is being written. A context manager: the file is complete once it is left.

    After an error it isn't, and goes with its staging folder. Strips as wide as the raster, from top to
    bottom, are the fast way: rows are held back until they make whole blocks, so that no block is compressed
    twice. Other windows are taken, too.
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
        """Prepare to write; nothing is touched yet.

        Args:
            path: The file, of a name that nothing has; a name in a staging folder.
            profile: What the file is to be like.
            creation_options: The user's creation options, which win over the profile's.
            cog: Whether to write a cloud optimized GeoTIFF, or None for what the profile is.
            tags: Dataset tags beside those of the profile.
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
        # The options of a cloud optimized file are another driver's; they come into play when it is copied.
        options = gtiff_options(self._profile, {} if self._cog else self._extra_options)
        try:
            self._path.touch()  # says why where GDAL doesn't
            with gdal_session(**WRITING_OPTIONS):
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
            window: Where they belong.
            valid: Where the dataset mask says that there is data, `(row, col)`; everywhere if not given.
                Counts where the profile has a mask, or an alpha band and `alpha` isn't given.
            alpha: Numbers of the alpha band, `(row, col)`, where the profile has one.

        Raises:
            OutputError: If the disk refuses.
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
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or after an error close it as it is.

        Raises:
            OutputError: If the file can't be finished.
        """
        if error is not None:
            self._abandon()
            return
        try:
            self._finish()
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
        """Raise OutputError where writes that GDAL deferred failed, of which rasterio says nothing.

        Two signs are looked for, as neither tells every case: a disk without room for a little more, and
        blocks that are left out, lie beyond the end of the file, or over others.
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
        """Hand a window to GDAL."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as RasterioWindow

        if self._dataset is None:
            return
        where = RasterioWindow(window.col, window.row, window.width, window.height)
        try:
            with gdal_session(**WRITING_OPTIONS):
                self._dataset.write(planes, window=where)
                if valid is not None:
                    self._dataset.write_mask(valid, window=where)
        except RasterioError as error:
            raise cannot_write(self._path, error.__cause__ or error) from error

    def _with_alpha(
        self, values: NDArray[np.generic], valid: NDArray[np.bool_] | None, alpha: NDArray[np.generic] | None
    ) -> NDArray[np.generic]:
        """Return the planes of all bands, the alpha band in its place."""
        if self._profile.alpha is None:
            return values
        if alpha is None:
            shape = values.shape[1:]
            opaque = np.iinfo(self._profile.dtype).max if values.dtype.kind in "iu" else 1.0
            alpha = np.where(np.ones(shape, dtype=bool) if valid is None else valid, opaque, 0)
        planes: NDArray[np.generic] = np.insert(values, self._profile.alpha - 1, alpha.astype(values.dtype), axis=0)
        return planes

    def _abandon(self) -> None:
        """Close the file, whatever state it is in."""
        from rasterio.errors import RasterioError

        try:
            if self._dataset is not None:
                with gdal_session(**WRITING_OPTIONS):
                    self._dataset.close()
        except (RasterioError, OSError):
            pass  # the error that led here is the one to tell

    def _translated(self, error: BaseException) -> BaseException:
        """Return an OutputError for what GDAL or the disk raised, and any other error as it is."""
        from rasterio.errors import RasterioError

        if isinstance(error, RasterioError | OSError) and not isinstance(error, OutputError):
            return cannot_write(self._path, error.__cause__ or error)
        return error
