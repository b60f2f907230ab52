"""The outcome of a fill for the terminal and the report, notes for the user, and the description of a scene."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from landsat_fill.errors import LandsatFillError, is_lack_of_memory
from landsat_fill.gaps.holes import Holes
from landsat_fill.io import SceneReader
from landsat_fill.io.gdal import gdal_errors
from landsat_fill.io.usgs_names import LEVEL_OF
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.pipeline.survey import Survey, survey_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from landsat_fill.io.areas import Areas
    from landsat_fill.pipeline.reference_scenes import Suitability
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.pipeline.survey import Survey
    from landsat_fill.scene import Scene


class Status(Enum):
    """How a job ended. A stopped job starts again when the batch is resumed."""

    FILLED = "filled"
    NO_GAPS = "no gaps"
    SKIPPED = "skipped"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Tally:
    """Pixels of a scene, counted over its bands.

    Attributes:
        observed: Pixels with an observation.
        filled: Pixels filled.
        left: Missing pixels left unfilled.
        outside: Pixels outside the footprint.
    """

    observed: int = 0
    filled: int = 0
    left: int = 0
    outside: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Return the sum of two counts."""
        return Tally(
            self.observed + other.observed,
            self.filled + other.filled,
            self.left + other.left,
            self.outside + other.outside,
        )

    @property
    def missing_share(self) -> float:
        """Missing share of the footprint, 0 to 1."""
        inside = self.observed + self.filled + self.left
        return (self.filled + self.left) / inside if inside else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        name: Name of the scene.
        source: The input.
        target: The output, written or planned.
        status: How it ended.
        tally: Pixels counted over all bands.
        seconds: Wall time.
        method: Name of the method.
        median_std: Median standard deviation of the filled pixels in stored numbers, or None.
        notes: Remarks for the user: unfilled gaps, doubtful stripes, changed compression.
        files: All files written.
        error: Why it failed, or None.
        hint: What to do about the error, or None.
        trace: The traceback of the error, or None.
        row: Its row of the report, or None if not written yet.
        references: What is known of each reference that was examined.
        quantity: What the numbers are, such as `digital number` or `surface reflectance`, if known.
    """

    name: str
    source: str
    target: Path
    status: Status
    tally: Tally = Tally()
    seconds: float = 0.0
    method: str = ""
    median_std: float | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())
    error: str | None = None
    hint: str | None = None
    trace: str | None = None
    row: Mapping[str, object] | None = None
    references: tuple[Suitability, ...] = ()
    quantity: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the outcome as plain values for JSON, without the trace."""
        row = asdict(replace(self, row=None, references=()))
        row["references"] = [one.as_dict() for one in self.references if one.used]
        row["references_not_used"] = sum(not one.used for one in self.references)
        del row["trace"], row["row"]
        row.update(
            target=str(self.target),
            status=self.status.value,
            seconds=round(self.seconds, 3),
            files=[str(file) for file in self.files],
            missing_percent=round(100 * self.tally.missing_share, 3),
        )
        if self.status not in (Status.FILLED, Status.NO_GAPS):  # no pixels were counted
            row.update(tally=None, missing_percent=None)
        return row


def quantities_of(scenes: Iterable[Scene]) -> tuple[str, ...]:
    """Return what the numbers of scenes are, as far as known, each once."""
    return tuple(dict.fromkeys(band.quantity for scene in scenes for band in scene.bands if band.quantity is not None))


def level_notes(quantities: Sequence[str]) -> tuple[str, ...]:
    """Return a warning if quantities belong to different levels of processing."""
    if len({LEVEL_OF[one] for one in quantities}) < 2:
        return ()
    return (f"warning: the stack holds numbers of different levels of processing: {', '.join(quantities)}",)


