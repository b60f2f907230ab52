"""The methods by name: every class with a `MethodInfo` in this package, and plugins from other packages.

To add a method, add one file here. Another package adds methods by an entry point of the group
`landsat_fill.methods` that names a class or a module.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import numpy as np

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.methods.method import Context, FillMethod, MethodInfo, Prepares
from landsat_fill.networks.catalogue import classes_of
from landsat_fill.scene import BandRole, Filled, Gaps
from landsat_fill.schema import Option, options_of, parsed, require_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import SceneBand


DEFAULT_METHOD = "auto"
CODE_METHOD = "nearest"
PANCHROMATIC_METHOD = "tension-spline"
BEST_METHOD = "band-unet"
"""The method behind `auto`: the most accurate one on places it was not trained on."""

REFERENCE_METHOD = "multi-date"
"""The method behind `auto` where references are given."""

PLUGINS = "landsat_fill.methods"
"""The group of entry points by which other packages add methods."""


class _Found(NamedTuple):
    """All methods, and the plugins that can't be used, each with the reason."""

    classes: dict[str, type[FillMethod]]
    broken: dict[str, str]


@cache
def _found() -> _Found:
    """Return all methods. An error in this package is raised, but an error in a plugin is recorded."""
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
        except Exception as error:  # a broken plugin must not stop the others
            package = plugin.dist.name if plugin.dist is not None else plugin.value
            broken[plugin.name] = f"package {package}: {type(error).__name__}: {error}"
    return _Found(dict(sorted(classes.items())), broken)


def _is_method(member: object) -> bool:
    return isinstance(member, type) and isinstance(vars(member).get("info"), MethodInfo)


def _add(cls: type, classes: dict[str, type[FillMethod]]) -> None:
    """Add a method class, or raise TypeError if it isn't a method or its name is taken."""
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
    """Return the reason why each broken plugin can't be used, by the name of its entry point."""
    return _found().broken


def method_class(name: str) -> type[FillMethod]:
    """Return the class of a method; `auto` is the best one.

    Raises:
        UsageError: If no method has that name; the hint names similar ones.
    """
    classes = method_classes()
    if name == DEFAULT_METHOD:
        name = BEST_METHOD
    if name in classes:
        return classes[name]
    if name in broken_plugins():
        raise UsageError(f"expected the method {name} to load, but got an error in {broken_plugins()[name]}")
    raise not_one_of("the name of a method", name, classes, "`landsat-fill methods` lists them: {}.")


def create_method(
    method: str | FillMethod, options: Mapping[str, object] | None = None, *, with_references: bool = False
) -> FillMethod:
    """Return a method with the given options; other options keep their defaults.

    Args:
        method: A method's name, or `auto`; or a method object, which is returned as it is.
        options: Values by field name; text is converted to the field's type.
        with_references: Whether references are given, so that `auto` is the best method that uses them.

    Raises:
        UsageError: If the method or an option doesn't exist, a value isn't allowed, or options are given
            together with a method object.
    """
    if isinstance(method, str):
        cls = method_class(REFERENCE_METHOD if with_references and method == DEFAULT_METHOD else method)
        owner = f"an option of {cls.info.name}"
        return cls(**parsed(cls, options or {}, owner, called="{flag}", from_text=True))
    if isinstance(method, type) or not (isinstance(method, FillMethod) and is_dataclass(method)):
        raise UsageError(
            f"expected the name of a method or a method object, but got {method!r}",
            hint="Choose one of `landsat-fill methods`; an object is an instance of a frozen dataclass.",
        )
    if options:
        raise UsageError(
            f"expected no options together with a method object, but got {', '.join(options)}",
            hint="Give them to the object when it is made.",
        )
    require_allowed(method)
    return method


def fallback_of(method: FillMethod) -> FillMethod | None:
    """Return the method that fills what another one leaves, or None for one that can fill without references."""
    return create_method(DEFAULT_METHOD) if method.info.needs_references else None


