"""All that a training run depends on: frozen dataclasses, recipes for each network, and `run.toml`.

Each field carries what it means and which values it may have, so that one description serves the checks,
the command line and the comments in the file.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def _setting(
    meaning: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return a field's metadata: what it means, and which values it may have."""
    return {"meaning": meaning, "low": low, "high": high, "choices": choices}


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What is learned from."""

    paths: tuple[str, ...] = field(
        default=(), metadata=_setting("a folder made by `landsat-fill dataset`, or clean scenes")
    )
    validation: tuple[str, ...] = field(
        default=(),
        metadata=_setting("such a folder, or scenes, to score on; if empty, one fold of the paths"),
    )
    gaps_from: tuple[str, ...] = field(
        default=(), metadata=_setting("SLC-off scenes whose gaps to lay too, beside a data folder's own")
    )
    fold: int = field(
        default=0,
        metadata=_setting("fold to score on, and not to train on; unused with validation", low=0),
    )
    size_px: int = field(
        default=0,
        metadata=_setting("side of a sample, a multiple of 8; 0 for that of the patches, 96 at most", low=0),
    )
    batch: int = field(default=8, metadata=_setting("samples of most bands in a step", low=1))
    band_counts: tuple[int, ...] = field(
        default=(6, 6, 6, 6, 4, 3, 1),
        metadata=_setting("numbers of bands, one drawn for each step", low=1),
    )


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What is minimised."""

    kind: str = field(
        default="likelihood",
        metadata=_setting(
            "the loss", choices=("likelihood", "draws", "distance", "partial-convolution", "residual")
        ),
    )
    ms_ssim: float = field(
        default=0.0, metadata=_setting("weight of 1 - MS-SSIM, beside 1 of the rest", low=0)
    )
    samples: int = field(default=16, metadata=_setting("latent samples, of a latent model", low=1))
    distance: str = field(
        default="absolute",
        metadata=_setting("error of a pixel, of distance", choices=("absolute", "squared", "huber")),
    )
    observed_weight: float = field(
        default=1.0, metadata=_setting("weight of pixels shown, of all but draws and residual", low=0)
    )
    hidden_weight: float = field(
        default=6.0, metadata=_setting("weight of hidden pixels, of all but draws and residual", low=0)
    )
    variance_power: float = field(
        default=0.0,
        metadata=_setting(
            "a pixel weighs its predicted variance to this power, of likelihood: at 0 that is the plain one, "
            "at 1 the mean learns as by squared errors",
            low=0,
            high=1,
        ),
    )
    total_variation: float = field(
        default=0.1, metadata=_setting("weight of roughness, of partial-convolution", low=0)
    )
    std_weight: float = field(
        default=0.1, metadata=_setting("weight of the likelihood of errors, of draws and residual", low=0)
    )
    step_weight: float = field(
        default=0.0, metadata=_setting("weight of the steps between neighbours, of residual", low=0)
    )
    step_gain: float = field(
        default=2.0,
        metadata=_setting("what true steps are multiplied by there, for a fill of more contrast", low=1),
    )


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """How weights move: AdamW, and an average of their way."""

    learning_rate: float = field(default=1e-3, metadata=_setting("at its highest", low=0))
    weight_decay: float = field(default=1e-2, metadata=_setting("AdamW's, of kernels only", low=0))
    beta1: float = field(default=0.9, metadata=_setting("AdamW's memory of gradients", low=0, high=1))
    beta2: float = field(default=0.98, metadata=_setting("AdamW's memory of their squares", low=0, high=1))
    gradient_norm: float = field(default=1.0, metadata=_setting("clipped there; 0 never", low=0))
    decay: str = field(
        default="cosine", metadata=_setting("way of the rate", choices=("cosine", "exponential", "none"))
    )
    decay_factor: float = field(
        default=100.0, metadata=_setting("what the rate is divided by at the end", low=1)
    )
    warm_up_steps: int = field(default=200, metadata=_setting("rising from 0", low=0))
    average: float = field(
        default=0.998, metadata=_setting("memory of the weights' moving average; 0 is none", low=0, high=1)
    )


USUAL_STEPS = 20_000
"""Steps of a run that nobody limited: an hour or so on a graphics card."""

