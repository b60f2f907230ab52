"""The package from Python: fill an array, fill a file, list the methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.holes import Holes
from landsat_fill.io import find_inputs
from landsat_fill.methods import DEFAULT_METHOD, Context, MethodInfo, create_method, method_classes
from landsat_fill.pipeline import (
    FillRequest,
    Outcome,
    OutputRequest,
    choose_device,
    plan_jobs,
    run_job,
    wants_deviation,
)
from landsat_fill.pipeline.arrays import fill_array as fill_cube
from landsat_fill.pipeline.plan import Action
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def fill_array(
    image: NDArray[np.generic],
    missing: NDArray[np.bool_],
    *,
    usable: NDArray[np.bool_] | None = None,
    method: str = "auto",
    options: Mapping[str, object] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Filled:
    """Return an image with its missing pixels filled.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band; any real type, any unit. What it holds where
            pixels are missing doesn't matter.
        missing: Which pixels to fill; of the image's shape, or `(row, col)` for all bands alike.
        usable: Which pixels may serve as evidence, as far as they are finite and not missing; all, if
            not given.
        method: Name of a method; `list_methods` has them. `auto` is the best.
        options: Options of the method by name.
        seed: Seed of methods that draw.
        device: `auto`, `cpu`, or `cuda` and the like.

    Returns:
        A mean of the image's shape, float32 or float64: observed pixels as they were, filled ones in the same
        unit, NaN where a method had no evidence; and a standard deviation, 0 where observed, or None for a
        method without.

    Raises:
        UsageError: If the shapes don't agree, or the method or an option of it doesn't exist.
        LandsatFillError: If the method's weights or the device can't be used.
    """
    cube = image[None] if image.ndim == 2 else image
    if cube.ndim != 3 or missing.shape not in (image.shape, cube.shape[1:]):
        raise UsageError(
            f"expected missing of the image's shape {image.shape} or of {image.shape[-2:]}, "
            f"but got {missing.shape}"
        )
    lost = np.broadcast_to(missing, cube.shape)
    trusted = np.isfinite(cube) & (True if usable is None else np.broadcast_to(usable, cube.shape))
    chosen = create_method(method, options)
    context = Context(threads=usable_cores(), device=choose_device(device, chosen.info))
    filled = fill_cube(cube, Gaps(lost, trusted & ~lost), chosen, context=context, seed=seed)
    if image.ndim == 3:
        return filled
    return Filled(filled.mean[0], None if filled.std is None else filled.std[0])


def fill_file(
    source: str | Path,
    target: str | Path | None = None,
    *,
    method: str = "auto",
    options: Mapping[str, object] | None = None,
    holes: str = "narrow",
    largest_gap_px: int | None = None,
    nodata: float | None = None,
    bands: tuple[str, ...] | None = None,
    uncertainty: bool | None = None,
    preview: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> Outcome:
    """Fill a GeoTIFF or a product, as `landsat-fill fill` does, and return what became of it.

    Args:
        source: A GeoTIFF, or a product's folder or archive.
        target: The file to write for a GeoTIFF, a folder for a product; beside the source if not given.
        method: Name of a method.
        options: Options of the method by name.
        holes: Which missing pixels to fill: `narrow`, `every` or `stripes`.
        largest_gap_px: The widest gap to fill in pixels; one scan period if not given.
        nodata: The stored number that means "no observation", where the file doesn't say.
        bands: Names or numbers of the bands to fill.
        uncertainty: Write the standard deviation, too; if not given, where the method has one.
        preview: Write a picture of before and after, too.
        overwrite: Replace outputs that exist.
        device: `auto`, `cpu`, or `cuda` and the like.

    Returns:
        Pixel counts, the files written, notes and seconds.

    Raises:
        LandsatFillError: If the file can't be read, filled or written, or the method has no deviation that is
            asked for; then nothing is left behind.
    """
    found, bad = find_inputs([str(source)])
    if bad:
        raise bad[0][1]
    if len(found) != 1:
        raise UsageError(f"expected one scene, but {source} holds {len(found)}", hint="fill them one by one")
    chosen = create_method(method, options)
    request = FillRequest(
        method=chosen,
        holes=Holes(holes),
        largest_gap_px=largest_gap_px,
        nodata=nodata,
        bands=bands,
        threads=usable_cores(),
        device=choose_device(device, chosen.info),
        is_choice=method != DEFAULT_METHOD,
    )
    outputs = OutputRequest(
        target=None if target is None else Path(target),
        uncertainty=wants_deviation(uncertainty, chosen.info),
        preview=preview,
        overwrite=overwrite,
    )
    (job,) = plan_jobs(found, outputs)
    if job.action is not Action.FILL:
        raise job.refusal()
    return run_job(job, request, outputs, lambda _share, _text: None)


def list_methods() -> tuple[MethodInfo, ...]:
    """Return what each method is called, where it comes from and what it can do."""
    return tuple(cls.info for cls in method_classes().values())
