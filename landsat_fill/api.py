"""The package from Python: open a scene, find gaps, fill an array or a file, simulate gaps, evaluate.

Arrays are numpy arrays, `xarray.DataArray`s, or whatever numpy converts, lists and CPU tensors for example.
A DataArray comes back as a DataArray with the same coordinates and attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.footprint import FootprintSurvey, reach_for_period
from landsat_fill.gaps.holes import Holes
from landsat_fill.gaps.simulation import StripeModel, gaps_from
from landsat_fill.gaps.simulation import simulate_gaps as simulated
from landsat_fill.io import SceneReader, find_inputs, open_input
from landsat_fill.methods import (
    DEFAULT_METHOD,
    Context,
    FillMethod,
    MethodInfo,
    create_method,
    method_classes,
)
from landsat_fill.pipeline.arrays import as_booleans, as_flags, as_image, like, stacked_like
from landsat_fill.pipeline.arrays import fill_array as fill_cube
from landsat_fill.pipeline.batch import Reports
from landsat_fill.pipeline.fill_scene import run_job
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, plan_jobs
from landsat_fill.pipeline.request import (
    FillLayer,
    FillRequest,
    Flag,
    OutputRequest,
    wants_std,
)
from landsat_fill.pipeline.resources import choose_device, usable_cores
from landsat_fill.pipeline.survey import scan_period_px
from landsat_fill.scene import Filled, Gaps, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from landsat_fill.io.inputs import Input

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class OpenedScene:
    """A scene with its pixels in memory. All arrays have the shape `(band, row, col)`.

    Attributes:
        name: What the scene is called in reports and file names.
        bands: Names of the bands in the order they are stored.
        values: Stored numbers, of the bands' common data type.
        observed: True where a pixel holds an observation.
        footprint: True where the sensor could have seen the ground.
        transform: Pixel corner to map coordinates.
        crs: The coordinate reference system, or None.
        sensor: `LE07`, `LT05`, `LC08` and the like, or None.
        acquired: The day of acquisition, or None.
    """

    name: str
    bands: tuple[str, ...]
    values: NDArray[np.generic]
    observed: NDArray[np.bool_]
    footprint: NDArray[np.bool_]
    transform: Affine
    crs: CRS | None
    sensor: str | None
    acquired: date | None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where a pixel inside the footprint holds no observation."""
        return self.footprint & ~self.observed


@dataclass(frozen=True, slots=True)
class FoundGaps:
    """What `find_gaps` finds. Both arrays have the shape of the image.

    Attributes:
        missing: True where a pixel inside the footprint holds no observation.
        footprint: True where the sensor could have seen the ground.
    """

    missing: Any
    footprint: Any


def open_scene(
    source: str | Path, *, bands: Iterable[str | int] | None = None, nodata: float | None = None
) -> OpenedScene:
    """Return a GeoTIFF or a product with its pixels, its gaps and its footprint.

    Args:
        source: A GeoTIFF, or the folder or archive of a USGS or ESPA product: a path, a URL or `/vsi…`.
        bands: Names or numbers of the bands to read. If not given, all bands on the first grid: those of a
            product's reflective bands. The panchromatic band has a grid of its own; name it to read it.
        nodata: The stored number that means "no observation", where the file doesn't say.

    Raises:
        InputError: If the scene can't be read, or a band has no observed pixel.
        UsageError: If the source holds several scenes, or lacks one of the bands.

    Source: USGS LSDS-1414 and LSDS-1618 for names and metadata of products; the footprint as of `find_gaps`.

    Example:
        >>> scene = landsat_fill.open_scene("sample_data/slc_off.tif")
        >>> scene.values.shape, scene.values.dtype.name, scene.bands[:3]
        ((6, 512, 512), 'uint8', ('blue', 'green', 'red'))
        >>> print(f"{scene.missing.sum() / scene.footprint.sum():.1%} missing")
        28.9% missing
    """
    scene = open_input(_one_input(source), nodata=nodata, bands=_names(bands))[0]
    height, width = scene.grid.height, scene.grid.width
    with SceneReader(scene) as reader:
        values, observed = reader.read(Window(0, 0, height, width))
    return OpenedScene(
        name=scene.name,
        bands=tuple(band.name for band in scene.bands),
        values=values,
        observed=observed,
        footprint=_footprint(observed, scan_period_px(scene)),
        transform=scene.grid.transform,
        crs=scene.grid.crs,
        sensor=scene.sensor,
        acquired=scene.acquired,
    )


