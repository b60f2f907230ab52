"""Finds the missing and the valid pixels of a scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.gaps.footprint import OUTLINE_STEP_PX
from landsat_fill.gaps.holes import Holes, cut_gaps, select, selection_halo_px, wide_cube
from landsat_fill.gaps.quality import flagged_pixels
from landsat_fill.gaps.residual_stripes import faint_stripes_across, mixed_pixels
from landsat_fill.io import SceneReader
from landsat_fill.methods import Context
from landsat_fill.pipeline.lattice import View, prepared
from landsat_fill.pipeline.request import FillRequest, Flag
from landsat_fill.pipeline.survey import fill_value, survey_scene
from landsat_fill.pipeline.tiles import Block
from landsat_fill.scene import Gaps, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.kriging import BandFit, Kriging
    from landsat_fill.pipeline.reference_scenes import OpenReference
    from landsat_fill.pipeline.survey import Survey
    from landsat_fill.scene import Scene


QUALITY_FLAGS = frozenset({Flag.CLOUD, Flag.DILATED_CLOUD, Flag.SHADOW, Flag.SATURATED})
"""The flags that come from quality bands."""


@dataclass(frozen=True, slots=True)
class BlockGaps:
    """Missing and valid pixels of a block, all cubes `(band, row, col)`.

    Attributes:
        inside: Pixels inside the footprint.
        gaps: Pixels to fill, and valid pixels.
        wide: Pixels to fill in parts of holes wider than any SLC-off gap, or None if these are never filled.
        kept: Observed pixels named by --refill that stay, in holes too wide to fill; None without --refill.
    """

    inside: NDArray[np.bool_]
    gaps: Gaps
    wide: NDArray[np.bool_] | None = None
    kept: NDArray[np.bool_] | None = None


class GapFinder:
    """Finds the missing and valid pixels in each block of a scene."""

    def __init__(self, scene: Scene, reader: SceneReader, survey: Survey, request: FillRequest) -> None:
        """Prepare for a scene.

        Raises:
            InputError: If the scene has no quality band or gap_mask for a flag of the request.
        """
        self._scene, self._reader, self._survey, self._request = scene, reader, survey, request
        self._largest_gap_px = request.largest_gap_px or survey.period_px
        self._flags = request.distrusted | request.refilled
        _require_flags(scene, self._flags)

    @property
    def halo_px(self) -> int:
        """Rows and columns around a strip that affect the selection in it."""
        return selection_halo_px(self._largest_gap_px, self._survey.geometry)

    @property
    def fills_wide_holes(self) -> bool:
        """Whether holes wider than any SLC-off gap may be filled."""
        return self._request.holes is Holes.EVERY or self._largest_gap_px > self._survey.period_px

    def find(self, block: Block) -> BlockGaps:
        """Return the missing and valid pixels of a block, with its halo."""
        inside = self._survey.footprint.inside(block.window)
        inside[list(self._survey.empty_bands)] = False
        usable, refilled = block.observed, None
        for flag, flagged in self._flagged(block).items():
            usable = usable & ~flagged
            if flag in self._request.refilled:
                refillable = flagged & block.observed
                refilled = refillable if refilled is None else refilled | refillable
        if self._survey.mixed_border_px:
            usable = usable & ~mixed_pixels(block.observed, self._survey.mixed_border_px)
        missing = select(
            inside & ~block.observed,
            self._request.holes,
            self._largest_gap_px,
            self._survey.geometry,
            refilled=refilled,
            corner=(block.window.row, block.window.col),
        )
        return BlockGaps(
            inside,
            Gaps(missing, usable),
            wide_cube(missing, self._survey.period_px) if self.fills_wide_holes else None,
            None if refilled is None else refilled & ~missing,
        )

    def cut_px(self, block: Block, found: BlockGaps, part: Window) -> int:
        """Return the number of gap pixels of one band, in a part of a block, at a cut edge of the footprint."""
        outline, geometry = self._outline, self._survey.geometry
        if outline is None or geometry is None:
            return 0
        window, band = block.window, self._outlined_band
        rows, cols = (
            np.arange(first, first + size) // OUTLINE_STEP_PX
            for first, size in ((window.row, window.height), (window.col, window.width))
        )
        cut = cut_gaps(
            block.observed[band], found.inside[band], outline[np.ix_(rows, cols)], geometry, (window.row, window.col)
        )
        return int(np.count_nonzero(cut[part.slices]))

    @cached_property
    def _outline(self) -> NDArray[np.bool_] | None:
        """The footprint's outline in one band, or None if no edge is cut or the user says where it ends."""
        survey = self._survey
        if self._scene.extent is not None or not survey.footprint.outside_px[self._outlined_band]:
            return None
        return survey.footprint.outline(self._outlined_band, survey.period_px)

    @property
    def _outlined_band(self) -> int:
        observed_px = self._survey.footprint.observed_px
        return int(np.argmax(observed_px))

    def masked_numbers(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.bool_] | None:
        """Return the pixels of a window that hold an observation but are missing in a mask of the user, or None."""
        return self._reader.masked_numbers(stored, window)

    def view(self, window: Window, references: Sequence[OpenReference] = ()) -> View:
        """Return a window of the scene with its gaps and references. No other thread may use the reader."""
        grid = self._scene.grid
        outer = window.expanded(self.halo_px, grid.height, grid.width)
        block = Block(window, outer, *self._reader.read(outer))
        gaps, inner = self.find(block).gaps, window.within(outer).slices
        return View(
            block.values[:, *inner],
            Gaps(gaps.missing[:, *inner], gaps.usable[:, *inner]),
            tuple(reference.read(window) for reference in references),
        )

    def _flagged(self, block: Block) -> dict[Flag, NDArray[np.bool_]]:
        """Return the flagged pixels of a block for each flag in the request."""
        if not self._flags:
            return {}
        bands = tuple(band.band for band in self._scene.bands)
        found: dict[Flag, NDArray[np.bool_]] = {}
        if self._flags & QUALITY_FLAGS:
            quality = cast("dict[str, NDArray[np.integer]]", self._reader.read_quality(block.window))
            for flag in self._flags & QUALITY_FLAGS:
                found[flag] = flagged_pixels(flag.value, quality, bands)
        if Flag.INTERPOLATED in self._flags:
            masked = self._reader.read_gap_masks(block.window)
            if masked is not None:
                found[Flag.INTERPOLATED] = masked & block.observed
        if Flag.FAINT in self._flags:
            faint = faint_stripes_across(block.values, block.observed, fill_value(self._scene))
            if self._survey.mixed_border_px:
                faint |= mixed_pixels(block.observed, self._survey.mixed_border_px)
            found[Flag.FAINT] = faint
        return found