USUAL_SIZE_PX = 96
"""Side of a sample where nobody said another and the patches allow it: three periods of the stripes."""


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """When training ends: whichever comes first; the learning rate's decay ends with it.

    Without any limit it ends after `USUAL_STEPS`.
    """

    steps: int = field(default=0, metadata=_setting("0 is no limit, where there is one of time", low=0))
    minutes: float = field(default=0.0, metadata=_setting("of all sittings; 0 is no limit", low=0))


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """How the best weights are told."""

    every_steps: int = field(default=250, metadata=_setting("steps between two scores", low=1))
    samples: int = field(default=24, metadata=_setting("samples of each width", low=1))
    size_px: int = field(default=0, metadata=_setting("side of a sample; 0 as in training", low=0))
    patience: int = field(
        default=0, metadata=_setting("scores without a better one before training ends; 0 never", low=0)
    )


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Where it runs."""

    device: str = field(default="auto", metadata=_setting("auto, cpu, cuda or cuda:N"))
    precision: str = field(
        default="auto", metadata=_setting("of the layers", choices=("auto", "float32", "bfloat16"))
    )
    workers: int = field(default=1, metadata=_setting("processes that make samples; 0 is none", low=0))
    threads: int = field(default=0, metadata=_setting("of torch on the CPU; 0 leaves it to torch", low=0))


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The network: its name in the catalogue, and what it is built from where that isn't its default."""

    name: str = field(default="", metadata=_setting("as `landsat-fill train --help` lists them"))
    options: Mapping[str, object] = field(default_factory=dict, metadata=_setting("the network's own"))


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything a run depends on, beside the data themselves and the code."""

    seed: int = field(default=0, metadata=_setting("of the weights, the samples and the noise", low=0))
    weights: str = field(
        default="", metadata=_setting("file of weights to begin from (.safetensors); empty for fresh ones")
    )
    network: NetworkSettings = NetworkSettings()
    data: DataSettings = DataSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    budget: BudgetSettings = BudgetSettings()
    validation: ValidationSettings = ValidationSettings()
    machine: MachineSettings = MachineSettings()


def changed(settings: TrainingSettings, values: Mapping[str, object], where: str) -> TrainingSettings:
    """Return settings with some values replaced.

    Args:
        settings: Those to start from.
        values: Tables by name, as TOML gives them: `{"optimiser": {"learning_rate": 1e-4}}`. Only those to
            replace. The table `network` holds `name` and the network's own options.
        where: Where the values come from, for messages.

    Raises:
        UsageError: If a key doesn't exist, or a value has another type or is out of its range.
    """
    new: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        known = _described(settings, name, where)
        table = getattr(settings, name)
        if isinstance(table, NetworkSettings):
            new[name] = _network(table, _as_table(value, name, where))
        elif hasattr(table, "__dataclass_fields__"):
            new[name] = _table(table, _as_table(value, name, where), name, where)
        else:
            new[name] = _checked(table, value, known, name, where)
    return replace(settings, **new)


def _network(network: NetworkSettings, values: Mapping[str, object]) -> NetworkSettings:
    """Return the network with some of its options replaced: all of them where it becomes another one."""
    name = str(values.get("name", network.name))
    own = {key: value for key, value in values.items() if key != "name"}
    return NetworkSettings(name, {**network.options, **own} if name == network.name else own)


def _table(table: Any, values: Mapping[str, object], name: str, where: str) -> Any:
    """Return a table with some values replaced."""
    new = {}
    for key, value in values.items():
        key = key.replace("-", "_")
        known = _described(table, key, where, name)
        new[key] = _checked(getattr(table, key), value, known, f"{name}.{key}", where)
    return replace(table, **new)


def _described(owner: Any, key: str, where: str, table: str = "") -> Mapping[str, Any]:
    """Return a field's metadata, or raise UsageError naming the nearest that exists."""
    known = {f.name: f for f in fields(owner)}
    if key in known:
        return known[key].metadata
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    prefix = f"{table}." if table else ""
    hint = f"did you mean {prefix}{near[0]}? " if near else ""
    raise UsageError(
        f"expected a training setting in {where}, but got {prefix}{key}",
        hint=f"{hint}{f'[{table}]' if table else 'there'} has: {', '.join(known)}",
    )


def _as_table(value: object, name: str, where: str) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise UsageError(f"expected a table [{name}] in {where}, but got {value!r}")


def _checked(old: object, value: object, known: Mapping[str, Any], name: str, where: str) -> object:
    """Return a value as the type of the one it replaces, if it may be that."""
    if isinstance(old, tuple):
        # A tuple's default may be empty: text there, as the paths are.
        item: object = old[0] if old else ""
        values = value if isinstance(value, list | tuple) else [value]
        return tuple(_checked(item, one, known, name, where) for one in values)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(old):
        raise UsageError(f"expected {name} in {where} to be {type(old).__name__}, but got {value!r}")
    if known.get("choices") and value not in known["choices"]:
        raise UsageError(
            f"expected {name} in {where} to be one of {', '.join(known['choices'])}, but got {value!r}"
        )
    if isinstance(value, int | float):
        low, high = known.get("low"), known.get("high")
        # Written so that NaN fails.
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
            raise UsageError(f"expected {name} in {where} to be {limits}, but got {value:g}")
    return value


_RECIPES: Mapping[str, Mapping[str, object]] = {
    "convcnp": {
        "data": {"size_px": 64},
        "objective": {"kind": "likelihood"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "convlnp": {
        "data": {"size_px": 64, "batch": 4},
        "objective": {"kind": "likelihood", "samples": 8},
        "optimiser": {"learning_rate": 5e-4},
    },
    "unet": {
        "objective": {"kind": "distance", "distance": "absolute"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "partialconv": {
        "objective": {"kind": "partial-convolution"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "band-unet": {
        "objective": {"kind": "residual", "step_weight": 1.0},
        "optimiser": {"learning_rate": 1e-3, "gradient_norm": 0.5},
    },
}
"""Where a recipe departs from the general defaults.

The rates are for hours, not for the talk's hundreds of epochs; its own way is `--lr 1e-4` (ConvLNP: 5e-4)
with `-O optimiser.decay=exponential -O optimiser.decay_factor=5 -O optimiser.weight_decay=0
-O objective.hidden_weight=1`."""


def recipe(network: str) -> TrainingSettings:
    """Return the settings a network is trained with by default; the general ones where it has no recipe."""
    settings = TrainingSettings(network=NetworkSettings(network))
    return changed(settings, _RECIPES.get(network, {}), f"the recipe of {network}")


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
