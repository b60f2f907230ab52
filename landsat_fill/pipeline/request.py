"""The user's request: how to fill scenes, and which outputs to write."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.gaps.holes import Holes
from landsat_fill.io.areas import NO_AREAS, Areas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from landsat_fill.methods import FillMethod, MethodInfo
    from landsat_fill.scene import MissingNumbers


E = TypeVar("E", bound=Enum)


class Flag(Enum):
    """A reason to exclude an observed pixel."""

    CLOUD = "cloud"
    DILATED_CLOUD = "dilated-cloud"
    SHADOW = "shadow"
    SATURATED = "saturated"
    INTERPOLATED = "interpolated"
    FAINT = "faint"


class FillLayer(Enum):
    """Form of the fill layer: one band for the scene, one for each band, one that names each reference, or none."""

    SCENE = "scene"
    BANDS = "bands"
    SOURCE = "source"
    NONE = "none"


MOST_REFERENCES = 8
"""The most references that a method is given, except one that takes all."""


@dataclass(frozen=True, slots=True)
class ReferenceRequest:
    """Which other acquisitions may help to fill a scene.

    Attributes:
        named: Files, product folders or archives; each one must be usable.
        archives: Folders, lists and indexes in which references are looked for.
        within_days: Largest number of days between scene and reference; None for any.
        same_season: Whether the days of the year must lie within one season.
        most: Largest number of references of a scene.
        align: Whether shifts above a quarter of a pixel are corrected.
    """

    named: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    within_days: int | None = None
    same_season: bool = False
    most: int = 4
    align: bool = True


@dataclass(frozen=True, slots=True)
class FillRequest:
    """How to fill scenes.

    Attributes:
        method: The method with its options.
        holes: The holes to fill.
        largest_gap_px: The widest gap to fill in pixels; None means one scan period (990 m on the ground).
        distrusted: Flags of observed pixels that aren't valid pixels.
        refilled: Flags of observed pixels to fill again.
        nodata: Stored numbers of missing pixels, besides the file's own.
        bands: Names or numbers of the bands to fill; None means all.
        seed: Seed of random methods.
        threads: Number of threads for a scene.
        device: `cpu`, or the accelerator of the method.
        is_choice: Whether the user named the method, rather than `auto`.
        references: Which other acquisitions may help, or None.
        fallback: The method that fills what a method that needs references leaves, or None for any other method.
        areas: Masks of missing pixels, the end of the footprint, and the part to write.
    """

    method: FillMethod
    holes: Holes = Holes.NARROW
    largest_gap_px: int | None = None
    distrusted: frozenset[Flag] = frozenset()
    refilled: frozenset[Flag] = frozenset()
    nodata: MissingNumbers | None = None
    bands: tuple[str, ...] | None = None
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    is_choice: bool = True
    references: ReferenceRequest | None = None
    fallback: FillMethod | None = None
    areas: Areas = NO_AREAS


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """Place and form of the outputs.

    Attributes:
        target: A GeoTIFF or a folder; None means beside each input.
        name: Template of output names; `{name}` is the input's name.
        stack: Write a product as one file for each grid instead of a folder of bands.
        bands_only: Leave out the product's other files, such as metadata and quality bands.
        fill_layer: Form of the fill layer.
        uncertainty: Write the standard deviation beside each output.
        preview: Write a PNG of before and after beside each output.
        overwrite: Replace existing outputs.
        refresh: Replace outputs made before their folders of references grew.
        done_since_ns: Outputs since this time aren't replaced, so that a stopped run with `overwrite` can
            continue; None replaces all.
        cog: Write cloud-optimised GeoTIFFs.
        creation_options: GDAL creation options that replace the input's.
        report: File with a row for each scene; None means `report.jsonl` beside the outputs.
        realizations: Number of realizations to write beside each output.
    """

    target: Path | None = None
    name: str = "{name}_filled"
    stack: bool = False
    bands_only: bool = False
    fill_layer: FillLayer = FillLayer.SCENE
    uncertainty: bool = False
    preview: bool = False
    overwrite: bool = False
    refresh: bool = False
    cog: bool = False
    creation_options: Mapping[str, str] = field(default_factory=dict)
    report: Path | None = None
    realizations: int = 0
    done_since_ns: int | None = None

    @property
    def layer_endings(self) -> tuple[str, ...]:
        """Endings of the files written beside each output."""
        from landsat_fill.io.output_names import FILL, PREVIEW, STD, realization_ending

        wanted = {
            FILL: self.fill_layer is not FillLayer.NONE,
            STD: self.uncertainty,
            **{realization_ending(number + 1): True for number in range(self.realizations)},
            PREVIEW: self.preview,
        }
        return tuple(ending for ending, is_wanted in wanted.items() if is_wanted)


def member(name: str, given: str, kind: type[E]) -> E:
    """Return the member of an enumeration with a given value.

    Raises:
        UsageError: If there is none. The message names the setting, and the hint the most similar value.
    """
    values = [str(one.value) for one in kind]
    if given in values:
        return kind(given)
    raise not_one_of(f"{name} to be one of {', '.join(values)}", given, values, "")


def quality_flags(name: str, given: str | Iterable[str] | None) -> frozenset[Flag]:
    """Return the flags in a sequence of words or a comma-separated list; none for None."""
    words = given.split(",") if isinstance(given, str) else given or ()
    return frozenset(member(name, word.strip(), Flag) for word in words if word.strip())


def require_realizations(name: str, count: int, info: MethodInfo) -> None:
    """Raise UsageError if a number of realizations is negative, or the method gives none; `name` is the setting's."""
    from landsat_fill.methods import method_classes

    if count < 0 or (count and not info.gives_realizations):
        wanted = "a number >= 0" if count < 0 else "0"
        able = ", ".join(name for name, cls in method_classes().items() if cls.info.gives_realizations)
        raise UsageError(
            f"expected {name} to be {wanted} for {info.name}, but got {count}",
            hint=f"Methods that give realizations: {able}.",
        )