def find_gaps(image: Any, *, nodata: float | None = None, period_px: int = 33) -> FoundGaps:
    """Return which pixels of an image are missing, and its footprint.

    Gaps open into the border at the edges of the swath. They count as missing, the border does not.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band. The masked pixels of a masked array, NaN and
            infinity hold no observation.
        nodata: The number that means "no observation".
        period_px: Rows from one SLC-off gap to the next of its side: 33 at 30 m, 66 at 15 m.

    Raises:
        UsageError: If the image isn't one of numbers, or nothing says which of its pixels are unobserved.

    Source: Data Users Handbook of Landsat 7, USGS LSDS-1927, for the geometry of the swath; the procedure is
    this package's own (`landsat_fill.gaps.footprint`).

    Example:
        >>> scene = landsat_fill.open_scene("sample_data/slc_off.tif")
        >>> gaps = landsat_fill.find_gaps(scene.values, nodata=0)
        >>> bool((gaps.missing == scene.missing).all())
        True
    """
    values, held = as_image(image)
    if nodata is None and values.dtype.kind in "ui" and held.all():
        raise UsageError(
            f"expected nodata for an image of {values.dtype}, but got none",
            hint="Give the number that means 'no observation': find_gaps(image, nodata=0)",
        )
    if nodata is not None:
        held &= values != nodata
    footprint = _footprint(held, period_px)
    return FoundGaps(like(image, footprint & ~held), like(image, footprint))


