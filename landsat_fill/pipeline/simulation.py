"""Lays SLC-off stripes over a clean scene file: a test case whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import Layout, RasterWriter, SceneReader
from landsat_fill.pipeline.blocks import read_blocks
from landsat_fill.pipeline.scene_outputs import input_files
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene


class Lost(Protocol):
    """Which pixels of a scene are lost."""

    def missing_in(self, window: Window) -> NDArray[np.bool_]:
        """Return the lost pixels of a window, `(band, row, col)`."""
        ...


class LostCube:
    """Lost pixels held in memory, `(band, row, col)`."""

    def __init__(self, missing: NDArray[np.bool_]) -> None:
        self._missing = missing

    def missing_in(self, window: Window) -> NDArray[np.bool_]:
        """Return the lost pixels of a window."""
        return self._missing[:, *window.slices]


def simulate_scene(scene: Scene, lost: Lost, target: Path, *, nodata: float | None, overwrite: bool) -> float:
    """Write the scene with pixels lost, and return the share of its observed pixels that is.

    Args:
        scene: A clean scene.
        lost: The pixels to lose.
        target: The GeoTIFF to write, stored as the scene is.
        nodata: The number that stands for a lost pixel; None for the scene's own.
        overwrite: Replace a file that exists.

    Raises:
        InputError: If the scene can't be read, or its bands lie in several files.
        UsageError: If there is no number that can stand for a lost pixel.
        OutputError: If the file can't be written.
    """
    first = scene.bands[0]
    if any(band.dataset != first.dataset for band in scene.bands):
        raise InputError(
            f"expected one GeoTIFF with all bands, but {scene.name} has a file a band",
            hint="stack it first: `landsat-fill fill PRODUCT --stack`",
        )
    number = nodata if nodata is not None else first.nodata
    if number is None:
        raise UsageError(
            f"expected a number that stands for lost pixels, but {scene.name} has no nodata",
            hint="give one that no pixel has, for example --nodata 0",
        )
    layout = replace(
        Layout.of(first.dataset).for_bands([band.index for band in scene.bands]).without_statistics(),
        nodata=number,
    )
    height, width = scene.grid.height, scene.grid.width
    observed_px = lost_px = 0
    with (
        SceneReader(scene) as reader,
        RasterWriter(target, layout, overwrite=overwrite, protected=input_files(scene)) as writer,
        read_blocks(reader, height, width, STRIP_PX, 0) as blocks,
    ):
        for block in blocks:
            missing = lost.missing_in(block.window)
            values = np.where(missing, np.asarray(number).astype(block.values.dtype), block.values)
            known = block.observed & ~missing
            writer.write(values, block.window, valid=np.asarray(known.any(axis=0)))
            observed_px += int(np.count_nonzero(block.observed))
            lost_px += int(np.count_nonzero(block.observed & missing))
    return lost_px / max(observed_px, 1)


def missing_pixels(scene: Scene, *, threads: int = 1) -> NDArray[np.bool_]:
    """Return which pixels of an SLC-off scene are missing inside its footprint, `(band, row, col)`.

    Raises:
        InputError: If it can't be read.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=threads, on_progress=lambda _share: None)
        whole = Window(0, 0, scene.grid.height, scene.grid.width)
        missing = survey.footprint.inside(whole)
        with read_blocks(reader, whole.height, whole.width, STRIP_PX, 0) as blocks:
            for block in blocks:
                missing[:, *block.window.slices] &= ~block.observed
    return missing
