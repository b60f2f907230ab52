"""Opens an input, product or raster, as scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError
from landsat_fill.io.gdal_session import is_local
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.io.inputs import Input, InputKind
from landsat_fill.io.mtl import slc_was_off
from landsat_fill.io.naming import is_landsat_name, read_name, without_gzip
from landsat_fill.io.products import find_products, open_band_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.scene import Scene


def open_input(
    given: Input, *, nodata: float | None = None, bands: Sequence[str] | None = None
) -> tuple[Scene, ...]:
    """Return the scenes of an input: opened, not read.

    Args:
        given: The input.
        nodata: The number that means "no observation", in place of what the file says.
        bands: The bands wanted, all where None: numbers or names as the file has them, `4`, `nir`, `SR_B4`.

    Raises:
        InputError: If it can't be opened.
        UsageError: If it has none of a band that is wanted.
    """
    if given.kind is InputKind.PRODUCT:
        products = find_products(given.source, bands=bands, nodata=nodata, only=given.product)
        return tuple(scene for product in products for scene in product.scenes)
    scene = _open_raster(given.source, nodata)
    if bands is not None:
        scene = _with_bands(scene, bands)
    return (replace(scene, name=given.name, source=given.source),)


def _open_raster(source: str, nodata: float | None) -> Scene:
    path = Path(source)
    is_here = is_local(source)
    scene = open_band_file(path, nodata=nodata) if is_here else None
    if scene is not None:
        return scene
    is_gzipped = is_here and without_gzip(source) != source
    scene = open_geotiff(
        f"/vsigzip/{path.absolute()}" if is_gzipped else source,
        nodata=nodata,
        landsat=is_landsat_name(source) or None,
    )
    return _with_facts(scene, source)


def _with_bands(scene: Scene, wanted: Sequence[str]) -> Scene:
    """Return the scene with the bands wanted, by number or name, in the order they are stored.

    Raises:
        UsageError: If it has none of one of them.
    """
    chosen = []
    for name in wanted:
        matching = [
            band
            for band in scene.bands
            if name.lower() in {str(band.index), band.name.lower(), band.band.colour if band.band else ""}
        ]
        if not matching:
            raise UsageError(
                f"expected bands of {scene.name}, but got {name!r}",
                hint="it has " + ", ".join(f"{band.index} ({band.name})" for band in scene.bands),
            )
        chosen.extend(matching)
    return replace(scene, bands=tuple(band for band in scene.bands if band in chosen))


def _with_facts(scene: Scene, source: str) -> Scene:
    """Return the scene with the sensor and day that its file's name tells, where the file doesn't."""
    facts = read_name(source)
    if facts is None:
        return scene
    sensor, acquired = scene.sensor or facts.sensor, scene.acquired or facts.acquired
    slc_off = slc_was_off(None, sensor, acquired) if scene.slc_off is None else scene.slc_off
    return replace(scene, sensor=sensor, acquired=acquired, slc_off=slc_off)
