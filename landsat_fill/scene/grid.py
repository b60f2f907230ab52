"""Where the pixels of a scene lie on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS


@dataclass(frozen=True, slots=True)
class Grid:
    """A raster grid: its size in pixels, and its georeferencing if it has any.

    Attributes:
        height: Rows.
        width: Columns.
        transform: Pixel corner to map coordinates.
        crs: The coordinate reference system, or None.
    """

    height: int
    width: int
    transform: Affine
    crs: CRS | None

    @property
    def pixel_size_m(self) -> float | None:
        """The height of a pixel in metres, or None where the grid isn't a map projection in a length unit."""
        if self.crs is None or not self.crs.is_projected:
            return None
        unit_m: float = self.crs.linear_units_factor[1]
        return float((self.transform.b**2 + self.transform.e**2) ** 0.5 * unit_m)
