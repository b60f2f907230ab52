"""The variograms of a scene, as kriging sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.io import SceneReader
from landsat_fill.methods import Context
from landsat_fill.pipeline.evidence import EvidenceFinder
from landsat_fill.pipeline.preparation import prepared_for_scene
from landsat_fill.pipeline.request import FillRequest
from landsat_fill.pipeline.survey import survey_scene

if TYPE_CHECKING:
    from landsat_fill.methods.kriging import BandFit, Kriging
    from landsat_fill.scene import Scene


def scene_variograms(scene: Scene, kriging: Kriging, threads: int) -> tuple[BandFit, ...]:
    """Return what kriging knows of each band of a scene before it fills it.

    Args:
        scene: The scene.
        kriging: Its options.
        threads: Threads to use.

    Raises:
        InputError: If the scene can't be read, or a band has no observed pixel.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=threads, on_progress=lambda _share: None)
        finder = EvidenceFinder(scene, reader, survey, FillRequest(method=kriging, threads=threads))
        fitted = prepared_for_scene(kriging, scene, reader, finder, Context(threads=threads))
    found: tuple[BandFit, ...] = fitted.bands  # type: ignore[attr-defined]
    return found
