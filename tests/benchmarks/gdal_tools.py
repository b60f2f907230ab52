"""What a careful user of GDAL's tools does to fill a scene: the yardstick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from full_scene_files import BANDS
from processes import find_program

if TYPE_CHECKING:
    from pathlib import Path

    Command = list[str | Path]

HINT = "install GDAL's command line tools, for example with: apt install gdal-bin python3-gdal"
DISTANCE_PX = 100
"""The farthest an observed pixel may lie: the tool's own default, and that of `inverse-distance`."""


def filling_commands(scene: Path, folder: Path, *, smoothing: int, distance_px: int = DISTANCE_PX) -> list[Command]:
    """Return the commands that fill a scene: a band at a time, uncompressed, then all into one file.

    Straight into a compressed file the tool takes minutes, because it writes blocks more than once.

    Args:
        scene: The scene.
        folder: Where files may be written; the result is `filled_path(folder)`.
        smoothing: 3 × 3 averaging passes over the filled pixels.
        distance_px: How far an observed pixel may lie.

    Raises:
        SystemExit: If the tools aren't installed.
    """
    fill = find_program("gdal_fillnodata.py", "gdal_fillnodata", hint=HINT)
    stack = find_program("gdalbuildvrt", hint=HINT)
    translate = find_program("gdal_translate", hint=HINT)
    bands = [folder / f"gdal_band_{band}.tif" for band in range(1, BANDS + 1)]
    stacked = folder / "gdal_stacked.vrt"
    how = ["-q", "-md", str(distance_px), "-si", str(smoothing)]
    # As the scene itself is stored, and compressed on all cores.
    form = ["COMPRESS=DEFLATE", "TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "INTERLEAVE=BAND"]
    options = [part for option in [*form, "NUM_THREADS=ALL_CPUS"] for part in ("-co", option)]
    commands: list[Command] = [
        [fill, *how, "-b", str(number), scene, band] for number, band in enumerate(bands, start=1)
    ]
    commands.append([stack, "-q", "-overwrite", "-separate", stacked, *bands])
    commands.append([translate, "-q", *options, stacked, filled_path(folder)])
    return commands


def filled_path(folder: Path) -> Path:
    """Return the file that the last of the commands writes."""
    return folder / "gdal_filled.tif"
