"""The interface between the pipeline and a method, and a helper for methods that fill one band at a time.

A method sees an image, its gaps and a context. It never sees a file, a terminal or another method.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from landsat_fill.scene import Band, Reference, Window

    Image = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    FillBand = Callable[[Image, Flags, Flags], Image]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """The name and source of a method, and what the pipeline must know to run it.

    Attributes:
        name: Name on the command line: lower case, words joined by hyphens.
        summary: One line.
        source: Authors, year, title, DOI.
        halo_px: Margin around a tile that the fill of the tile depends on.
        tile_px: Side of a tile without its halo.
        gives_std: Whether the method returns a standard deviation.
        needs_references: Whether the method needs other acquisitions of the place.
        uses_references: Whether the method also works without them, but fills better with some.
        takes_every_reference: Whether it takes all that serve, instead of the best few.
        devices: The kinds of device the method runs on.
        align_px: The rows and columns where tiles begin are multiples of this, so that the result doesn't
            depend on how a scene is cut.
        gives_realizations: Whether the method returns realizations (several plausible fills).
        weights: Name and sha256 of the trained weights, or None for a method without weights.
        slow: Whether the method takes minutes where others take seconds. A slow method runs only if named.
        tile_a_thread: Whether each CPU core gets a tile of its own, because a fill uses only one core.
    """

    name: str
    summary: str
    source: str
    halo_px: int
    tile_px: int = 512
    gives_std: bool = False
    needs_references: bool = False
    uses_references: bool = False
    takes_every_reference: bool = False
    devices: tuple[str, ...] = ("cpu",)
    align_px: int = 1
    gives_realizations: bool = False
    weights: str | None = None
    slow: bool = False
    tile_a_thread: bool = False

    @property
    def takes_references(self) -> bool:
        """Whether the method is given references, if there are any."""
        return self.needs_references or self.uses_references


class Shelf(Protocol):
    """Stores intermediate results of a slow method, so that a killed run can resume."""

    def get(self, name: str) -> bytes | None:
        """Return the content stored under a name, perhaps by an earlier run, or None."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Store content under a name and replace what is there."""
        ...

    def drop(self, name: str) -> None:
        """Delete the content stored under a name, if there is any."""
        ...


@dataclass(frozen=True, slots=True)
class TilePlace:
    """The place of a tile in its scene.

    Attributes:
        corner: Row and column in the scene of the tile's corner, halo included.
        wanted: The part of the tile whose fill is used, in pixels of the tile; None for the whole tile. The
            rest is halo, and a method may leave it unfilled. It is the same for all tiles of a batch.
        generator: Random generator of the tile.
    """

    corner: tuple[int, int] = (0, 0)
    wanted: Window | None = None
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def cropped(self, part: Window) -> TilePlace:
        """Return the place of a part of the tile, which includes the wanted part."""
        row, col = self.corner
        wanted = None if self.wanted is None else self.wanted.within(part)
        return TilePlace((row + part.row, col + part.col), wanted, self.generator)


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may need in addition to the pixels. No result depends on `threads`.

    A context is made once for each scene. `for_tiles` derives the context of a batch of tiles.

    Attributes:
        bands: The sensor's band for each band of the image, or None if unknown.
        pixel_size_m: Pixel size in metres, or None.
        threads: Number of threads the method may use.
        device: `cpu`, or `cuda:0` and the like.
        seed: Seed of a method that draws by position, so that neighbouring tiles agree where they overlap.
        realizations: Number of realizations to return, for a method that gives them.
        notify: Called with a sentence for the user.
        shelf: Storage for intermediate results, or None.
        progress: Called with the share of these tiles that is done, 0 to 1, and a short status.
        tiles: The place of each tile of the batch; empty if unknown.
        references: Other acquisitions of the place, best first, each with the tiles of the batch.
    """

    bands: tuple[Band | None, ...] = ()
    pixel_size_m: float | None = None
    threads: int = 1
    device: str = "cpu"
    seed: int = 0
    realizations: int = 0
    notify: Callable[[str], None] = lambda _note: None
    shelf: Shelf | None = None
    progress: Callable[[float, str], None] = lambda _share, _text: None
    tiles: tuple[TilePlace, ...] = ()
    references: tuple[Reference, ...] = ()

    def for_tiles(
        self,
        tiles: tuple[TilePlace, ...],
        *,
        threads: int | None = None,
        progress: Callable[[float, str], None] | None = None,
        references: tuple[Reference, ...] = (),
    ) -> Context:
        """Return the context of a batch of tiles; threads and progress stay the same unless given."""
        return replace(
            self,
            tiles=tiles,
            threads=threads or self.threads,
            progress=progress or self.progress,
            references=references,
        )

    def place(self, tile: int) -> TilePlace:
        """Return the place of a tile of the batch: the corner of the scene, if unknown."""
        return self.tiles[tile] if self.tiles else TilePlace()


@runtime_checkable
class FillMethod(Protocol):
    """A way to fill: a frozen dataclass whose fields are its options.

    Each option is a field made by `option`. The command line, the help table, the checks and the provenance
    read the fields. An instance may have its own `info`, for example if its options change the halo.
    """

    info: ClassVar[MethodInfo]

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image of a batch of tiles.

        Args:
            image: Float32 or float64 array `(tile, band, row, col)` in stored numbers. Values outside
                `gaps.usable` are undefined and must not influence the result. The method never writes to it.
            gaps: Cubes of the image's shape.
            context: Bands, device, seed and the like.

        Returns:
            A mean of the image's shape, a standard deviation if `info.gives_std`, and
            `context.realizations` realizations if `info.gives_realizations`. Every missing pixel is finite if
            its band has a usable pixel in the tile, and NaN otherwise. A method with `info.needs_references`
            may leave any missing pixel NaN; the single-image default then fills it.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A method that measures a whole scene before it fills parts of it."""

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FillMethod:
        """Return the method fitted to a scene, for example with the scene's variogram.

        A method that isn't prepared fits each tile separately.

        Args:
            image: Windows spread over the scene, `(window, band, row, col)`; otherwise as in `fill`.
            gaps: Cubes of the same shape.
            context: As in `fill`, without the positions of the windows.
        """
        ...


