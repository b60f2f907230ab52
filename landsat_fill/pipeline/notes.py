"""What a user should know about a scene beside its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.gaps.selection import Holes

if TYPE_CHECKING:
    from landsat_fill.pipeline.outcome import Tally
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.pipeline.survey import Survey
    from landsat_fill.scene import Scene


def survey_notes(scene: Scene, survey: Survey, *, tells_missing: bool) -> tuple[str, ...]:
    """Return the notes on a scene as it is, a sentence each.

    Args:
        scene: The scene.
        survey: What its survey told.
        tells_missing: Whether anything in the file can say that a pixel is missing.
    """
    notes = []
    if not tells_missing:
        notes.append(
            "nothing in this file says which pixels are missing: no nodata tag, mask or alpha, and no "
            "Landsat name; give the number that means 'no observation' with --nodata"
        )
    if survey.has_faint_stripes:
        notes.append(
            "warning: stripes that aren't exactly nodata: the scene was resampled or filled before, and "
            "those pixels count as observed; --refill faint fills them, too"
        )
    if scene.slc_off is False and survey.geometry is not None:
        notes.append("stripes found although the scan line corrector was on that day")
    return tuple(notes)


def fill_notes(survey: Survey, request: FillRequest, tally: Tally) -> tuple[str, ...]:
    """Return the notes on what was left unfilled, a sentence each.

    Args:
        survey: What the scene's survey told.
        request: How it was filled.
        tally: What was counted.
    """
    if not tally.left:
        return ()
    share = 100 * tally.left / (tally.left + tally.filled)
    largest_px = request.largest_gap_px or survey.period_px
    why = {
        Holes.NARROW: f"parts of holes wider than {largest_px} px; --largest-gap or --holes every fills them",
        Holes.STRIPES: "no SLC stripes; --holes narrow or every fills them",
        Holes.EVERY: "too far from any usable pixel",
    }[request.holes]
    return (f"{share:.1f} % of the missing pixels left unfilled: {why}",)