def without_unavailable_flags(
    request: FillRequest, scene: Scene, scenes: Sequence[Scene]
) -> tuple[FillRequest, tuple[str, ...]]:
    """Return the request without quality flags that this scene lacks but other scenes of the product have.

    Quality bands share the grid of the reflective bands, so the panchromatic band has none. The second value
    holds a note on the flags left out.
    """
    wanted = (request.distrusted | request.refilled) & QUALITY_FLAGS
    if not wanted or scene.quality or not any(other.quality for other in scenes):
        return request, ()
    names = ", ".join(band.name for band in scene.bands)
    flags = ", ".join(sorted(flag.value for flag in wanted))
    return (
        replace(request, distrusted=request.distrusted - wanted, refilled=request.refilled - wanted),
        (f"no quality band on the grid of {names}; without it, these flags have no effect: {flags}",),
    )


def _require_flags(scene: Scene, flags: frozenset[Flag]) -> None:
    """Raise InputError if the scene lacks the files for a flag."""
    kinds = {quality.kind for quality in scene.quality}
    if flags & QUALITY_FLAGS and not kinds:
        raise InputError(
            f"expected a quality band for {', '.join(sorted(f.value for f in flags & QUALITY_FLAGS))}, "
            f"but {scene.name} has none",
            hint="Give the whole product (folder or archive), or leave out --distrust and --refill.",
        )
    if Flag.INTERPOLATED in flags and not all(band.gap_mask for band in scene.bands):
        raise InputError(
            f"expected a gap_mask file for every band of {scene.name}, but "
            f"{sum(band.gap_mask is None for band in scene.bands)} of {len(scene.bands)} have none",
            hint="Leave out 'interpolated': only Level 1 products have gap_mask files.",
        )


def scene_variograms(scene: Scene, kriging: Kriging, threads: int) -> tuple[BandFit, ...]:
    """Return the fitted variogram of each band of a scene.

    Raises:
        InputError: If the scene can't be read, or a band has no observed pixel.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=threads, on_progress=lambda _share: None)
        for number in survey.empty_bands:
            raise InputError(
                f"expected observed pixels in {scene.bands[number].name}, but it has none",
                hint="Check that the file is complete, or leave the band out with --bands.",
            )
        finder = GapFinder(scene, reader, survey, FillRequest(method=kriging, threads=threads))
        fitted = prepared(kriging, (scene.grid.height, scene.grid.width), finder.view, Context(threads=threads))
    found: tuple[BandFit, ...] = fitted.bands  # type: ignore[attr-defined]
    return found
