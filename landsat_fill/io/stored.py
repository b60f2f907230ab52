"""Reads a raster as it is stored: numbers, opacity and dataset mask, whatever they mean."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from landsat_fill.io.gdal_session import gdal_session, open_dataset
from landsat_fill.io.layout import Layout
from landsat_fill.io.reading import reading

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from landsat_fill.scene import Window


@dataclass(frozen=True, slots=True)
class Opacity:
    """What a file says of the opacity of pixels, apart from their numbers.

    Attributes:
        alpha: Numbers of the alpha band, `(row, col)`, or None without one.
        valid: The dataset mask, `(row, col)`, or None without one.
    """

    alpha: NDArray[np.generic] | None = None
    valid: NDArray[np.bool_] | None = None


class StoredReader:
    """An open raster. A context manager; to be used by one thread at a time, but by any thread."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._dataset: DatasetReader | None = None
        self._closing = ExitStack()
        self.layout = Layout.of(source)

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            InputError: If it can't be read.
        """
        with gdal_session():
            self._dataset = self._closing.enter_context(open_dataset(self._source))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with gdal_session():
            self._closing.close()

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the stored numbers of a window, `(band, row, col)`, of all bands but alpha.

        Raises:
            InputError: If the file can't be read there.
        """
        indexes = [i for i in range(1, self.layout.count + 1) if i != self.layout.alpha]
        return self._read(indexes, window)

    def read_opacity(self, window: Window) -> Opacity:
        """Return alpha and dataset mask of a window.

        Raises:
            InputError: If the file can't be read there.
        """
        alpha = None if self.layout.alpha is None else self._read([self.layout.alpha], window)[0]
        if not self.layout.masked or self._dataset is None:
            return Opacity(alpha)
        with gdal_session(), reading(self._source, window) as where:
            return Opacity(alpha, self._dataset.read_masks(1, window=where) != 0)

    def _read(self, indexes: list[int], window: Window) -> NDArray[np.generic]:
        if self._dataset is None:
            raise RuntimeError("expected an entered StoredReader, but got one outside its with block")
        with gdal_session(), reading(self._source, window) as where:
            values: NDArray[np.generic] = self._dataset.read(
                indexes, window=where, out_dtype=self.layout.dtype
            )
        return values
