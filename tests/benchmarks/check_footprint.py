"""Counts what a fill invents outside the footprint, what it leaves inside, and what it changes.

    python tests/benchmarks/check_footprint.py

Fills the simulated full-size scene, whose true footprint is known, with landsat-fill and with GDAL's tool;
then the real SLC-off scenes beside the checkout, where there is no truth to compare with. Exits with 1 if
landsat-fill misses a bar.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from full_scene_files import BANDS, REAL_DATA, FullScene, add_scene_options, full_scene
from gdal_tools import filled_path, filling_commands
from processes import landsat_fill, measure
from tables import figure_table, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

FILL = 0
FILLED_BAR = 0.999
GDAL_DISTANCES_PX = (100, 20)
"""The tool's default, and about what a user who minds the border would give."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the pixels of one band.

    Attributes:
        invented_px: Filled more than one pixel outside the true footprint.
        at_edge_px: Filled one pixel outside it.
        missing_px: Without an observation inside it.
        filled_px: Of these, filled.
        changed_px: Observed pixels that came back with another number.
    """

    invented_px: int
    at_edge_px: int
    missing_px: int
    filled_px: int
    changed_px: int

    @property
    def share_filled(self) -> float:
        """The share of the missing pixels that were filled, 0 to 1."""
        return self.filled_px / self.missing_px if self.missing_px else 1.0

    @property
    def meets_bars(self) -> bool:
        """Whether nothing was invented, hardly anything left, and nothing changed."""
        return not self.invented_px and self.share_filled >= FILLED_BAR and not self.changed_px


def main() -> None:
    """Read the command line, fill, count, and print the tables."""
    parser = argparse.ArgumentParser(description="Count what a fill does inside and outside the footprint.")
    add_scene_options(parser)
    parser.add_argument("--method", default="inverse-distance", help="a method of landsat-fill")
    options = parser.parse_args()
    scene = full_scene(options.folder, options.rows, options.cols)
    counts: dict[str, list[Counts]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        own = folder / "filled.tif"
        measure([[landsat_fill(), "fill", scene.path, "-o", own, "-m", options.method, "-q"]])
        ours = f"landsat-fill, {options.method}"
        counts[ours] = count_bands(scene, own)
        for distance_px in GDAL_DISTANCES_PX:
            measure(filling_commands(scene.path, folder, smoothing=3, distance_px=distance_px))
            counts[f"GDAL, -md {distance_px}"] = count_bands(scene, filled_path(folder))
        real = sorted((REAL_DATA / "slc_off").glob("*.tif"))
        rows = real_rows(real, folder, options.method)
    show(_simulated_table(counts))
    if rows:
        show(_real_table(rows))
    sys.exit(0 if all(band.meets_bars for band in counts[ours]) else 1)


def count_bands(scene: FullScene, filled: Path) -> list[Counts]:
    """Return the counts of each band of a filled scene."""
    import rasterio

    with rasterio.open(scene.path) as before, rasterio.open(filled) as after, rasterio.open(scene.truth) as truth:
        return [count(before.read(band), after.read(band), truth.read(band) == 1) for band in range(1, BANDS + 1)]


def count(before: NDArray[np.uint8], after: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Counts:
    """Return the counts of one band.

    Args:
        before: Stored numbers with gaps, `(row, col)`.
        after: Stored numbers after the fill.
        inside: The true footprint.
    """
    import cv2
    import numpy as np

    observed = before != FILL
    filled = ~observed & (after != FILL)
    near = cv2.dilate(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    return Counts(
        invented_px=int(np.count_nonzero(filled & ~near)),
        at_edge_px=int(np.count_nonzero(filled & near & ~inside)),
        missing_px=int(np.count_nonzero(inside & ~observed)),
        filled_px=int(np.count_nonzero(inside & filled)),
        changed_px=int(np.count_nonzero(observed & (before != after))),
    )


def real_rows(scenes: list[Path], folder: Path, method: str) -> list[tuple[str, dict[str, int]]]:
    """Return name and tally of real scenes, from the report of one batch."""
    if not scenes:
        return []
    report = folder / "real_scenes.jsonl"
    output = folder / "real"
    measure([[landsat_fill(), "fill", *scenes, "-o", output, "-m", method, "--report", report, "-q"]])
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    return [(row["name"], row["tally"]) for row in rows]


def _simulated_table(counts: dict[str, list[Counts]]) -> Table:
    table = figure_table(
        "simulated scene",
        "band",
        "invented > 1 px outside",
        "1 px outside",
        "missing inside",
        "filled %",
        "observed changed",
    )
    for name, bands in counts.items():
        for number, band in enumerate(bands, start=1):
            table.add_row(
                name if number == 1 else "",
                str(number),
                f"{band.invented_px:,}",
                f"{band.at_edge_px:,}",
                f"{band.missing_px:,}",
                f"{100 * band.share_filled:.4f}",
                f"{band.changed_px:,}",
                end_section=number == len(bands),
            )
    return table


def _real_table(rows: list[tuple[str, dict[str, int]]]) -> Table:
    table = figure_table("real scene, all bands", "observed", "filled", "left", "outside")
    for name, tally in rows:
        table.add_row(name, *(f"{tally[key]:,}" for key in ("observed", "filled", "left", "outside")))
    return table


if __name__ == "__main__":
    main()