@runtime_checkable
class MeasuresNodes(Protocol):
    """A method that first measures a scene at the nodes of a lattice, one for each square of `lattice_px`."""

    lattice_px: ClassVar[int]
    margin_px: ClassVar[int]
    """The window of a node is its square with this margin, as far as the scene reaches."""

    def measure(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> object | None:
        """Return the measurements in the window of one node, or None if there are none.

        The arguments are those of `fill`, with one tile.
        """
        ...

    def fitted(self, nodes: Mapping[tuple[int, int], Any], shape: tuple[int, int]) -> FillMethod:
        """Return the method for the scene.

        Args:
            nodes: What `measure` returned, by row and column of the node; squares far from any gap are left out.
            shape: Rows and columns of the lattice.
        """
        ...


def fill_each_band(
    fill_band: FillBand, image: NDArray[np.floating], gaps: Gaps, threads: int, *, around_zero: bool = True
) -> NDArray[np.floating]:
    """Return an image with its missing pixels filled, one band at a time.

    `fill_band(values, missing, usable)` fills a band of a tile. Its arguments are `(row, col)`, and `values` is 0
    at pixels that aren't usable. It returns an array of the same shape, and only the missing pixels of the array
    are used. A band without missing pixels stays unchanged. A band without usable pixels becomes NaN at its
    missing pixels.

    By default the mean of the usable pixels is subtracted before a band is filled, and added afterwards. Bands
    with a large offset then keep their precision.

    Args:
        fill_band: The function that fills a band.
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Number of bands filled at the same time. `fill_band` should release the interpreter lock.
        around_zero: Whether to subtract the mean.
    """
    import cv2

    filled = image.copy()

    def fill(place: tuple[int, int]) -> None:
        missing = np.ascontiguousarray(gaps.missing[place])
        usable = np.ascontiguousarray(gaps.usable[place])
        if not missing.any():
            return
        if not usable.any():
            filled[place][missing] = np.nan
            return
        usable_bytes = usable.view(np.uint8)
        mean = cv2.mean(image[place], usable_bytes)[0] if around_zero else 0.0
        # OpenCV's conditional copy is sixteen times as fast as numpy's.
        values = cv2.copyTo(image[place], usable_bytes, np.full_like(image[place], mean)) - mean
        cv2.copyTo(fill_band(values, missing, usable) + mean, missing.view(np.uint8), filled[place])

    in_threads(fill, np.ndindex(*image.shape[:2]), threads)
    return filled


def fill_unprepared(
    prepare: Callable[[Image, Gaps, Context], Any], image: NDArray[np.floating], gaps: Gaps, context: Context
) -> Filled:
    """Return the filled image, with a method that is prepared for each tile separately; see `FillMethod.fill`."""
    filled = []
    for tile in range(len(image)):
        own = slice(tile, tile + 1)
        here = context.for_tiles(
            context.tiles[own], references=tuple(reference.of_tiles(own) for reference in context.references)
        )
        part = image[own], Gaps(gaps.missing[own], gaps.usable[own]), here
        filled.append(prepare(*part).fill(*part))
    stds = [one.std for one in filled if one.std is not None]
    draws = [one.realizations for one in filled if one.realizations is not None]
    sources = [one.sources for one in filled if one.sources is not None]
    return Filled(
        np.concatenate([one.mean for one in filled]),
        np.concatenate(stds) if stds else None,
        np.concatenate(draws, axis=1) if draws else None,
        np.concatenate(sources) if sources else None,
    )


def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """Return the result of `work` for each item, in the order of the items."""
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
