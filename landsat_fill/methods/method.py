"""The one interface between the pipeline and a method, and a helper for methods that fill one band at a time.

A method sees an image, its gaps and a context; never a file, a terminal or another method.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.scene import Band, Filled, Gaps, Window

    FillBand = Callable[[NDArray[np.floating], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """What a method is called, where it comes from, and what the pipeline must know to run it.

    Attributes:
        name: Its name on the command line: lower case, words joined by hyphens.
        summary: One line.
        source: Authors, year, title, DOI.
        halo_px: Margin around a tile that a fill of its inner part depends on, in pixels.
        tile_px: Side of the tiles it is given, in pixels, without the halo.
        gives_std: Whether it returns a standard deviation.
        needs_references: Whether it needs other acquisitions of the place.
        devices: The kinds of device it runs on.
        align_px: What the rows and columns that tiles begin at must be multiples of, so that no result
            depends on how a scene was cut.
        gives_realizations: Whether it gives realizations: several plausible fills.
        weights: Name and sha256 of the trained weights it runs with, or None for a method without.
        slow: Whether it takes minutes where others take seconds, so that it only runs where it is named.
        tile_a_thread: Whether a processor's cores work on a tile each, because the method keeps but one busy.
    """

    name: str
    summary: str
    source: str
    halo_px: int
    tile_px: int = 512
    gives_std: bool = False
    needs_references: bool = False
    devices: tuple[str, ...] = ("cpu",)
    align_px: int = 1
    gives_realizations: bool = False
    weights: str | None = None
    slow: bool = False
    tile_a_thread: bool = False


def _told_nobody(_note: str) -> None:
    """Drop a note."""


def _shown_nobody(_share: float, _text: str) -> None:
    """Drop what is said of the progress."""


class Shelf(Protocol):
    """Where a method that works for minutes keeps what is done, so that a killed run can go on."""

    def get(self, name: str) -> bytes | None:
        """Return what was put there under a name, perhaps by a run before, or None."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Keep something under a name, in place of what is there."""
        ...

    def drop(self, name: str) -> None:
        """Forget what is there under a name, if anything."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may need beside the pixels. No result depends on `threads`.

    Attributes:
        bands: The sensor's band behind each band of the image, or None where it isn't known.
        pixel_size_m: Pixel size in metres, or None.
        threads: How many threads the method may use.
        device: `cpu`, or `cuda:0` and the like.
        generators: One random generator a tile, or empty for a method that draws nothing.
        corners: Row and column in the scene of each tile's corner, its halo counted in, or empty where the
            tiles lie nowhere.
        wanted: The part of each tile whose fill is used, in pixels of the tile, or empty for all of it: the
            rest is halo, and a method may leave it as it is.
        seed: Seed of a method that draws by place, so that neighbouring tiles agree where they overlap.
        realizations: How many plausible fills are wanted beside the mean, of a method that gives them.
        tell: Takes a sentence that the user should read.
        progress: Told the share of these tiles that is done, 0 to 1, and in a few words how it goes.
        shelf: Where to keep what is done, or None.
    """

    bands: tuple[Band | None, ...] = ()
    pixel_size_m: float | None = None
    threads: int = 1
    device: str = "cpu"
    generators: tuple[np.random.Generator, ...] = field(default=())
    corners: tuple[tuple[int, int], ...] = ()
    wanted: tuple[Window, ...] = ()
    seed: int = 0
    realizations: int = 0
    tell: Callable[[str], None] = _told_nobody
    progress: Callable[[float, str], None] = _shown_nobody
    shelf: Shelf | None = None

    @property
    def wanted_in_all(self) -> Window | None:
        """The part of a tile whose fill is used where that is the same in all tiles, else None, for all."""
        return self.wanted[0] if len(set(self.wanted)) == 1 else None


@runtime_checkable
class FillMethod(Protocol):
    """A way to fill, as a frozen dataclass whose fields are its options.

    Each option is a field made by `option`; the command line, the help table, the checks and the provenance
    read the fields. Where options decide upon the halo, an instance has an `info` of its own that replaces
    the class's.
    """

    info: ClassVar[MethodInfo]

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image of a batch of tiles.

        Args:
            image: Float32 or float64 array `(tile, band, row, col)` in stored numbers. What it holds
                outside `gaps.usable` is undefined and must not influence the result. Not written to.
            gaps: Cubes of the image's shape.
            context: What else there is to know.

        Returns:
            A mean of the image's shape, a standard deviation where `info.gives_std`, and as many realizations
            as `context.realizations` where `info.gives_realizations`: finite at every missing pixel of a
            tile's band that has a usable pixel in that tile, NaN at the missing pixels of one that has none.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A method that looks at a whole scene before it fills parts of it."""

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FillMethod:
        """Return the method with what it must know of a scene: its variogram, say.

        A method that wasn't prepared does so for each tile by itself.

        Args:
            image: Windows spread over the scene, `(window, band, row, col)`, as tiles are given to `fill`.
            gaps: Cubes of the same shape.
            context: What else there is to know; of the windows' places nothing.
        """
        ...


def fill_each_band(
    fill_band: FillBand, image: NDArray[np.floating], gaps: Gaps, threads: int, *, around_zero: bool = True
) -> NDArray[np.floating]:
    """Return the image with every missing pixel filled by `fill_band`, band by band.

    Bands without a missing pixel are passed over; bands without a usable one become NaN where they are
    missing. Unless told, `fill_band` sees values around 0: the mean of the usable pixels is taken off before
    and put back after, so that bands of a large offset lose no digits.

    Args:
        fill_band: Takes `(values, missing, usable)`, each `(row, col)`, with values 0 outside `usable`;
            returns an array whose values at the missing pixels are taken.
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Bands worked on at once. `fill_band` should release the interpreter lock.
        around_zero: Whether the mean is taken off.
    """
    import cv2

    filled = image.copy()

    def fill(tile: int, band: int) -> None:
        missing = np.ascontiguousarray(gaps.missing[tile, band])
        usable = np.ascontiguousarray(gaps.usable[tile, band])
        if not missing.any():
            return
        if not usable.any():
            filled[tile, band][missing] = np.nan
            return
        given = usable.view(np.uint8)
        mean = cv2.mean(image[tile, band], given)[0] if around_zero else 0.0
        # OpenCV copies where a condition holds sixteen times as fast as numpy.
        values = cv2.copyTo(image[tile, band], given, np.full_like(image[tile, band], mean)) - mean
        cv2.copyTo(fill_band(values, missing, usable) + mean, missing.view(np.uint8), filled[tile, band])

    places = [(tile, band) for tile in range(image.shape[0]) for band in range(image.shape[1])]
    if threads <= 1:
        for place in places:
            fill(*place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(fill, *place) for place in places]:
                done.result()
    return filled