def fill_array(
    image: Any,
    missing: Any,
    *,
    usable: Any = None,
    method: str | FillMethod = "auto",
    options: Mapping[str, object] | None = None,
    realizations: int = 0,
    seed: int = 0,
    pixel_size_m: float | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Filled:
    """Return an image with its missing pixels filled.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band; integers or floats in any unit. Its values at
            missing pixels don't matter. Masked pixels of a masked array are never used to fill others.
        missing: Which pixels to fill, bool or integers (0 is no); of the image's shape, or `(row, col)` for
            all bands alike.
        usable: Which pixels a fill may rely on, of the same shapes; all that are finite and not missing, if
            not given.
        method: Name of a method, or a method object. `list_methods` names them; `auto` is the best.
        options: Options of the method by name, where it is named.
        realizations: How many plausible fills to return beside the mean, of a method that gives them.
        seed: Seed of the methods that use random numbers.
        pixel_size_m: Pixel size in metres, or None if unknown.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads; all cores that this process may use, if not given.

    Returns:
        `mean`, of the image's shape, float32 or float64: observed pixels as they were, filled ones in the
        same unit, NaN in a band without a usable pixel. `std`, the standard deviation in the same unit, 0 at
        observed pixels, or None for a method without. The realizations, along a leading axis, or None.

    Raises:
        UsageError: If an array can't be used or its shape doesn't agree, or the method or an option doesn't
            exist.
        LandsatFillError: If the method's weights or the device can't be used.

    Source: `landsat_fill.list_methods()` has the source of each method, `landsat-fill cite` prints it as
    BibTeX.

    Example:
        >>> scene = landsat_fill.open_scene("sample_data/slc_off.tif")
        >>> filled = landsat_fill.fill_array(scene.values, scene.missing, method="tension-spline")
        >>> filled.mean.shape, filled.mean.dtype.name, filled.std
        ((6, 512, 512), 'float32', None)
        >>> bool((filled.mean[scene.observed] == scene.values[scene.observed]).all())
        True
    """
    values, finite = as_image(image)
    shape = values.shape
    lost = as_flags("missing", missing, shape)
    trusted = finite & ~lost
    if usable is not None:
        trusted &= as_flags("usable", usable, shape)
    chosen = create_method(method, options)
    _require_realizations(realizations, chosen)
    context = Context(
        threads=threads or usable_cores(),
        device=choose_device(device, chosen.info),
        realizations=realizations,
        pixel_size_m=pixel_size_m,
    )
    cube = values if values.ndim == 3 else values[None]
    gaps = Gaps(lost.reshape(cube.shape), trusted.reshape(cube.shape))
    filled = fill_cube(cube, gaps, chosen, context=context, seed=seed)
    return Filled(
        like(image, filled.mean.reshape(shape)),
        None if filled.std is None else like(image, filled.std.reshape(shape)),
        None if filled.realizations is None else stacked_like(image, filled.realizations.reshape(-1, *shape)),
    )


def fill_file(
    source: str | Path,
    target: str | Path | None = None,
    *,
    method: str | FillMethod = "auto",
    options: Mapping[str, object] | None = None,
    device: str = "auto",
    seed: int = 0,
    threads: int | None = None,
    bands: Iterable[str | int] | None = None,
    nodata: float | None = None,
    holes: str = "narrow",
    largest_gap_px: int | None = None,
    distrust: Iterable[str] = (),
    refill: Iterable[str] = (),
    name: str = "{name}_filled",
    stack: bool = False,
    fill_layer: str = "scene",
    uncertainty: bool | None = None,
    realizations: int = 0,
    preview: bool = False,
    cog: bool = False,
    creation_options: Mapping[str, str] | None = None,
    overwrite: bool = False,
    report: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Outcome:
    """Fill a GeoTIFF or a product, as `landsat-fill fill` does, and return what became of it.

    Args:
        source: A GeoTIFF, or the folder or archive of a product; a path, a URL or a `/vsi…` path.
        target: The file to write for a GeoTIFF, a folder for a product; beside the source if not given.
        method: Name of a method, or a method object.
        options: Options of the method by name, where it is named.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        seed: Seed of the methods that use random numbers.
        threads: CPU threads; all cores that this process may use, if not given.
        bands: Names or numbers of the bands to fill; all if not given.
        nodata: The stored number that means "no observation", where the file doesn't say.
        holes: Which missing pixels to fill: `narrow` (no wider than the largest gap), `every` or `stripes`.
        largest_gap_px: The widest gap to fill in pixels; one scan period, 990 m, if not given.
        distrust: Observed pixels that a fill must not rely on: `cloud`, `dilated-cloud`, `shadow`,
            `saturated`, `interpolated`, `faint`.
        refill: Observed pixels to replace; the same words.
        name: Template of the output's name where the target is a folder or not given.
        stack: Write a product as one GeoTIFF a grid instead of a folder of bands.
        fill_layer: The record of what was filled: one layer for the `scene`, one a band (`bands`), or `none`.
        uncertainty: Write the standard deviation; if not given, where the method has one.
        realizations: How many plausible fills to write, of a method that gives them.
        preview: Write a picture of before and after.
        cog: Write cloud-optimised GeoTIFFs.
        creation_options: GDAL creation options that replace the input's.
        overwrite: Replace outputs that exist.
        report: A file to append a JSON line to.
        progress: Called with the share done, 0 to 1, and a word on how it goes.

    Returns:
        Status, pixel counts, the files written, notes, the median standard deviation in stored numbers, and
        seconds. The status is `SKIPPED` where the same fill lies there already.

    Raises:
        UsageError: If an argument can't be meant, or the method has no standard deviation that is asked for.
        LandsatFillError: If the file can't be read, filled or written; then nothing is left behind.

    Source: as of `fill_array`.

    Example:
        >>> outcome = landsat_fill.fill_file("sample_data/slc_off.tif", "filled.tif", method="harmonic")
        >>> outcome.status.value, outcome.tally.left, [file.name for file in outcome.files]
        ('filled', 0, ['filled.tif', 'filled_fill.tif'])
    """
    chosen = create_method(method, options)
    _require_realizations(realizations, chosen)
    request = FillRequest(
        method=chosen,
        holes=_member("holes", holes, Holes),
        largest_gap_px=largest_gap_px,
        distrusted=_quality_flags("distrust", distrust),
        refilled=_quality_flags("refill", refill),
        nodata=nodata,
        bands=_names(bands),
        seed=seed,
        threads=threads or usable_cores(),
        device=choose_device(device, chosen.info),
        is_choice=method != DEFAULT_METHOD,
    )
    outputs = OutputRequest(
        target=None if target is None else Path(target),
        name=name,
        stack=stack,
        fill_layer=_member("fill_layer", fill_layer, FillLayer),
        uncertainty=wants_std(uncertainty, chosen.info),
        preview=preview,
        overwrite=overwrite,
        cog=cog,
        creation_options=creation_options or {},
        report=None if report is None else Path(report),
        realizations=realizations,
    )
    (job,) = plan_jobs([_one_input(source)], outputs, request=request)
    if job.action is Action.REFUSE:
        raise job.refusal()
    if job.action is Action.SKIP:
        return Outcome(job.input.name, job.input.source, job.target, Status.SKIPPED)
    outcome = run_job(job, request, outputs, progress or (lambda _share, _text: None))
    if outputs.report is not None:
        Reports(outputs, [job], request).add(outcome)
    return outcome


def simulate_gaps(
    image: Any,
    *,
    width_px: float | None = None,
    share: float | None = None,
    gaps: Any = None,
    period_px: float = 33.0,
    tilt_deg: float = 9.7,
    band_shift_px: float = 1.0,
    seed: int = 0,
) -> Any:
    """Return SLC-off gaps for a clean image, simulated or a real scene's, as booleans of its shape.

    Without `width_px`, `share` and `gaps` they are those of a whole swath: closed at nadir, widest at its
    edges.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band. Only its shape counts.
        width_px: One width of all gaps, in rows.
        share: Share of the pixels to lose, 0 to 1.
        gaps: Missing pixels of an SLC-off scene, `(band, row, col)` or `(row, col)`, to lay over the image.
        period_px: Rows from one gap to the next of its side.
        tilt_deg: How far gaps dip to the right.
        band_shift_px: How many rows the gaps of one band lie off those of another, at most.
        seed: Places the gaps.

    Raises:
        UsageError: If two of the ways are asked for, or no gaps of that kind fit the image.

    Source: geometry measured on Landsat 7 scenes; Landsat 7 Data Users Handbook, USGS LSDS-1927.

    Example:
        >>> scene = landsat_fill.open_scene("sample_data/clean.tif")
        >>> lost = landsat_fill.simulate_gaps(scene.values, share=0.22)
        >>> lost.shape, round(float(lost.mean()), 2)
        ((6, 512, 512), 0.22)
    """
    values, _ = as_image(image)
    shape = (1, *values.shape) if values.ndim == 2 else values.shape
    generator = np.random.default_rng(seed)
    if gaps is None:
        model = StripeModel(
            width_px=width_px,
            missing=share,
            period_px=period_px,
            tilt_deg=tilt_deg,
            band_shift_px=band_shift_px,
        )
        lost = simulated(shape, model, generator)
    elif width_px is not None or share is not None:
        raise UsageError("expected gaps, or width_px or share, but got both", hint="Leave one of them out.")
    else:
        lost = gaps_from(as_booleans("gaps", gaps), shape, generator)
    return like(image, lost.reshape(values.shape))


def evaluate(
    scenes: str | Path | Iterable[str | Path],
    methods: str | FillMethod | Iterable[str | FillMethod] = "auto",
    *,
    widths_px: Sequence[float] = (4, 8, 14),
    shares: Sequence[float] = (),
    band_shift_px: float = 1.0,
    seeds: int = 1,
    bands: Iterable[str | int] | None = None,
    nodata: float | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Hide observed pixels under stripes, fill them, and return the scores of the hidden pixels.

    All methods fill the same pixels. GDAL's fillnodata with three smoothing passes (`inverse-distance`) is
    always one of the rows, and the one that ratios refer to.

    Args:
        scenes: One scene or several: GeoTIFFs, products, folders.
        methods: One method or several, by name or as objects.
        widths_px: Widths of the stripes in rows.
        shares: Shares of the pixels to hide, 0 to 1, beside the widths.
        band_shift_px: How many rows the stripes of one band lie off those of another; with 0 all bands lose
            the same pixels.
        seeds: How often each pattern is laid, each time elsewhere.
        bands: Names or numbers of the bands; all if not given.
        nodata: The stored number that means "no observation", where a file doesn't say.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads; all cores that this process may use, if not given.

    Returns:
        A dictionary for each pattern and method, and for `all` patterns: `rmse_ratio` (RMSE relative to
        fillnodata's), `r2`, `ssim`, `stripe_index` (0 is invisible), `coverage_90` (share of the truth inside
        90 % intervals), `seconds` and others; None where a score doesn't apply. Scores are means over scenes
        and bands. `pandas.DataFrame` takes the list as it is.

    Raises:
        InputError: If a scene can't be read.
        UsageError: If a method or a pattern doesn't exist.
        LandsatFillError: If a method fails on a scene.

    Source: SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861; CRPS: Gneiting and Raftery 2007,
    doi:10.1198/016214506000001437.

    Example:
        >>> rows = landsat_fill.evaluate("sample_data/clean.tif", "tension-spline", widths_px=[8])
        >>> sorted((row["method"], row["rmse_ratio"] < 1) for row in rows if row["pattern"] == "8 px")
        [('inverse-distance', False), ('tension-spline', True)]
    """
    from landsat_fill.evaluation import SimulatedStripes, as_json
    from landsat_fill.evaluation import evaluate as score

    named = [scenes] if isinstance(scenes, str | Path) else list(scenes)
    found, bad = find_inputs([str(one) for one in named])
    if bad:
        raise bad[0][1]
    given = [methods] if isinstance(methods, str | FillMethod) else list(methods)
    patterns = [SimulatedStripes.of_width(px, band_shift_px=band_shift_px) for px in widths_px]
    patterns += [SimulatedStripes.of_share(100 * one, band_shift_px=band_shift_px) for one in shares]
    wanted = _names(bands)
    results = score(
        [scene for one in found for scene in open_input(one, nodata=nodata, bands=wanted)],
        [create_method(method, None) for method in given],
        patterns,
        seeds=range(seeds),
        context=Context(threads=threads or usable_cores()),
        device=device,
    )
    if results.failures:
        error = results.failures[0].error
        raise error
    summary: list[dict[str, Any]] = as_json(results)["summary"]
    return summary


def list_methods() -> tuple[MethodInfo, ...]:
    """Return what each method is called, where it comes from and what it can do.

    Source: the attribute `source` of each.

    Example:
        >>> [info.name for info in landsat_fill.list_methods() if info.gives_std][:3]
        ['band-unet', 'cokriging', 'convcnp']
    """
    return tuple(cls.info for cls in method_classes().values())


def _footprint(observed: NDArray[np.bool_], period_px: int) -> NDArray[np.bool_]:
    """Return where the sensor could have seen the ground, of the shape of what is observed."""
    cube = observed if observed.ndim == 3 else observed[None]
    bands, height, width = cube.shape
    survey = FootprintSurvey(bands, height, width, reach_for_period(period_px), usable_cores())
    survey.add(0, cube, 0, 0)
    return survey.finish().inside(Window(0, 0, height, width)).reshape(observed.shape)


def _require_realizations(count: int, method: FillMethod) -> None:
    if count < 0 or (count and not method.info.gives_realizations):
        able = ", ".join(name for name, cls in method_classes().items() if cls.info.gives_realizations)
        wanted = "a number >= 0" if count < 0 else "0"
        raise UsageError(
            f"expected realizations to be {wanted} for {method.info.name}, but got {count}",
            hint=f"Methods that give realizations: {able}.",
        )


def _quality_flags(name: str, given: Iterable[str]) -> frozenset[Flag]:
    words = given.split(",") if isinstance(given, str) else given
    return frozenset(_member(name, word, Flag) for word in words if word)


def _member(name: str, given: str, kind: type[E]) -> E:
    """Return the member of an enumeration whose value is given."""
    try:
        return kind(given)
    except ValueError:
        values = ", ".join(str(member.value) for member in kind)
        raise UsageError(f"expected {name} to be one of {values}, but got {given!r}") from None


def _names(bands: Iterable[str | int] | None) -> tuple[str, ...] | None:
    if bands is None:
        return None
    return tuple(bands.split(",")) if isinstance(bands, str) else tuple(str(band) for band in bands)


def _one_input(source: str | Path) -> Input:
    found, bad = find_inputs([str(source)])
    if bad:
        raise bad[0][1]
    if len(found) != 1:
        raise UsageError(
            f"expected one scene, but {source} holds {len(found)}",
            hint=f"Name one of them: {', '.join(one.source for one in found[:3])}",
        )
    return found[0]
