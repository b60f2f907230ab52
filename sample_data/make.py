"""Makes the sample data: `python sample_data/make.py`, or with `--full-size PATH` a scene for benchmarks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from full_scene import write_full_scene
from geotiff import grid_transform, write_geotiff
from landscape import paint_landscape
from product import Acquisition, write_product
from sensor import coarsened, store_pan, store_reflective, store_thermal
from swath_outline import fit_swath, frame_swath

from landsat_fill.gaps.simulation import StripeModel, lay_stripes
from landsat_fill.scene import ETM_PLUS, BandRole, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 7
SIDE_PX = 512
PRODUCT_WINDOW = Window(176, 40, 256, 256)
"""The part of the scene that becomes the product: it holds the swath's edge, a river and fields."""

SWATH_ROWS_PX, SWATH_COLS_PX = 2000, 1800
"""The sample is cut from a swath smaller than a real one, so that it shows most of the taper."""

SLIDE_PX = 3.0
"""How far the sides of the bands lie off each other: less than in a real scene, for a picture's sake."""

OUTSIDE_PX = 6
"""Columns left of the swath where it reaches farthest to the left."""

TAGS = {
    "SPACECRAFT_ID": "LANDSAT_7",
    "SENSOR_ID": "ETM",
    "DATE_ACQUIRED": "2005-07-04",
    "SENSOR_MODE_SLC": "OFF",
    "ORIGIN": "invented by landsat-fill (sample_data/make.py), not measured",
}


@dataclass(frozen=True)
class Sample:
    """The sample scene, arrays `(band, row, col)` of six bands.

    Attributes:
        clean: Stored numbers without gaps; 0 outside the footprint.
        missing: Where the scan line corrector's failure left no observation, inside the footprint.
        inside: Where the footprint is.
    """

    clean: NDArray[np.uint8]
    missing: NDArray[np.bool_]
    inside: NDArray[np.bool_]

    @property
    def gappy(self) -> NDArray[np.uint8]:
        """The scene as the sensor delivered it: 0 where nothing was observed."""
        return np.where(self.missing, 0, self.clean).astype(np.uint8)


def make_sample(side_px: int = SIDE_PX, seed: int = SEED) -> tuple[Sample, Acquisition]:
    """Return the sample scene, and what of it the product holds.

    Args:
        side_px: Side of the scene in pixels.
        seed: Decides what it looks like.
    """
    landscape = paint_landscape(side_px, seed, oversampling=2)
    generator = np.random.default_rng(seed)
    reflective = store_reflective(landscape, side_px, generator)
    names = [band.name for band in ETM_PLUS if band.role is not BandRole.PANCHROMATIC]
    inside, missing = _geometry(len(names), side_px, generator)
    bands = dict(zip(("1", "2", "3", "4", "5", "7"), reflective, strict=True))
    bands |= store_thermal(landscape, side_px, generator)
    sample = Sample(np.where(inside[:6], reflective, 0).astype(np.uint8), missing[:6], inside[:6])
    rows, columns = PRODUCT_WINDOW.slices
    order = [name.removeprefix("B") for name in names]
    pan_rows, pan_columns = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
    acquisition = Acquisition(
        bands={name: bands[name][rows, columns] for name in order}
        | {"8": store_pan(landscape, generator)[pan_rows, pan_columns]},
        inside={name: inside[index, rows, columns] for index, name in enumerate(order)}
        | {"8": _doubled(inside[1, rows, columns])},
        missing={name: missing[index, rows, columns] for index, name in enumerate(order)}
        | {"8": _doubled(missing[1, rows, columns])},
        cloud=coarsened(landscape.cloud, side_px)[rows, columns] > 0.3,
        shadow=coarsened(landscape.shadow, side_px)[rows, columns] > 0.3,
        water=coarsened(landscape.water, side_px)[rows, columns] > 0.6,
        row=PRODUCT_WINDOW.row,
        col=PRODUCT_WINDOW.col,
    )
    return sample, acquisition


def write_samples(folder: Path) -> None:
    """Write `slc_off.tif`, `clean.tif`, `slc_off_20050618.tif` and the product folder."""
    sample, acquisition = make_sample()
    colours = [band.colour for band in ETM_PLUS if band.role is BandRole.REFLECTIVE]
    for name, image, changed in (
        ("slc_off", sample.gappy, {}),
        ("clean", sample.clean, {"SENSOR_MODE_SLC": "ON"}),
        ("slc_off_20050618", make_earlier_date(), {"DATE_ACQUIRED": "2005-06-18"}),
    ):
        write_geotiff(
            folder / f"{name}.tif", image, grid_transform(), descriptions=colours, tags={**TAGS, **changed}, nodata=0
        )
    write_product(folder, acquisition)


def make_earlier_date(side_px: int = SIDE_PX, seed: int = SEED) -> NDArray[np.uint8]:
    """Return the place of the sample scene 16 days before, `(band, row, col)`: its gaps lie elsewhere."""
    landscape = paint_landscape(side_px, seed, oversampling=2, is_earlier=True)
    generator = np.random.default_rng([seed, 1])
    reflective = store_reflective(landscape, side_px, generator)
    inside, missing = _geometry(len(reflective), side_px, generator)
    return np.where(inside & ~missing, reflective, 0).astype(np.uint8)


def _geometry(bands: int, side_px: int, generator: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the footprint, and the missing pixels in it, at the left edge of a small swath."""
    shape = (bands, SWATH_ROWS_PX, SWATH_COLS_PX)
    stripes = lay_stripes(shape, fit_swath(shape, StripeModel()), generator)
    slides_px = tuple(generator.uniform(-SLIDE_PX, SLIDE_PX, bands).tolist())
    outline = replace(frame_swath(stripes, generator), slides_px=slides_px)
    first_row = (SWATH_ROWS_PX - side_px) // 2
    left, _ = outline.sides(0, np.arange(first_row, first_row + side_px))
    window = Window(first_row, int(left.min()) - OUTSIDE_PX, side_px, side_px)
    inside = outline.inside(window)
    return inside, stripes.missing_in(window) & inside


def _doubled(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return flags of 30 m pixels for pixels of 15 m."""
    height, width = flags.shape
    return np.asarray(cv2.resize(flags.astype(np.uint8), (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST) > 0)


def main() -> None:
    """Read the command line and write what it asks for."""
    parser = argparse.ArgumentParser(description="Make the sample data, or a full-size scene.")
    parser.add_argument("--full-size", type=Path, metavar="PATH", help="write a full-size scene there instead")
    parser.add_argument("--truth", type=Path, metavar="PATH", help="and its footprint there: 1 inside, 0 outside")
    parser.add_argument("--rows", type=int, default=8000, help="rows of the full-size scene")
    parser.add_argument("--cols", type=int, default=7000, help="columns of the full-size scene")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another landscape (full size)")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where the samples go")
    options = parser.parse_args()
    if options.full_size is not None:
        write_full_scene(options.full_size, options.rows, options.cols, options.seed, options.truth)
    else:
        write_samples(options.folder)


if __name__ == "__main__":
    main()
