"""The methods by name: every class with a `MethodInfo` in this package, and those of other packages.

Adding a method is adding one file here, or an entry point of the group `landsat_fill.methods` in another
package that names the class, or a module with several.
"""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple, cast

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.methods.method import FillMethod, MethodInfo
from landsat_fill.networks.catalogue import classes_of
from landsat_fill.scene import BandRole
from landsat_fill.schema import Option, options_of, parsed, require_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.scene import SceneBand


DEFAULT_METHOD = "auto"
CODE_METHOD = "nearest"
PANCHROMATIC_METHOD = "tension-spline"
BEST_METHOD = "band-unet"
"""What `auto` stands for: the method that measures best on places it was not trained on."""

PLUGINS = "landsat_fill.methods"
"""The group of entry points by which other packages add methods."""


class _Found(NamedTuple):
    """The methods there are, and the plugins that can't be used, each with the reason."""

    classes: dict[str, type[FillMethod]]
    broken: dict[str, str]


@cache
def _found() -> _Found:
    """Return all methods; a fault in one of this package's own is raised, one in a plugin is kept."""
    classes: dict[str, type[FillMethod]] = {}
    broken: dict[str, str] = {}
    for cls in filter(_is_method, classes_of("landsat_fill.methods")):
        _add(cls, classes)
    for plugin in entry_points(group=PLUGINS):
        try:
            loaded = plugin.load()
            members = list(vars(loaded).values()) if inspect.ismodule(loaded) else [loaded]
            own = [cls for cls in members if _is_method(cls)]
            if not own:
                raise TypeError(f"{plugin.value} has no class with an info of the type MethodInfo")
            for cls in own:
                _add(cls, classes)
        except Exception as error:  # whatever a plugin does on import must not stop the others
            package = plugin.dist.name if plugin.dist is not None else plugin.value
            broken[plugin.name] = f"package {package}: {type(error).__name__}: {error}"
    return _Found(dict(sorted(classes.items())), broken)


def _is_method(member: object) -> bool:
    return isinstance(member, type) and isinstance(vars(member).get("info"), MethodInfo)


def _add(cls: type, classes: dict[str, type[FillMethod]]) -> None:
    """Add a method class to others.

    Raises:
        TypeError: If it isn't a method, or a method has that name.
    """
    name = cls.info.name  # type: ignore[attr-defined]
    if name in classes or name == DEFAULT_METHOD:
        raise TypeError(f"two methods are called {name!r}: {classes.get(name)} and {cls}")
    if not callable(getattr(cls, "fill", None)):
        raise TypeError(f"{cls} has no method fill")
    options_of(cls)
    classes[name] = cast("type[FillMethod]", cls)


def method_classes() -> Mapping[str, type[FillMethod]]:
    """Return every method class by name, in alphabetical order."""
    return _found().classes


def broken_plugins() -> Mapping[str, str]:
    """Return why a method of another package can't be used, by the name of its entry point."""
    return _found().broken


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
    if name in broken_plugins():
        raise UsageError(f"expected the method {name} to load, but got an error in {broken_plugins()[name]}")
    raise not_one_of("the name of a method", name, classes, "`landsat-fill methods` lists them: {}.")


def create_method(method: str | FillMethod, options: Mapping[str, object] | None = None) -> FillMethod:
    """Return a method by its name with the given options, the rest at their defaults.

    Args:
        method: A method's name, or `auto`; or a method object, which is returned as it is.
        options: Values by field name; text is converted to the field's type.

    Raises:
        UsageError: If the method or an option doesn't exist, an option may not have its value, or options
            are given beside a method object.
    """
    if isinstance(method, str):
        cls = method_class(method)
        owner = f"an option of {cls.info.name}"
        return cls(**parsed(cls, options or {}, owner, called="{flag}", from_text=True))
    if isinstance(method, type) or not (isinstance(method, FillMethod) and is_dataclass(method)):
        raise UsageError(
            f"expected the name of a method or a method object, but got {method!r}",
            hint="Choose one of `landsat-fill methods`; an object is an instance of a frozen dataclass.",
        )
    if options:
        raise UsageError(
            f"expected no options beside a method object, but got {', '.join(options)}",
            hint="Give them to the object when it is made.",
        )
    require_allowed(method)
    return method


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


def method_options(cls: type[FillMethod]) -> tuple[Option, ...]:
    """Return the options of a method class in the order of its fields."""
    return tuple(options_of(cls).values())
