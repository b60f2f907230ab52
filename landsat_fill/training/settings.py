"""The settings of a training run: frozen dataclasses, the networks' recipes, and `run.toml`."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from landsat_fill import training
from landsat_fill.errors import InputError, UsageError, not_one_of
from landsat_fill.schema import Option, option, options_of, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The training and validation data."""

    paths: tuple[str, ...] = option((), "a folder made by `landsat-fill dataset`, or clean scenes")
    validation: tuple[str, ...] = option((), "a folder or scenes for validation; if empty, one fold of the paths")
    gaps_from: tuple[str, ...] = option((), "SLC-off scenes whose gaps are used, in addition to those of a dataset")
    fold: int = option(0, "fold held out for validation; unused with validation scenes", low=0)
    size_px: int = option(0, "side of a sample, a multiple of 8; 0 for the patches' side, at most 96", low=0)
    batch: int = option(8, "samples in a step, for the largest number of bands", low=1)
    band_counts: tuple[int, ...] = option((6, 6, 6, 6, 4, 3, 1), "numbers of bands, one drawn for each step", low=1)


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """The loss."""

    kind: str = option(
        "likelihood", "the loss", choices=("likelihood", "draws", "distance", "partial-convolution", "residual")
    )
    ms_ssim: float = option(0.0, "weight of 1 - MS-SSIM; the other terms have weight 1", low=0)
    samples: int = option(16, "samples of a latent model", low=1)
    distance: str = option("absolute", "distance: error of a pixel", choices=("absolute", "squared", "huber"))
    observed_weight: float = option(1.0, "weight of observed pixels; not for draws and residual", low=0)
    hidden_weight: float = option(6.0, "weight of hidden pixels; not for draws and residual", low=0)
    variance_power: float = option(
        0.0,
        "likelihood: a pixel's weight is this power of the predicted variance; 0 is the plain likelihood, "
        "1 gives the mean the gradient of squared errors",
        low=0,
        high=1,
    )
    total_variation: float = option(0.1, "partial-convolution: weight of the total variation", low=0)
    std_weight: float = option(0.1, "draws and residual: weight of the likelihood of errors", low=0)
    step_weight: float = option(0.0, "residual: weight of differences between adjacent pixels", low=0)
    step_gain: float = option(2.0, "residual: factor of the true differences, for more contrast", low=1)


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """AdamW, and the moving average of the weights."""

    learning_rate: float = option(1e-3, "highest learning rate", low=0)
    weight_decay: float = option(1e-2, "weight decay of AdamW, for kernels only", low=0)
    beta1: float = option(0.9, "AdamW's decay of the gradients' mean", low=0, high=1)
    beta2: float = option(0.98, "AdamW's decay of the squared gradients' mean", low=0, high=1)
    gradient_norm: float = option(1.0, "largest norm of the gradient; 0 for no limit", low=0)
    decay: str = option("cosine", "schedule of the rate", choices=("cosine", "exponential", "none"))
    decay_factor: float = option(100.0, "ratio of the highest to the final rate", low=1)
    warm_up_steps: int = option(200, "steps in which the rate rises from 0", low=0)
    average: float = option(0.998, "decay of the weights' moving average; 0 for no average", low=0, high=1)