def survey_notes(
    scene: Scene, survey: Survey, *, can_mark_missing: bool, refills_faint: bool = False
) -> tuple[str, ...]:
    """Return notes on a scene before it is filled, one sentence each.

    `can_mark_missing` says whether the file has any means to mark missing pixels, and `refills_faint` whether stripes
    that aren't exactly nodata are filled, too.
    """
    notes = list(scene.notes)
    empty = [scene.bands[number].name for number in sorted(survey.empty_bands)]
    if len(empty) == len(scene.bands):
        notes.append("no pixel is observed: there is nothing to fill from, and the scene is copied as it is")
    elif empty:
        which = ", ".join(empty) if len(empty) < 9 else f"{empty[0]} and {len(empty) - 1} other bands"
        notes.append(f"no pixel is observed in {which}: copied as it is; the other bands are filled")
    if not can_mark_missing:
        notes.append(
            "this file doesn't mark missing pixels: it has no nodata tag, mask, alpha band or Landsat fill "
            "value; give the number of missing pixels with --nodata"
        )
    if survey.constant is not None:
        number, share = survey.constant
        notes.append(
            f"warning: the number {number:g} makes stripes ({100 * share:.0f} % of the sampled pixels); it isn't "
            f"declared as nodata, so these pixels count as observed; --nodata {number:g} fills them"
        )
    elif survey.mixed_border_px and not refills_faint:
        notes.append(
            f"warning: {survey.mixed_border_px} px beside each gap are mixed with nodata, because the scene was "
            "resampled without a declared nodata number; these pixels stay unchanged, and nothing is filled from "
            "them; --refill faint fills them, too"
        )
    elif survey.has_faint_stripes and not refills_faint:
        notes.append(
            "warning: stripes that aren't exactly nodata: the scene was resampled or filled before, and "
            "these pixels count as observed; --refill faint fills them, too"
        )
    if scene.slc_off is False and survey.geometry is not None:
        notes.append("stripes found although the scan line corrector was on that day")
    hidden = survey.has_faint_stripes or survey.constant is not None
    if scene.slc_off and survey.geometry is None and not hidden:
        notes.append(
            "no stripes found although the scan line corrector was off that day: the scene was filled before, lies "
            "in the middle of the swath, or has gaps that weren't recognised"
        )
    return tuple(notes)


def fill_notes(
    survey: Survey, request: FillRequest, tally: Tally, *, wide_px: int = 0, kept_px: int = 0
) -> tuple[str, ...]:
    """Return notes on wide holes, filled or not, one sentence each.

    `wide_px` pixels were filled in holes wider than any SLC-off gap; `kept_px` observed pixels named by --refill were
    kept.
    """
    largest_px = request.largest_gap_px or survey.period_px
    notes = []
    if wide_px:
        notes.append(
            f"warning: {100 * wide_px / max(tally.filled, 1):.1f} % of the filled pixels lie in holes wider "
            f"than {survey.period_px} px: they are extrapolated from distant pixels"
        )
    if kept_px:
        notes.append(
            f"{kept_px:,} observed pixels named by --refill stay as they are: parts of holes wider than "
            f"{largest_px} px; a larger --largest-gap or --holes every fills them"
        )
    if not tally.left:
        return tuple(notes)
    share = 100 * tally.left / (tally.left + tally.filled)
    why = {
        Holes.NARROW: f"parts of holes wider than {largest_px} px; a larger --largest-gap or --holes every fills them",
        Holes.STRIPES: "they aren't SLC-off stripes; --holes narrow or every fills them",
        Holes.EVERY: "too far from any usable pixel",
    }[request.holes]
    return (*notes, f"{share:.1f} % of the missing pixels left unfilled: {why}")


LEAST_CUT_PX = 100
"""Fewest gap pixels at a cut edge for a note. In real scenes, edges that aren't cut have up to 50 by chance."""


def cut_notes(cut_px: int) -> tuple[str, ...]:
    """Return a note if the edges of a scene cut off many gap pixels: at least `cut_px` of each band."""
    if cut_px < LEAST_CUT_PX:
        return ()
    return (
        f"at least {cut_px:,} gap pixels of each band left unfilled where an edge cuts gaps off: the scene seems to be "
        "clipped; give the polygon that it was clipped with by --extent",
    )


