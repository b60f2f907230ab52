"""From the options of `fill`, as the command line has them, to what they ask of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsat_fill.cli.choices import choice, flags, pairs
from landsat_fill.cli.options import band_list
from landsat_fill.errors import UsageError
from landsat_fill.gaps.selection import Holes
from landsat_fill.methods import create_method
from landsat_fill.pipeline import FillLayer, FillRequest, OutputRequest, usable_cores, wants_deviation

if TYPE_CHECKING:
    from collections.abc import Mapping


def fill_requests(given: Mapping[str, Any]) -> tuple[FillRequest, OutputRequest]:
    """Return how scenes are filled, on a device that is still to be chosen, and in which form.

    Args:
        given: The parameters of the command `fill` by name.

    Raises:
        UsageError: If they can't be meant.
    """
    chosen = create_method(given["method"], pairs("-O", given["option"]))
    request = FillRequest(
        method=chosen,
        holes=choice("--holes", given["holes"], Holes),
        largest_gap_px=given["largest_gap"],
        distrusted=flags("--distrust", given["distrust"]),
        refilled=flags("--refill", given["refill"]),
        nodata=given["nodata"],
        bands=band_list(given["bands"]),
        seed=given["seed"],
        threads=max(1, usable_cores() // given["jobs"]),
    )
    outputs = OutputRequest(
        target=_path(given["output"]),
        name=given["name"],
        stack=given["stack"],
        fill_layer=choice("--fill-layer", given["fill_layer"], FillLayer),
        uncertainty=wants_deviation(given["uncertainty"], chosen.info),
        preview=given["preview"],
        overwrite=given["overwrite"],
        cog=given["cog"],
        creation_options=pairs("--co", given["creation_option"]),
        report=_path(given["report"]),
        draws=given["draw"],
    )
    if outputs.draws and not chosen.info.draws:
        raise UsageError(
            f"expected a method that draws for --draw, but {chosen.info.name} has one answer only",
            hint="-m convlnp and -m direct-sampling draw",
        )
    return request, outputs


def memory_bytes(text: str | None) -> int | None:
    """Return the bytes that `8G` or `800M` means, powers of 1024; None for None.

    Raises:
        UsageError: If it means none.
    """
    if text is None:
        return None
    sizes = {"K": 10, "M": 20, "G": 30, "T": 40}
    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), ""
    if number and number[-1] in sizes:
        number, unit = number[:-1], number[-1]
    try:
        count = float(number) * (1 << sizes.get(unit, 0))
    except ValueError:
        count = 0.0
    if not 1 <= count < float("inf"):
        raise UsageError(f"expected --memory to be a size, 8G for example, but got {text!r}")
    return int(count)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
