"""What can be told of a scene without filling it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.io import SceneReader
from landsat_fill.pipeline.cores import usable_cores
from landsat_fill.pipeline.notes import survey_notes
from landsat_fill.pipeline.survey import Survey, survey_scene

if TYPE_CHECKING:
    from landsat_fill.scene import Scene


@dataclass(frozen=True, slots=True)
class Description:
    """A scene and its survey.

    Attributes:
        scene: The scene.
        survey: What one look at all its pixels tells.
        notes: What a user should know.
    """

    scene: Scene
    survey: Survey
    notes: tuple[str, ...]

    @property
    def missing_shares(self) -> tuple[float, ...]:
        """For each band, the share of the footprint that is missing."""
        footprint = self.survey.footprint
        return tuple(
            missing / max(missing + observed, 1)
            for missing, observed in zip(footprint.missing_px, footprint.observed_px, strict=True)
        )

    @property
    def outside_shares(self) -> tuple[float, ...]:
        """For each band, the share of the grid outside the footprint."""
        grid = self.scene.grid
        return tuple(outside / (grid.height * grid.width) for outside in self.survey.footprint.outside_px)

    @property
    def corrector(self) -> str:
        """What is known about the scan line corrector, for people."""
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
                    "nodata": None if band.nodata is None or math.isnan(band.nodata) else band.nodata,
                    "missing_percent": round(100 * missing, 4),
                    "outside_percent": round(100 * outside, 4),
                }
                for band, missing, outside in zip(
                    scene.bands, self.missing_shares, self.outside_shares, strict=True
                )
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
    """Return what can be told of a scene; all its pixels are read once.

    Raises:
        InputError: If it can't be read, or a band has no observed pixel.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=usable_cores(), on_progress=lambda _share: None)
        return Description(scene, survey, survey_notes(scene, survey, tells_missing=reader.tells_missing))
