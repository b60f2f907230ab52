"""Gaps of real SLC-off scenes: crops of their missing pixels in each band, as packed bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io import SceneReader
from landsat_fill.pipeline.survey import survey_scene
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene
    from landsat_fill.training.dataset_manifest import MappedArray


def grid_starts(length_px: int, size_px: int, stride_px: int) -> list[int]:
    """Return the starts of pieces along a side, none if it is too short; the last piece ends at its end."""
    last = length_px - size_px
    if last < 0:
        return []
    starts = list(range(0, last + 1, stride_px))
    return starts if starts[-1] == last else [*starts, last]


def require_room(scene: Scene, size_px: int) -> None:
    """Raise InputError for a scene that is smaller than a patch."""
    height, width = scene.grid.height, scene.grid.width
    if min(height, width) < size_px:
        raise InputError(
            f"expected a scene of at least {size_px} × {size_px} pixels, but {scene.name} has {height} × {width}",
            hint="Choose a smaller --size, or leave the scene out.",
        )


def random_window(height: int, width: int, size_px: int, generator: np.random.Generator) -> Window:
    """Return a square anywhere in an image."""
    row = int(generator.integers(height - size_px + 1))
    col = int(generator.integers(width - size_px + 1))
    return Window(row, col, size_px, size_px)


MISSING_SHARES = (0.01, 0.7)
"""Limits of the missing share of a crop. A larger share is a cloud or the edge of the swath."""


class GapBank:
    """Draws gaps from the crops of one or several scenes."""

    def __init__(self, packed: Sequence[NDArray[np.uint8] | MappedArray]) -> None:
        """Take the crops of each scene, `(crop, band, row, byte)`."""
        self._packed = tuple(packed)
        # The square root limits the weight of a large scene, whose many crops are similar.
        weights = np.sqrt([crops.shape[0] for crops in self._packed])
        self._cumulated = np.cumsum(weights) / weights.sum()

    def draw(self, bands: int, size_px: int, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the missing pixels `(band, row, col)` of a random part of a crop, randomly mirrored.

        Each band gets the gaps of a random band of the scene. Crops aren't rotated, because stripes never run
        along the track.
        """
        crops = self._packed[int(np.searchsorted(self._cumulated, generator.random(), side="right"))]
        count, available, height, _ = crops.shape
        order = np.resize(generator.permutation(available), bands)
        missing = unpacked(crops[int(generator.integers(count))][order], height)
        row, col = generator.integers(height - size_px + 1, size=2)
        up, left = generator.choice((-1, 1), 2)
        cropped: NDArray[np.bool_] = missing[:, row : row + size_px, col : col + size_px][:, ::up, ::left]
        return cropped


def packed(pixels: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return booleans `(…, col)` as bits, eight columns a byte."""
    return np.packbits(pixels, axis=-1)


def unpacked(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return the booleans of packed bits."""
    return np.unpackbits(bits, axis=-1, count=width).view(np.bool_)


def cut_gaps(scene: Scene, size_px: int, *, on_progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
    """Return crops of the missing pixels of an SLC-off scene, `(crop, band, row, byte)`, packed.

    Pixels outside the footprint are not missing. Crops are adjacent; the last ones end at the scene's edge.

    Args:
        scene: The scene.
        size_px: Side of a crop in pixels, a multiple of 8.
        on_progress: Called with the share of rows done, 0 to 1.

    Raises:
        InputError: If the scene can't be read, is smaller than a crop, or has no crop with enough gaps and
            observed pixels.
    """
    crops = [packed(missing) for missing in _missing_crops(scene, size_px, on_progress or (lambda _: None))]
    if not crops:
        low, high = MISSING_SHARES
        raise InputError(
            f"expected an area of {size_px} px in {scene.name} with {low:.0%} to {high:.0%} missing, but found none",
            hint="Take gaps from an SLC-off scene (acquired after 2003-05-31), away from nadir; where its "
            "gaps hold a number that isn't marked as nodata, mark it first.",
        )
    return np.stack(crops)


def _missing_crops(scene: Scene, size_px: int, on_progress: Callable[[float], None]) -> Iterator[NDArray[np.bool_]]:
    require_room(scene, size_px)
    height, width = scene.grid.height, scene.grid.width
    rows, cols = grid_starts(height, size_px, size_px), grid_starts(width, size_px, size_px)
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=1, on_progress=lambda share: on_progress(share / 2))
        for row in rows:
            strip = Window(row, 0, size_px, width)
            missing = survey.footprint.inside(strip) & ~reader.read(strip)[1]
            for col in cols:
                crop = missing[:, :, col : col + size_px]
                if MISSING_SHARES[0] <= crop.mean() <= MISSING_SHARES[1]:
                    yield crop
            on_progress(0.5 + (row + size_px) / height / 2)
