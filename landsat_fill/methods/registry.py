"""Finds the methods: every module of this package that defines a class with a `MethodInfo`.

Adding a method is adding one file.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin, get_type_hints

from landsat_fill.errors import UsageError
from landsat_fill.methods.method import FillMethod, MethodInfo
from landsat_fill.scene import BandRole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.scene import SceneBand


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

DEFAULT_METHOD = "auto"
CODE_METHOD = "nearest"
PANCHROMATIC_METHOD = "tension-spline"
BEST_METHOD = "band-unet"
"""What `auto` stands for: the method that measures best on places it was not trained on."""


@cache
def method_classes() -> Mapping[str, type[FillMethod]]:
    """Return every method class by name, in alphabetical order.

    Raises:
        RuntimeError: If two classes share a name.
    """
    found: dict[str, type[FillMethod]] = {}
    for module_info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"landsat_fill.methods.{module_info.name}")
        for member in vars(module).values():
            if not isinstance(member, type) or member.__module__ != module.__name__:
                continue
            info = vars(member).get("info")
            if not isinstance(info, MethodInfo):
                continue
            if info.name in found:
                raise RuntimeError(f"two methods are called {info.name!r}: {found[info.name]} and {member}")
            if not is_dataclass(member):
                raise RuntimeError(f"method {info.name!r} is not a dataclass: {member}")
            found[info.name] = cast("type[FillMethod]", member)
    return dict(sorted(found.items()))


def method_class(name: str) -> type[FillMethod]:
    """Return the class of the method called `name`; `auto` is the best of them.

    Raises:
        UsageError: If there is none of that name; the hint names the nearest.
    """
    classes = method_classes()
    if name == DEFAULT_METHOD:
        name = BEST_METHOD
    if name in classes:
        return classes[name]
    near = difflib.get_close_matches(name.lower(), classes, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"expected the name of a method, but got {name!r}",
        hint=f"{hint}`landsat-fill methods` lists them: {', '.join(classes)}",
    )


def create_method(name: str, options: Mapping[str, object] | None = None) -> FillMethod:
    """Return the method called `name` with the given options, the rest at their defaults.

    Args:
        name: A method's name, or `auto`.
        options: Values by field name; text is converted to the field's type.

    Raises:
        UsageError: If the method, an option or its value doesn't exist.
    """
    cls = method_class(name)
    known = {o.name: o for o in method_options(cls)}
    values: dict[str, Any] = {}
    for key, value in (options or {}).items():
        field_name = key.replace("-", "_")
        if field_name not in known:
            near = difflib.get_close_matches(field_name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(
                f"expected an option of {cls.info.name}, but got {key!r}",
                hint=f"{hint}its options: {', '.join(known) or 'none'}",
            )
        values[field_name] = known[field_name].parse(value)
    return cls(**values)


def suited_method(
    method: FillMethod, bands: Sequence[SceneBand], *, is_choice: bool, empty: frozenset[int] = frozenset()
) -> tuple[FillMethod, tuple[str, ...]]:
    """Return the method that fills the bands of a scene, and a note where it isn't the one asked for.

    Codes are never interpolated, whatever is asked for: they take the nearest number. What `auto` stands for
    was trained on bands of 30 m, not on the finer grain of the panchromatic band.

    Args:
        method: The method asked for.
        bands: The bands, in the order of the image.
        is_choice: Whether the user named it, rather than `auto`.
        empty: Bands without an observed pixel, from 0, which no method is given.
    """
    from landsat_fill.methods.interpolation import BandByBand

    def name_of(band: SceneBand) -> str:
        if band.holds_codes:
            return CODE_METHOD
        is_pan = band.band is not None and band.band.role is BandRole.PANCHROMATIC
        return PANCHROMATIC_METHOD if is_pan and not is_choice else method.info.name

    names = [name_of(band) for band in bands]
    methods = {
        name: method if name == method.info.name else create_method(name) for name in dict.fromkeys(names)
    }
    notes = [
        f"{band.name} is filled by {name}, since {method.info.name} wasn't trained on panchromatic bands; "
        f"-m {method.info.name} fills it all the same"
        for band, name in zip(bands, names, strict=True)
        if name == PANCHROMATIC_METHOD != method.info.name
    ]
    if set(methods) == {method.info.name} and not empty:
        return method, ()
    infos = [one.info for one in methods.values()]
    align_px = method.info.align_px
    halo_px = -(-max(info.halo_px for info in infos) // align_px) * align_px
    parts = tuple(
        (tuple(number for number, one in enumerate(names) if one == name and number not in empty), chosen)
        for name, chosen in methods.items()
    )
    parts = tuple(part for part in parts if part[0])
    return BandByBand(parts, replace(method.info, halo_px=halo_px)), tuple(notes)


class MethodOption:
    """One option of a method, as its dataclass field tells it."""

    def __init__(self, name: str, kind: type, default: object, metadata: Mapping[str, object]) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.help = str(metadata.get("help", ""))
        low, high = metadata.get("low"), metadata.get("high")
        self.low = low if isinstance(low, int | float) else None
        self.high = high if isinstance(high, int | float) else None

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def range_text(self) -> str:
        """The values it may have, for people."""
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if self.low is None else f"{self.low:g} to {self.high:g}"

    def parse(self, value: object) -> object:
        """Return `value` as the option's type.

        Raises:
            UsageError: If it has another type or lies out of the range.
        """
        try:
            parsed = self.kind(value) if not isinstance(value, bool) or self.kind is bool else None
            if self.kind is bool and isinstance(value, str):
                parsed = _TRUTH[value.lower()]
            if parsed is None or (self.kind is int and isinstance(value, float) and parsed != value):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"expected {self.flag} to be {self.kind.__name__}, but got {value!r}") from None
        if isinstance(parsed, int | float) and not (
            (self.low is None or parsed >= self.low) and (self.high is None or parsed <= self.high)
        ):
            raise UsageError(f"expected {self.flag} to be {self.range_text}, but got {value}")
        return parsed


def method_options(cls: type[FillMethod]) -> tuple[MethodOption, ...]:
    """Return the options of a method class in the order of its fields."""
    if not is_dataclass(cls):
        raise TypeError(f"expected a dataclass, but got {cls}")
    hints = get_type_hints(cls)
    return tuple(MethodOption(f.name, _plain(hints[f.name]), f.default, f.metadata) for f in fields(cls))


def _plain(hint: Any) -> type:
    """Return `T` for a field of type `T | None`."""
    if get_origin(hint) is UnionType:
        hint = next(a for a in get_args(hint) if a is not NoneType)
    plain: type = hint
    return plain
