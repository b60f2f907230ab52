"""The schema of all settings: options of methods, networks and training.

A setting is a field of a frozen dataclass, made by `option`. The field has the meaning and the allowed values
of the setting. The command line, the help tables, `run.toml` and the checks all read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from landsat_fill.errors import UsageError, did_you_mean, not_one_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def option(
    default: object,
    help: str,  # noqa: A002
    *,
    low: float | None = None,
    high: float | None = None,
    parity: Literal["even", "odd"] | None = None,
    choices: Iterable[object] = (),
    was: str = "",
) -> Any:
    """Return a dataclass field that is a setting.

    Args:
        default: Default value.
        help: Meaning, in a few words.
        low: Smallest allowed value.
        high: Largest allowed value.
        parity: Whether a whole number must be even or odd.
        choices: All allowed values, or empty for any.
        was: Name in earlier versions, which is refused with a hint.
    """
    limits = {"low": low, "high": high, "parity": parity, "choices": tuple(choices)}
    return field(default=default, metadata={"help": help, "was": was, **limits})


@dataclass(frozen=True, slots=True)
class Option:
    """A setting, read from its field; other attributes are those of `option`.

    Attributes:
        name: Name of the field.
        kind: `bool`, `int`, `float` or `str`; for a tuple, that of its items.
        many: Whether the setting is a tuple.
    """

    name: str
    kind: type
    default: object
    many: bool = False
    help: str = ""
    low: float | None = None
    high: float | None = None
    parity: str | None = None
    choices: tuple[object, ...] = ()
    was: str = ""

    @property
    def flag(self) -> str:
        """The setting on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def allowed(self) -> str:
        """The allowed values in words: `an odd whole number of at least 3`."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        words = f"{self.parity} {_WORDS[self.kind]}" if self.parity else _WORDS[self.kind]
        if self.kind in (int, float):
            words = f"an {words}" if words[0] in "aeiou" else f"a {words}"
        if self.low is None and self.high is None:
            return words
        if self.low is None or self.high is None:
            return f"{words} of at {f'most {self.high:g}' if self.low is None else f'least {self.low:g}'}"
        return f"{words} from {self.low:g} to {self.high:g}"

    def parse(self, value: object, called: str, *, from_text: bool = False) -> object:
        """Return `value` as the setting's type.

        Args:
            value: A value, or text.
            called: Name of the setting in an error.
            from_text: Whether text is converted to a number.

        Raises:
            UsageError: If the value isn't allowed.
        """
        if self.many:
            values = value if isinstance(value, list | tuple) else [value]
            return tuple(self._parsed(one, called, from_text) for one in values)
        return self._parsed(value, called, from_text)

    def _parsed(self, value: object, called: str, from_text: bool) -> object:
        if value is None and self.default is None:
            return None
        found = value
        try:
            found = _converted(value, self.kind, from_text)
            if self._allows(found):
                return found
        except (KeyError, TypeError, ValueError, OverflowError):
            pass
        near = did_you_mean(value, map(str, self.choices)) if isinstance(value, str) else ""
        raise UsageError(f"expected {called} to be {self.allowed}, but got {found!r}", hint=near or None)

    def _allows(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        # Written so that NaN fails.
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.parity is None or value % 2 == ("even", "odd").index(self.parity))
        )


def _converted(value: Any, kind: type, from_text: bool) -> object:
    """Return a value as a type, or raise TypeError, ValueError or KeyError if the value would change."""
    if kind is str:
        return os.fspath(value)
    if isinstance(value, str):
        if not from_text:
            raise TypeError
        return _TRUTH[value.lower()] if kind is bool else kind(value)
    if isinstance(value, bool) != (kind is bool):
        raise TypeError
    converted = kind(value)
    if kind is int and converted != value:
        raise ValueError
    return converted


@cache
def options_of(cls: Hashable) -> Mapping[str, Option]:
    """Return the settings of a dataclass by name, in the order of its fields, without tables of settings.

    Raises:
        TypeError: If the class isn't a dataclass, or a field has another type.
    """
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise TypeError(f"expected a dataclass, but got {cls}")
    own = [f for f in fields(cls) if not is_dataclass(f.default)]
    # Only the fields, because types of class variables may be imported for type checkers only.
    hints = get_type_hints(SimpleNamespace(__annotations__={f.name: f.type for f in own}))
    found = {}
    for f in own:
        hint = hints[f.name]
        kind = next(a for a in (*get_args(hint), hint) if a not in (NoneType, Ellipsis))
        if kind not in _WORDS:
            raise TypeError(f"expected {cls.__name__}.{f.name} to be a bool, int, float or str, but got {hint}")
        found[f.name] = Option(f.name, kind, f.default, get_origin(hint) is tuple, **f.metadata)
    return MappingProxyType(found)


def parsed(
    cls: type, values: Mapping[str, object], owner: str, *, called: str = "{name}", from_text: bool = False
) -> dict[str, Any]:
    """Return values for the fields of a dataclass of settings.

    Args:
        cls: The dataclass.
        values: Values by name, with hyphens or underscores.
        owner: Owner of the settings, for errors: `an option of telea`.
        called: Name of a setting in an error, with `{name}` or `{flag}`.
        from_text: Whether text is converted to a number.

    Raises:
        UsageError: If a setting doesn't exist, or a value isn't allowed.
    """
    known = options_of(cls)
    found = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            renamed = [one for one in known.values() if one.was == name]
            if renamed:
                raise UsageError(f"expected {owner}, but got {key!r}", hint=f"It is {renamed[0].name!r} now.")
            raise not_one_of(owner, key, known)
        label = called.format(name=name, flag=known[name].flag)
        found[name] = known[name].parse(value, label, from_text=from_text)
    return found


def require_allowed(settings: Any) -> None:
    """Check the settings of an object, and raise UsageError if a value isn't allowed."""
    kind: type = type(settings)
    for name, one in options_of(kind).items():
        one.parse(getattr(settings, name), one.flag)


def from_json(kind: Any, value: Any, name: str = "its content") -> Any:
    """Return a JSON value as a type: a dataclass, a tuple or mapping of one type, a plain type or one of several.

    Args:
        kind: The type, as in an annotation.
        value: The value that `json.loads` returned.
        name: The name of the value, for the error.

    Raises:
        ValueError: If the value has another type, or a field is missing or unknown.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        hints = get_type_hints(kind)
        required = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
        if required <= value.keys() <= hints.keys():
            return kind(**{key: from_json(hints[key], each, key) for key, each in value.items()})
        wrong = sorted(required - value.keys()) or sorted(value.keys() - hints.keys())
        raise ValueError(f"{wrong[0]} is {'missing' if required - value.keys() else 'unknown'} in {name}")
    if origin is tuple and isinstance(value, list):
        return tuple(from_json(inner[0], each, name) for each in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: from_json(inner[1], each, key) for key, each in value.items()}
    for one in inner if origin is UnionType else (kind,):
        number = one is float and type(value) is int
        if number or (isinstance(one, type) and type(value) is one):
            return value
    raise ValueError(f"{name} is {value!r:.60}")


def require_inside(files: Iterable[str]) -> None:
    """Raise ValueError unless all paths lead into a folder: a file from elsewhere must not be followed out of it."""
    for file in files:
        if "\0" in file or Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError(f"{file!r} lies outside the folder")
