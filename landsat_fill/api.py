"""The Python interface: open a scene, find gaps, fill an array or a file, simulate gaps, evaluate.

Arrays are numpy arrays, `xarray.DataArray`s, or anything that numpy converts, such as lists or CPU tensors.
A DataArray comes back as a DataArray with the same coordinates and attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.footprint import FootprintSurvey, reach_for_period
from landsat_fill.gaps.holes import Holes
from landsat_fill.gaps.simulation import StripeModel, gaps_from
from landsat_fill.gaps.simulation import simulate_gaps as simulated
from landsat_fill.io import SceneReader, find_inputs, one_input, open_input
from landsat_fill.io.areas import as_areas, beyond_extent, with_areas
from landsat_fill.methods import (
    DEFAULT_METHOD,
    Context,
    FillMethod,
    MethodInfo,
    create_method,
    fallback_of,
    method_classes,
)
from landsat_fill.pipeline.arrays import as_booleans, as_flags, as_image, as_references, like, stacked_like
from landsat_fill.pipeline.arrays import fill_array as fill_cube
from landsat_fill.pipeline.batch import Reports
from landsat_fill.pipeline.fill_scene import run_job
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, plan_jobs
from landsat_fill.pipeline.request import (
    FillLayer,
    FillRequest,
    OutputRequest,
    member,
    quality_flags,
    reference_request,
    require_realizations,
    require_references,
    wants_std,
)
from landsat_fill.pipeline.resources import choose_device, usable_cores
from landsat_fill.pipeline.survey import scan_period_px
from landsat_fill.scene import Filled, Gaps, Nodata, Window, missing_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS


@dataclass(frozen=True, slots=True)
class OpenedScene:
    """A scene with its pixels in memory. All arrays have the shape `(band, row, col)`.

    Attributes:
        name: Name of the scene in reports and file names.
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
    """The result of `find_gaps`. Both arrays have the shape of the image.

    Attributes:
        missing: True where a pixel inside the footprint holds no observation.
        footprint: True where the sensor could have seen the ground.
    """

    missing: Any
    footprint: Any


def open_scene(
    source: str | Path,
    *,
    bands: Iterable[str | int] | None = None,
    nodata: Nodata = None,
    mask: str | Path | Iterable[str | Path] = (),
    extent: str | Path | None = None,
) -> OpenedScene:
    """Return a GeoTIFF or a product with its pixels, its gaps and its footprint.

    Args:
        source: A GeoTIFF, or the folder or archive of a USGS or ESPA product: a path, a URL or `/vsi…`.
        bands: Names or numbers of the bands to read. If not given, all bands on the first grid, which is that of a
            product's reflective bands. The panchromatic band has its own grid; give its name to read it.
        nodata: Numbers of missing pixels in addition to the file's own, as for `fill_file`.
        mask: Rasters that mark missing pixels, as for `fill_file`.
        extent: A file with the polygon that the scene was clipped with, as for `fill_file`.

    Raises:
        InputError: If the scene can't be read, or a band has no observed pixel.
        UsageError: If the source holds several scenes, or lacks one of the bands.

    Source: USGS LSDS-1414 and LSDS-1618 for names and metadata of products; for the footprint see
    `find_gaps`.

    Example:
        >>> scene = landsat_fill.open_scene("sample_data/slc_off.tif")
        >>> scene.values.shape, scene.values.dtype.name, scene.bands[:3]
        ((6, 512, 512), 'uint8', ('blue', 'green', 'red'))
        >>> print(f"{scene.missing.sum() / scene.footprint.sum():.1%} missing")
        28.9% missing
    """
    given = one_input(source)
    scenes = open_input(given, nodata=nodata, bands=_names(bands))
    scene = with_areas(scenes, as_areas(_sources(mask), extent), given.name)[0]
    height, width = scene.grid.height, scene.grid.width
    with SceneReader(scene) as reader:
        whole = Window(0, 0, height, width)
        values, observed = reader.read(whole)
    return OpenedScene(
        name=scene.name,
        bands=tuple(band.name for band in scene.bands),
        values=values,
        observed=observed,
        footprint=_footprint(observed, scan_period_px(scene), beyond_extent(scene, whole)),
        transform=scene.grid.transform,
        crs=scene.grid.crs,
        sensor=scene.sensor,
        acquired=scene.acquired,
    )