def mask_notes(areas: Areas, masked_px: int) -> tuple[str, ...]:
    """Return a note on `masked_px`, the observed pixels that were replaced because of masks; none without masks."""
    if not areas.masks:
        return ()
    if not masked_px:
        return ("no observed pixel was replaced: all pixels that the mask marks are missing already",)
    return (f"{masked_px:,} observed pixels were replaced because the mask says that they are missing",)


@dataclass(frozen=True, slots=True)
class Description:
    """A scene, and the gaps and stripes found in it.

    Attributes:
        scene: The scene.
        survey: Its survey.
        notes: Remarks for the user.
    """

    scene: Scene
    survey: Survey
    notes: tuple[str, ...]

    @property
    def missing_shares(self) -> tuple[float, ...]:
        """Missing share of the footprint, for each band."""
        footprint = self.survey.footprint
        return tuple(
            missing / max(missing + observed, 1)
            for missing, observed in zip(footprint.missing_px, footprint.observed_px, strict=True)
        )

    @property
    def outside_shares(self) -> tuple[float, ...]:
        """Share of the grid outside the footprint, for each band."""
        grid = self.scene.grid
        return tuple(outside / (grid.height * grid.width) for outside in self.survey.footprint.outside_px)

    @property
    def corrector(self) -> str:
        """The state of the scan line corrector, in words."""
        words = {True: "SLC off", False: "SLC on", None: "SLC unknown"}
        return words[self.scene.slc_off]

    def as_dict(self) -> dict[str, object]:
        """Return the description as plain values for JSON."""
        scene, stripes = self.scene, self.survey.geometry
        return {
            "name": scene.name,
            "source": str(scene.source),
            "sensor": scene.sensor,
            "acquired": scene.acquired.isoformat() if scene.acquired else None,
            "slc_off": scene.slc_off,
            "rows": scene.grid.height,
            "columns": scene.grid.width,
            "pixel_size_m": scene.grid.pixel_size_m,
            "crs": scene.grid.crs.to_string() if scene.grid.crs else None,
            "bands": [
                {
                    "name": band.name,
                    "dtype": band.dtype,
                    "quantity": band.quantity,
                    "nodata": None if band.nodata is None or math.isnan(band.nodata) else band.nodata,
                    "missing_percent": round(100 * missing, 4),
                    "outside_percent": round(100 * outside, 4),
                }
                for band, missing, outside in zip(scene.bands, self.missing_shares, self.outside_shares, strict=True)
            ],
            "stripes": None
            if stripes is None
            else {
                "period_px": round(stripes.period_px, 2),
                "tilt_deg": round(stripes.tilt_deg, 2),
                "median_width_px": stripes.median_width_px,
                "largest_width_px": stripes.largest_width_px,
            },
            "quality": [quality.kind for quality in scene.quality],
            "notes": list(self.notes),
        }


def describe(scene: Scene) -> Description:
    """Return the description of a scene, after reading all its pixels once.

    Raises:
        InputError: If it can't be read.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=usable_cores(), on_progress=lambda _share: None)
        return Description(scene, survey, survey_notes(scene, survey, can_mark_missing=reader.can_mark_missing))


def explained(error: Exception) -> tuple[str, str | None]:
    """Return the message and the hint for an error."""
    if isinstance(error, LandsatFillError):
        return error.message, error.hint
    if is_lack_of_memory(error):
        return "expected enough memory, but got too little", "Use fewer --jobs, or fewer bands with --bands."
    if isinstance(error, gdal_errors()) and not getattr(error, "strerror", None):
        return (
            f"expected GDAL to read or write a file, but got an error: {error}",
            "The file may be damaged: download or copy it again.",
        )
    if isinstance(error, OSError):
        where = f" with {error.filename}" if error.filename else ""
        return (
            f"expected a system call{where} to succeed, but got: {error.strerror}",
            "Check permissions, free space and the length of names.",
        )
    return (
        f"unexpected {type(error).__name__}: {error}",
        "This is a bug of landsat-fill; --debug shows where it happened.",
    )
