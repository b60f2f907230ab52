"""A rectangle of pixels on a grid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: its first row and column, its height and width, all in pixels."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the window, to index a `(…, row, col)` array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def expanded(self, halo_px: int, height: int, width: int) -> Window:
        """Return the window with a margin of `halo_px` on all sides, cut to a `height` × `width` grid."""
        top, left = max(self.row - halo_px, 0), max(self.col - halo_px, 0)
        bottom = min(self.row + self.height + halo_px, height)
        right = min(self.col + self.width + halo_px, width)
        return Window(top, left, bottom - top, right - left)

    def within(self, outer: Window) -> Window:
        """Return the same pixels in the coordinates of `outer`, whose corner becomes (0, 0)."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)