def find_gaps(image: Any, *, nodata: Nodata = None, period_px: int = 33) -> FoundGaps:
    """Return which pixels of an image are missing, and its footprint.

    Gaps are missing. The border around the swath is not, even where gaps open into it.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band. The masked pixels of a masked array, NaN and
            infinity hold no observation.
        nodata: Numbers of missing pixels: 0, [0, 255], "250:255".
        period_px: Rows from one SLC-off gap to the next on the same side: 33 at 30 m, 66 at 15 m.

    Raises:
        UsageError: If the image isn't numeric, or its unobserved pixels can't be determined.

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
    numbers = missing_numbers(nodata)
    for low, high in () if numbers is None else numbers.spans:
        held &= ~((values >= low) & (values <= high))
    footprint = _footprint(held, period_px)
    return FoundGaps(like(image, footprint & ~held), like(image, footprint))


def fill_array(
    image: Any,
    missing: Any,
    *,
    usable: Any = None,
    references: Iterable[Any] = (),
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
        missing: Pixels to fill, as booleans or integers (0 is false); of the image's shape, or `(row, col)`
            for all bands.
        usable: Pixels that a fill may use, of the same shapes. If not given, all finite pixels that aren't
            missing.
        references: Other acquisitions of the place, best first: arrays of the image's shape, with the same bands
            in the same order, in any unit. Mask their gaps, clouds and shadows, or set them to NaN. The date of a
            DataArray is its scalar coordinate `time`, which `time-series` needs.
        method: Name of a method, or a method object. `list_methods` lists them. `auto` is `band-unet`, or
            `multi-date` with references. Pixels that a method with references leaves are filled from the image
            alone.
        options: Options of a named method.
        realizations: Number of realizations (plausible fills) to return, if the method gives them.
        seed: Seed of methods that use random numbers.
        pixel_size_m: Pixel size in metres, or None if unknown.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads; all cores that this process may use, if not given.

    Returns:
        `mean`, of the image's shape, float32 or float64: observed pixels unchanged, filled pixels in the same
        unit, NaN in a band without usable pixels. `std`: the standard deviation in the same unit, 0 at observed
        pixels; or None. `realizations`: along a leading axis; or None. With references also `sources`, of the
        image's shape: the number, from 1, of the reference with the largest weight at a filled pixel, and 0 where
        the image itself has it.

    Raises:
        UsageError: If an array or its shape isn't valid, a method or an option doesn't exist, or a method needs
            references and gets none, or gets references that it can't use.
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

        With another date, here a darker one:

        >>> earlier = 0.8 * landsat_fill.open_scene("sample_data/clean.tif").values
        >>> filled = landsat_fill.fill_array(
        ...     scene.values, scene.missing, usable=scene.observed, references=[earlier], method="llhm"
        ... )
        >>> sorted({int(number) for number in filled.sources[scene.missing]})
        [0, 1]
    """
    values, finite = as_image(image)
    shape = values.shape
    lost = as_flags("missing", missing, shape)
    trusted = finite & ~lost
    if usable is not None:
        trusted &= as_flags("usable", usable, shape)
    others = as_references(references, shape)
    chosen = create_method(method, options, with_references=bool(others))
    require_references("references", chosen.info, given=bool(others))
    require_realizations("realizations", realizations, chosen.info)
    context = Context(
        threads=threads or usable_cores(),
        device=choose_device(device, chosen.info),
        seed=seed,
        realizations=realizations,
        pixel_size_m=pixel_size_m,
    )
    cube = values if values.ndim == 3 else values[None]
    gaps = Gaps(lost.reshape(cube.shape), trusted.reshape(cube.shape))
    filled = fill_cube(cube, gaps, chosen, context=context, references=others, fallback=fallback_of(chosen))
    return Filled(
        like(image, filled.mean.reshape(shape)),
        None if filled.std is None else like(image, filled.std.reshape(shape)),
        None if filled.realizations is None else stacked_like(image, filled.realizations.reshape(-1, *shape)),
        None if filled.sources is None else like(image, filled.sources.reshape(shape)),
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
    reference: str | Path | Iterable[str | Path] = (),
    references: str | Path | Iterable[str | Path] = (),
    within: int | None = None,
    same_season: bool = False,
    max_references: int = 4,
    align: bool = True,
    refresh: bool = False,
    bands: Iterable[str | int] | None = None,
    nodata: Nodata = None,
    mask: str | Path | Iterable[str | Path] = (),
    extent: str | Path | None = None,
    bbox: Iterable[float] | None = None,
    bbox_crs: str | None = None,
    window: Iterable[int] | None = None,
    holes: str = "narrow",
    largest_gap_px: int | None = None,
    distrust: Iterable[str] = (),
    refill: Iterable[str] = (),
    name: str = "{name}_filled",
    stack: bool = False,
    bands_only: bool = False,
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
    """Fill a GeoTIFF or a product, as `landsat-fill fill` does, and return the outcome.

    Args:
        source: A GeoTIFF, or the folder or archive of a product; a path, a URL or a `/vsi…` path.
        target: The file to write for a GeoTIFF, a folder for a product; beside the source if not given.
        method: Name of a method, or a method object.
        options: Options of a named method.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        seed: Seed of methods that use random numbers.
        threads: CPU threads; all cores that this process may use, if not given.
        reference: Another acquisition of the place, or several, on any grid. It is an error if one can't be used.
        references: A folder, list, glob or index, or several, to choose the best references from.
        within: Largest number of days between the scene and a reference.
        same_season: Use only references whose day of the year is within 45 days of the scene's.
        max_references: Largest number of references, 1 to 8.
        align: Correct references that lie a quarter of a pixel or more off.
        refresh: Fill again if a folder of references has grown since the last fill.
        bands: Names or numbers of the bands to fill; all if not given.
        nodata: Numbers of missing pixels: 0, [0, 255], "250:255". They add to the file's own, unless "only" is given.
        mask: Rasters that mark missing pixels by any number but 0; gap_mask files (0 is missing); "BAND=FILE".
        extent: A file with the polygon that the scene was clipped with: GeoJSON, or a format of fiona or pyogrio.
        bbox: West, south, east and north edge of the part to fill and write.
        bbox_crs: The coordinate reference system of `bbox`, if it isn't the scene's.
        window: The part as first column, first row, width and height; in a product, on its first grid.
        holes: Which missing pixels to fill: `narrow` (holes up to the largest gap), `every` or `stripes`.
        largest_gap_px: Width of the widest hole to fill in pixels; one scan period, 990 m, if not given.
        distrust: Observed pixels that a fill must not use: `cloud`, `dilated-cloud`, `shadow`, `saturated`,
            `interpolated`, `faint`.
        refill: Observed pixels to replace, by the same words.
        name: Template of the output's name if the target is a folder or not given.
        stack: Write one GeoTIFF for each grid of a product instead of a folder of bands.
        bands_only: Don't copy the other files of a product (MTL, quality bands, angles).
        fill_layer: `scene` (one layer), `bands` (a layer for each band), `source` (one layer with a code for each
            reference) or `none`.
        uncertainty: Write the standard deviation; by default if the method has one.
        realizations: Number of realizations to write, if the method gives them.
        preview: Write a picture of before and after.
        cog: Write cloud-optimised GeoTIFFs.
        creation_options: GDAL creation options that replace the input's.
        overwrite: Replace existing outputs.
        report: A file to which a JSON line is appended.
        progress: A function that is called with the share done, 0 to 1, and a short status.

    Returns:
        Status, pixel counts, the files written, notes, the median standard deviation in stored numbers, and
        seconds. The status is `SKIPPED` if the output of the same request exists.

    Raises:
        UsageError: If an argument isn't valid, or the method can't give what is requested.
        LandsatFillError: If the file can't be read, filled or written. No partial output remains.

    Source: as for `fill_array`.

    Example:
        >>> outcome = landsat_fill.fill_file("sample_data/slc_off.tif", "filled.tif", method="harmonic")
        >>> outcome.status.value, outcome.tally.left, [file.name for file in outcome.files]
        ('filled', 0, ['filled.tif', 'filled_fill.tif'])
    """
    others = reference_request(
        _sources(reference),
        _sources(references),
        within_days=within,
        same_season=same_season,
        most=max_references,
        align=align,
    )
    chosen = create_method(method, options, with_references=others is not None)
    require_references("reference or references", chosen.info, given=others is not None)
    require_realizations("realizations", realizations, chosen.info)
    request = FillRequest(
        method=chosen,
        holes=member("holes", holes, Holes),
        largest_gap_px=largest_gap_px,
        distrusted=quality_flags("distrust", distrust),
        refilled=quality_flags("refill", refill),
        nodata=missing_numbers(nodata),
        bands=_names(bands),
        seed=seed,
        threads=threads or usable_cores(),
        device=choose_device(device, chosen.info),
        is_choice=method != DEFAULT_METHOD,
        references=others,
        fallback=fallback_of(chosen),
        areas=as_areas(_sources(mask), extent, bbox, bbox_crs, window),
    )
    outputs = OutputRequest(
        target=None if target is None else Path(target),
        name=name,
        stack=stack,
        bands_only=bands_only,
        fill_layer=member("fill_layer", fill_layer, FillLayer),
        uncertainty=wants_std(uncertainty, chosen.info),
        preview=preview,
        overwrite=overwrite,
        refresh=refresh,
        cog=cog,
        creation_options=creation_options or {},
        report=None if report is None else Path(report),
        realizations=realizations,
    )
    (job,) = plan_jobs([one_input(source)], outputs, request=request)
    if job.action is Action.REFUSE:
        raise job.refusal()
    if job.action is Action.SKIP:
        return job.outcome(Status.SKIPPED)
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
    """Return SLC-off gaps for a clean image, simulated or from a real scene, as booleans of its shape.

    Without `width_px`, `share` and `gaps`, the gaps are those of a whole swath: closed at nadir and widest at
    its edges.

    Args:
        image: `(band, row, col)`, or `(row, col)` for one band. Only its shape matters.
        width_px: Width of all gaps, in rows.
        share: Share of missing pixels, 0 to 1.
        gaps: Missing pixels of a real SLC-off scene, `(band, row, col)` or `(row, col)`.
        period_px: Rows from one gap to the next on the same side.
        tilt_deg: Angle at which gaps descend to the right.
        band_shift_px: Largest shift between the gaps of two bands, in rows.
        seed: Seed of the positions of the gaps.

    Raises:
        UsageError: If the arguments exclude each other, or no such gaps fit the image.

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
            width_px=width_px, missing=share, period_px=period_px, tilt_deg=tilt_deg, band_shift_px=band_shift_px
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
    nodata: Nodata = None,
    device: str = "auto",
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Hide observed pixels under stripes, fill them, and return the scores of the hidden pixels.

    All methods fill the same pixels. All ratios are relative to GDAL's fillnodata with three smoothing passes
    (`inverse-distance`), which is always in the result.

    Args:
        scenes: One scene or several: GeoTIFFs, products, folders.
        methods: One method or several, by name or as objects.
        widths_px: Widths of the stripes in rows.
        shares: Shares of hidden pixels, 0 to 1, as further patterns.
        band_shift_px: Largest shift between the stripes of two bands, in rows. With 0, all bands lose the same
            pixels.
        seeds: Number of random positions of each pattern.
        bands: Names or numbers of the bands; all if not given.
        nodata: Numbers of missing pixels in addition to a file's own, as for `fill_file`.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads; all cores that this process may use, if not given.

    Returns:
        A dictionary for each pattern and method, and for `all` patterns: `rmse_ratio` (RMSE relative to that of
        fillnodata), `r2`, `ssim`, `stripe_index` (0 is invisible), `coverage_90` (share of the true values inside
        90 % intervals), `seconds` and others; None for a score that doesn't apply. Scores are means over
        scenes and bands. `pandas.DataFrame` takes the list.

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
    """Return the name, source and abilities of each method.

    Source: the attribute `source` of each.

    Example:
        >>> [info.name for info in landsat_fill.list_methods() if info.gives_std][:3]
        ['band-unet', 'cokriging', 'convcnp']
    """
    return tuple(cls.info for cls in method_classes().values())


def _footprint(
    observed: NDArray[np.bool_], period_px: int, beyond: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return where the sensor could have seen the ground, with the shape of `observed`; never `beyond` an extent."""
    cube = observed if observed.ndim == 3 else observed[None]
    bands, height, width = cube.shape
    reach_px = reach_for_period(period_px)
    survey = FootprintSurvey(bands, height, width, reach_px, usable_cores(), ends_beyond=beyond is not None)
    survey.add(0, cube, 0, 0, beyond)
    return survey.finish().inside(Window(0, 0, height, width)).reshape(observed.shape)


def _sources(given: str | Path | Iterable[str | Path]) -> tuple[str, ...]:
    return (str(given),) if isinstance(given, str | Path) else tuple(str(one) for one in given)


def _names(bands: Iterable[str | int] | None) -> tuple[str, ...] | None:
    if bands is None:
        return None
    return tuple(bands.split(",")) if isinstance(bands, str) else tuple(str(band) for band in bands)
