"""Training settings as TOML: what `run.toml` says, with each setting's meaning beside it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError, UsageError
from landsat_fill.training.settings import NetworkSettings, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def read_run_file(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputError: If it can't be read, or isn't TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"expected a run's settings in {path}, but got: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected TOML in {path}, but got: {error}", hint="a run.toml of an earlier run is a model"
        ) from error


def parse_assignments(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """Return tables from texts like `optimiser.learning_rate=1e-4`; text that isn't TOML stays text.

    Raises:
        UsageError: If one isn't of that form.
    """
    tables: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        table, dot, key = name.strip().partition(".")
        if not (equals and dot and table and key):
            raise UsageError(
                f"expected TABLE.KEY=VALUE, but got {assignment!r}",
                hint="for example optimiser.learning_rate=1e-4; a run.toml shows all of them",
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        tables.setdefault(table, {})[key] = value
    return tables


def run_file_text(settings: TrainingSettings, heading: str) -> str:
    """Return the settings as TOML, every one of them, with comments; `heading` is a comment at the top."""
    return "\n".join([*(f"# {line}" for line in heading.splitlines()), *_lines(settings)]) + "\n"


def _lines(owner: Any) -> Iterator[str]:
    tables = []
    for f in fields(owner):
        value = getattr(owner, f.name)
        if is_dataclass(value):
            tables.append((f.name, value))
        else:
            yield f"{f.name} = {_toml(value)}  # {_comment(f.metadata)}"
    for name, table in tables:
        yield ""
        yield f"[{name}]"
        if isinstance(table, NetworkSettings):
            for key, value in {"name": table.name, **table.options}.items():
                yield f"{key} = {_toml(value)}"
        else:
            yield from _lines(table)


def _comment(metadata: Mapping[str, Any]) -> str:
    """Return what a setting means, and its choices."""
    choices = metadata["choices"]
    return f"{metadata['meaning']}: {', '.join(choices)}" if choices else str(metadata["meaning"])


def _toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    # A JSON string is a TOML basic string, but for DEL, which JSON leaves bare.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