USUAL_SIZE_PX = 96
"""Default side of a sample, if the patches allow it: three periods of the stripes."""


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Limits of training. The first one reached ends it, and the learning rate's schedule.

    Without any limit, training ends after `USUAL_STEPS`.
    """

    steps: int = option(0, "number of steps; 0 for no limit", low=0)
    minutes: float = option(0.0, "time of all sessions; 0 for no limit", low=0)


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """Validation, which selects the best weights."""

    every_steps: int = option(250, "steps between two validations", low=1)
    samples: int = option(24, "samples of each gap width", low=1)
    size_px: int = option(0, "side of a sample; 0 as in training", low=0)
    patience: int = option(0, "validations without improvement that end training; 0 for no limit", low=0)


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """The device and its use."""

    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "number format of the layers", choices=("auto", "float32", "bfloat16"))
    workers: int = option(1, "processes that make samples; 0 for none", low=0)
    threads: int = option(0, "CPU threads of torch; 0 for torch's default", low=0)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The name of the network, and its settings that aren't defaults."""

    name: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything a run depends on, apart from the data and the code."""

    seed: int = option(0, "seed of the weights, the samples and the noise", low=0)
    weights: str = option("", "file of initial weights (.safetensors); empty for random ones")
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
        settings: Settings to start from.
        values: Tables of new values, as from TOML: `{"optimiser": {"learning_rate": 1e-4}}`. The table
            `network` has `name` and the network's own options.
        where: Source of the values, for messages.

    Raises:
        UsageError: If a key doesn't exist, or a value isn't allowed.
    """
    known = {f.name: getattr(settings, f.name) for f in fields(settings)}
    new: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise not_one_of(f"a training setting in {where}", key, known)
        table = known[name]
        if not is_dataclass(table):
            new[name] = options_of(TrainingSettings)[name].parse(value, f"{name} in {where}")
        elif not isinstance(value, dict):
            raise UsageError(f"expected a table [{name}] in {where}, but got {value!r}")
        elif isinstance(table, NetworkSettings):
            new[name] = _network(table, value)
        else:
            owner = f"a setting of the table [{name}] in {where}"
            called = f"{name}.{{name}} in {where}"
            new[name] = replace(table, **parsed(type(table), value, owner, called=called))  # type: ignore[type-var]
    return replace(settings, **new)


def _network(network: NetworkSettings, values: Mapping[str, object]) -> NetworkSettings:
    """Return the network with some options replaced, or all options if its name changes."""
    name = str(values.get("name", network.name))
    own = {key: value for key, value in values.items() if key != "name"}
    return NetworkSettings(name, {**network.options, **own} if name == network.name else own)


def recipe(network: str) -> TrainingSettings:
    """Return a network's recipe, or the default settings if it has none."""
    settings = TrainingSettings(network=NetworkSettings(network))
    path = training.RECIPES / f"{network}.toml"
    return changed(settings, read_run_file(path), str(path)) if path.is_file() else settings


def read_run_file(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, or raise InputError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"expected a run's settings in {path}, but got: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected TOML in {path}, but got: {error}", hint="Follow the run.toml of an earlier run."
        ) from error


def parse_assignments(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """Return tables from texts like `optimiser.learning_rate=1e-4`, or raise UsageError for other forms.

    A value that isn't TOML stays text.
    """
    tables: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        table, dot, key = name.strip().partition(".")
        if not (equals and dot and table and key):
            raise UsageError(
                f"expected TABLE.KEY=VALUE, but got {assignment!r}",
                hint="Write it as optimiser.learning_rate=1e-4; a run.toml lists all settings.",
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        tables.setdefault(table, {})[key] = value
    return tables


def run_file_text(settings: TrainingSettings, heading: str) -> str:
    """Return all settings as TOML with comments; `heading` is a comment at the top."""
    return "\n".join([*(f"# {line}" for line in heading.splitlines()), *_lines(settings)]) + "\n"


def _lines(owner: Any) -> Iterator[str]:
    tables = []
    kind: type = type(owner)
    known = options_of(kind)
    for f in fields(owner):
        value = getattr(owner, f.name)
        if is_dataclass(value):
            tables.append((f.name, value))
        else:
            yield f"{f.name} = {_toml(value)}  # {_comment(known[f.name])}"
    for name, table in tables:
        yield ""
        yield f"[{name}]"
        if isinstance(table, NetworkSettings):
            for key, value in {"name": table.name, **table.options}.items():
                yield f"{key} = {_toml(value)}"
        else:
            yield from _lines(table)


def _comment(setting: Option) -> str:
    """Return the meaning of a setting, and its choices."""
    return f"{setting.help}: {', '.join(map(str, setting.choices))}" if setting.choices else setting.help


def _toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    # A JSON string is a TOML basic string, except for DEL, which JSON doesn't escape.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