def suited_method(
    method: FillMethod, bands: Sequence[SceneBand], *, is_choice: bool, empty: frozenset[int] = frozenset()
) -> tuple[FillMethod, tuple[str, ...]]:
    """Return the method that fills the bands of a scene, and a note for each band filled by another method.

    Bands of codes are never interpolated: a missing pixel takes the nearest code. The method behind `auto` was
    trained on 30 m bands, so `PANCHROMATIC_METHOD` fills the panchromatic band unless the user names a method.

    Args:
        method: The requested method.
        bands: The bands, in the order of the image.
        is_choice: Whether the user named the method, rather than `auto`.
        empty: Numbers of the bands without an observed pixel, from 0; these are not filled.
    """

    def name_of(band: SceneBand) -> str:
        if band.holds_codes:
            return CODE_METHOD
        is_pan = band.band is not None and band.band.role is BandRole.PANCHROMATIC
        return PANCHROMATIC_METHOD if is_pan and not is_choice else method.info.name

    names = [name_of(band) for band in bands]
    methods = {name: method if name == method.info.name else create_method(name) for name in dict.fromkeys(names)}
    notes = [
        f"{band.name} is filled by {name}, because {method.info.name} wasn't trained on panchromatic bands; "
        f"to fill it with {method.info.name}, use -m {method.info.name}"
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
    return BandByBand(parts, method, replace(method.info, halo_px=halo_px)), tuple(notes)


def methods_by_band(method: FillMethod, count: int) -> tuple[FillMethod, ...]:
    """Return the method that fills each of `count` bands; `method` is one from `suited_method` or any other.

    A band that isn't filled has the requested method.
    """
    if not isinstance(method, BandByBand):
        return (method,) * count
    chosen = {band: one for bands, one in method.parts for band in bands}
    return tuple(chosen.get(band, method.requested) for band in range(count))


@dataclass(frozen=True)
class BandByBand:
    """Several methods that each fill some bands of a scene. It has no name, so users can't choose it.

    Attributes:
        parts: Numbers of bands, from 0, and the method that fills them. Each band is in one part.
        requested: The requested method.
        facts: The `info` of this method: the requested method's, with the widest halo.
    """

    info: ClassVar[MethodInfo]

    parts: tuple[tuple[tuple[int, ...], FillMethod], ...]
    requested: FillMethod
    facts: MethodInfo

    def __post_init__(self) -> None:
        """Set the `info` of this object."""
        object.__setattr__(self, "info", self.facts)

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FillMethod:
        """Return the methods fitted to a scene; see `Prepares.prepare`."""
        parts = tuple(
            (
                bands,
                method.prepare(*_select_bands(bands, method, image, gaps, context))
                if isinstance(method, Prepares)
                else method,
            )
            for bands, method in self.parts
        )
        return replace(self, parts=parts)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        The standard deviation is NaN in a band whose method doesn't give one.
        """
        mean = image.copy()
        std = np.full(image.shape, np.nan, np.float32) if self.info.gives_std else None
        realizations = np.stack([image] * context.realizations) if context.realizations else None
        sources = np.zeros(image.shape, np.uint8) if context.references else None
        for bands, method in self.parts:
            where = (slice(None), list(bands))
            filled = method.fill(*_select_bands(bands, method, image, gaps, context))
            mean[where] = filled.mean
            if std is not None and filled.std is not None:
                std[where] = filled.std
            if sources is not None and filled.sources is not None:
                sources[where] = filled.sources
            if realizations is not None:
                realizations[(slice(None), *where)] = (
                    filled.mean if filled.realizations is None else filled.realizations
                )
        return Filled(mean, std, realizations, sources)


def _select_bands(
    bands: tuple[int, ...], method: FillMethod, image: NDArray[np.floating], gaps: Gaps, context: Context
) -> tuple[NDArray[np.floating], Gaps, Context]:
    """Return the arguments of `fill` for some bands of an image."""
    where = (slice(None), list(bands))
    own = replace(
        context,
        bands=tuple(context.bands[band] for band in bands) if context.bands else (),
        realizations=context.realizations if method.info.gives_realizations else 0,
        references=tuple(
            replace(reference, matches=tuple(reference.matches[band] for band in bands))
            for reference in context.references
        ),
        device=context.device if context.device.partition(":")[0] in method.info.devices else "cpu",
    )
    return image[where], Gaps(gaps.missing[where], gaps.usable[where]), own


def method_options(cls: type[FillMethod]) -> tuple[Option, ...]:
    """Return the options of a method class in the order of its fields."""
    return tuple(options_of(cls).values())