def wants_std(requested: bool | None, info: MethodInfo) -> bool:
    """Return whether to write the standard deviation: by default if the method has one.

    Raises:
        UsageError: If it is requested, but the method has none.
    """
    if requested and not info.gives_std:
        raise UsageError(
            f"expected a method with a standard deviation for --uncertainty, but {info.name} has none",
            hint="Run `landsat-fill methods` to see which do.",
        )
    return info.gives_std if requested is None else requested


def reference_request(
    named: Iterable[str], archives: Iterable[str], *, within_days: int | None, same_season: bool, most: int, align: bool
) -> ReferenceRequest | None:
    """Return the request for references, or None without any; see `ReferenceRequest`.

    Raises:
        UsageError: If limits are given without references, or a limit isn't allowed.
    """
    named, archives = tuple(named), tuple(archives)
    if not named and not archives:
        if within_days is not None or same_season:
            raise UsageError(
                "expected limits of days and season only together with references, but got no reference",
                hint="Give a folder of references, or leave the limits out.",
            )
        return None
    if not 1 <= most <= MOST_REFERENCES:
        raise UsageError(f"expected 1 to {MOST_REFERENCES} as the largest number of references, but got {most}")
    if within_days is not None and within_days < 0:
        raise UsageError(f"expected a number of days >= 0 between scene and reference, but got {within_days}")
    return ReferenceRequest(named, archives, within_days, same_season, most, align)


def require_references(setting: str, info: MethodInfo, *, given: bool) -> None:
    """Raise UsageError if a method needs references and gets none, or can't use those it gets.

    `setting` names the option or argument that gives references.
    """
    if info.needs_references and not given:
        raise UsageError(
            f"expected references for {info.name}, which fills from other dates, but got none",
            hint=f"Give them with {setting}.",
        )
    if given and not info.takes_references:
        from landsat_fill.methods import method_classes

        able = ", ".join(name for name, cls in method_classes().items() if cls.info.takes_references)
        raise UsageError(
            f"expected a method that uses references, but {info.name} doesn't",
            hint=f"Leave the method out, or choose one of {able}.",
        )
