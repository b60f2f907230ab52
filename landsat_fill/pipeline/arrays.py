"""Fills arrays in memory, and converts numpy, xarray, lists and tensors to them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context
from landsat_fill.pipeline.lattice import View, prepared
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.pipeline.tiles import cut_reference, fill_tiles, fill_with_references
from landsat_fill.scene import Filled, Gaps, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods import FillMethod


def fill_array(
    image: NDArray[np.generic],
    gaps: Gaps,
    method: FillMethod,
    *,
    context: Context | None = None,
    references: Sequence[Reference] = (),
    fallback: FillMethod | None = None,
) -> Filled:
    """Return the image with its missing pixels filled, and a standard deviation if the method has one.

    Args:
        image: `(band, row, col)`, any real type, in any unit.
        gaps: Cubes of the image's shape.
        method: A method, from `create_method`.
        context: Bands, pixel size, threads, device, seed and number of realizations. By default, bands and
            pixel size are unknown, all cores and the CPU are used, and there are no realizations.
        references: Other acquisitions, one tile of the image's shape each, for a method that needs them.
        fallback: The method that fills what a method with references leaves; without one, it stays NaN.

    Returns:
        Float arrays of the image's shape: observed pixels unchanged, filled pixels in the same unit, and NaN
        at missing pixels without valid pixels to fill from. The standard deviation is 0 at observed pixels.

    Raises:
        UsageError: If the shapes don't agree, or a usable pixel is missing or not finite.
    """
    if image.ndim != 3 or gaps.missing.shape != image.shape or gaps.usable.shape != image.shape:
        raise UsageError(
            "expected image, missing and usable of one shape (band, row, col), but got "
            f"{image.shape}, {gaps.missing.shape} and {gaps.usable.shape}",
            hint="Give one band as image[None].",
        )
    if (gaps.missing & gaps.usable).any():
        raise UsageError("expected no pixel to be both missing and usable, but some are")
    if not np.isfinite(image[gaps.usable]).all():
        raise UsageError(
            "expected usable pixels to be finite, but some are NaN or infinite",
            hint="Leave them out: usable & np.isfinite(image).",
        )
    context = context or Context(threads=usable_cores())
    _, height, width = image.shape

    def read(window: Window) -> View:
        part = (slice(None), *window.slices)
        others = tuple(cut_reference(reference, [window]) for reference in references)
        return View(image[part], Gaps(gaps.missing[part], gaps.usable[part]), others)

    whole = Window(0, 0, height, width)
    method = prepared(method, (height, width), read, context)
    if fallback is None:
        filled = fill_tiles(image, gaps, whole, method, context, references=references)
    else:
        filled = fill_with_references(image, gaps, whole, method, fallback, context, references)
    mean = np.where(gaps.missing, filled.mean, image)
    std = None if filled.std is None else np.where(gaps.missing, filled.std, np.float32(0))
    realizations = None if filled.realizations is None else np.where(gaps.missing, filled.realizations, image)
    return Filled(mean, std, realizations, filled.sources)


def as_image(image: Any, name: str = "image") -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the numbers of an image, and which of them are finite and unmasked."""
    values = _converted(name, image)
    if values.dtype.kind not in "uif":
        raise UsageError(
            f"expected {name} to hold integers or floats, but got {values.dtype}",
            hint="Give numbers; missing pixels may hold NaN or any number.",
        )
    if values.ndim not in (2, 3) or not values.size:
        raise UsageError(
            f"expected {name} to have the shape (band, row, col) or (row, col), but got {values.shape}",
            hint="Put bands first: np.moveaxis(image, -1, 0).",
        )
    dims = getattr(image, "dims", ())
    if {"x", "y"} <= set(dims) and tuple(dims[-2:]) != ("y", "x"):
        raise UsageError(
            f"expected {name} to end with the dimensions ('y', 'x'), but got {tuple(dims)}",
            hint="Transpose it: image.transpose(..., 'y', 'x').",
        )
    return values, np.isfinite(values) & ~np.ma.getmaskarray(image if np.ma.isMA(image) else values)


def as_references(references: Iterable[Any], shape: tuple[int, ...]) -> tuple[Reference, ...]:
    """Return arrays of an image's shape as references; NaN, infinite and masked pixels of each aren't usable.

    Bands are matched by their order. A DataArray with a scalar coordinate `time` has a date.

    Raises:
        UsageError: If one of them isn't an array of numbers, or has another shape.
    """
    cube = (1, *shape) if len(shape) == 3 else (1, 1, *shape)
    found = []
    for number, one in enumerate(references, 1):
        name = f"reference {number}"
        values, usable = as_image(one, name)
        if values.shape != shape:
            raise UsageError(
                f"expected {name} to have the image's shape {shape}, but got {values.shape}",
                hint="Give each reference on the image's grid, with the same bands in the same order.",
            )
        found.append(
            Reference(
                np.where(usable, values, 0).reshape(cube),
                usable.reshape(cube),
                tuple(range(cube[1])),
                _day_of(one),
                name,
            )
        )
    return tuple(found)


def _day_of(image: Any) -> date | None:
    """Return the day of a DataArray with a scalar coordinate `time`, otherwise None."""
    time = image.coords.get("time") if _is_data_array(image) else None
    if time is None or time.ndim or time.dtype.kind != "M" or np.isnat(time.values):
        return None
    return date.fromisoformat(str(time.values.astype("datetime64[D]")))


def as_flags(name: str, given: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return booleans of an image's shape."""
    flags = as_booleans(name, given)
    if flags.shape not in (shape, shape[-2:]):
        wanted = " or ".join(str(one) for one in dict.fromkeys((shape, shape[-2:])))
        raise UsageError(
            f"expected {name} to have the shape {wanted}, but got {flags.shape}",
            hint="Give a value for each pixel of the image, or for each pixel of one band.",
        )
    return np.broadcast_to(flags, shape)


def as_booleans(name: str, given: Any) -> NDArray[np.bool_]:
    """Return an integer or bool array as bool."""
    flags = _converted(name, given)
    if flags.dtype.kind not in "bui":
        raise UsageError(
            f"expected {name} to hold bool or integers, but got {flags.dtype}",
            hint="Compare: image == 0, or np.isnan(image).",
        )
    return flags.astype(bool)


def _converted(name: str, given: Any) -> NDArray[Any]:
    """Return the value as a numpy array."""
    if given is None:
        raise UsageError(
            f"expected {name} to be an array, but got None",
            hint="Find the missing pixels: landsat_fill.find_gaps(image, nodata=0).missing.",
        )
    try:
        return np.asarray(given)
    except Exception as error:  # uneven lists, and tensors on a GPU or with a gradient, raise various errors
        raise UsageError(
            f"expected {name} to be an array, but got {type(given).__name__}: {error}",
            hint="Give a numpy array, a DataArray, or nested lists of one shape.",
        ) from error


def like(image: Any, array: NDArray[Any]) -> Any:
    """Return an array, as a DataArray with coordinates and attributes if the image is one."""
    if not _is_data_array(image):
        return array
    return image.copy(data=array).drop_encoding()  # the encoding would store the fill as integers


def stacked_like(image: Any, arrays: NDArray[Any]) -> Any:
    """Return arrays along a leading axis, as a DataArray if the image is one."""
    if not _is_data_array(image):
        return arrays
    return image.expand_dims(realization=len(arrays)).copy(data=arrays).drop_encoding()


def _is_data_array(image: Any) -> bool:
    return type(image).__name__ == "DataArray" and type(image).__module__.startswith("xarray")
