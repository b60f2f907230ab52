"""What a user asks of a fill, as one plain value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.gaps.holes import Holes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from landsat_fill.methods import FillMethod, MethodInfo


E = TypeVar("E", bound=Enum)


class Flag(Enum):
    """Something that makes an observed pixel doubtful."""

    CLOUD = "cloud"
    DILATED_CLOUD = "dilated-cloud"
    SHADOW = "shadow"
    SATURATED = "saturated"
    INTERPOLATED = "interpolated"
    FAINT = "faint"


class FillLayer(Enum):
    """How the record of what was filled is written: one band for the scene, one a band, or not at all."""

    SCENE = "scene"
    BANDS = "bands"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class FillRequest:
    """How scenes are to be filled.

    Attributes:
        method: The method with its options.
        holes: Which missing pixels are to be filled.
        largest_gap_px: The widest gap to fill in pixels; None for one scan period (990 m on the ground).
        distrusted: Observed pixels left out of the evidence.
        refilled: Observed pixels treated as missing.
        nodata: The stored number that means "no observation", where the file doesn't say.
        bands: Names or numbers of the bands to work on; None for all.
        seed: Seed of methods that draw.
        threads: Threads a scene may use.
        device: `cpu`, or the accelerator a method runs on.
        is_choice: Whether the user named the method, rather than `auto`.
    """

    method: FillMethod
    holes: Holes = Holes.NARROW
    largest_gap_px: int | None = None
    distrusted: frozenset[Flag] = frozenset()
    refilled: frozenset[Flag] = frozenset()
    nodata: float | None = None
    bands: tuple[str, ...] | None = None
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    is_choice: bool = True


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """Where results go, and in which form.

    Attributes:
        target: A file for one GeoTIFF, a folder else; None for beside each input.
        name: Template of output names; `{name}` is the input's.
        stack: Write a product as one file a grid instead of a folder of bands.
        fill_layer: How the record of what was filled is written.
        uncertainty: Write the standard deviation beside each output.
        preview: Write a PNG of before and after beside each output.
        overwrite: Replace outputs that exist.
        done_since_ns: Outputs of that time or later aren't replaced; None to replace all. Lets a run that
            replaces outputs go on where it stopped.
        cog: Write cloud-optimised GeoTIFFs.
        creation_options: GDAL creation options that replace the input's.
        report: File that gets a row a scene; None for `report.jsonl` beside the outputs.
        realizations: How many plausible fills are written beside each output, of a method that draws.
    """

    target: Path | None = None
    name: str = "{name}_filled"
    stack: bool = False
    fill_layer: FillLayer = FillLayer.SCENE
    uncertainty: bool = False
    preview: bool = False
    overwrite: bool = False
    cog: bool = False
    creation_options: Mapping[str, str] = field(default_factory=dict)
    report: Path | None = None
    realizations: int = 0
    done_since_ns: int | None = None

    @property
    def layer_endings(self) -> tuple[str, ...]:
        """How the names of the files end that are written beside each output."""
        from landsat_fill.io.output_names import FILL, PREVIEW, STD, draw_ending

        wanted = {
            FILL: self.fill_layer is not FillLayer.NONE,
            STD: self.uncertainty,
            **{draw_ending(number + 1): True for number in range(self.realizations)},
            PREVIEW: self.preview,
        }
        return tuple(ending for ending, is_wanted in wanted.items() if is_wanted)


def member(name: str, given: str, kind: type[E]) -> E:
    """Return the member of `kind` whose value is given.

    Args:
        name: What the user calls the setting.
        given: A word.
        kind: The words that exist.

    Raises:
        UsageError: If there is none; the hint names the nearest.
    """
    values = [str(one.value) for one in kind]
    if given in values:
        return kind(given)
    raise not_one_of(f"{name} to be one of {', '.join(values)}", given, values, "")


def quality_flags(name: str, given: str | Iterable[str] | None) -> frozenset[Flag]:
    """Return the flags that words, or a comma-separated list of them, name; none for None."""
    words = given.split(",") if isinstance(given, str) else given or ()
    return frozenset(member(name, word.strip(), Flag) for word in words if word.strip())


def wants_deviation(asked: bool | None, info: MethodInfo) -> bool:
    """Return whether the standard deviation is written: unless told, where the method has one.

    Args:
        asked: What the user says of it, or None.
        info: The method's.

    Raises:
        UsageError: If it is asked for, and the method has none.
    """
    if asked and not info.gives_std:
        raise UsageError(
            f"expected a method with a standard deviation for --uncertainty, but {info.name} has none",
            hint="Run `landsat-fill methods` to see which do.",
        )
    return info.gives_std if asked is None else asked
