"""All that a training run depends on: frozen dataclasses, the networks' recipes, and `run.toml`."""

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
    """What is learned from."""

    paths: tuple[str, ...] = option((), "a folder made by `landsat-fill dataset`, or clean scenes")
    validation: tuple[str, ...] = option(
        (), "such a folder, or scenes, to score on; if empty, one fold of the paths"
    )
    gaps_from: tuple[str, ...] = option(
        (), "SLC-off scenes whose gaps to lay too, beside a data folder's own"
    )
    fold: int = option(0, "fold to score on, and not to train on; unused with validation", low=0)
    size_px: int = option(
        0, "side of a sample, a multiple of 8; 0 for that of the patches, 96 at most", low=0
    )
    batch: int = option(8, "samples of most bands in a step", low=1)
    band_counts: tuple[int, ...] = option(
        (6, 6, 6, 6, 4, 3, 1), "numbers of bands, one drawn for each step", low=1
    )


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What is minimised."""

    kind: str = option(
        "likelihood",
        "the loss",
        choices=("likelihood", "draws", "distance", "partial-convolution", "residual"),
    )
    ms_ssim: float = option(0.0, "weight of 1 - MS-SSIM, beside 1 of the rest", low=0)
    samples: int = option(16, "latent samples, of a latent model", low=1)
    distance: str = option(
        "absolute", "error of a pixel, of distance", choices=("absolute", "squared", "huber")
    )
    observed_weight: float = option(1.0, "weight of pixels shown, of all but draws and residual", low=0)
    hidden_weight: float = option(6.0, "weight of hidden pixels, of all but draws and residual", low=0)
    variance_power: float = option(
        0.0,
        "likelihood: power of the predicted variance that a pixel weighs; at 0 the plain likelihood, "
        "at 1 the mean learns as by squared errors",
        low=0,
        high=1,
    )
    total_variation: float = option(0.1, "weight of roughness, of partial-convolution", low=0)
    std_weight: float = option(0.1, "weight of the likelihood of errors, of draws and residual", low=0)
    step_weight: float = option(0.0, "weight of the steps between neighbours, of residual", low=0)
    step_gain: float = option(
        2.0, "what true steps are multiplied by there, for a fill of more contrast", low=1
    )


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """How weights move: AdamW, and an average of their way."""

    learning_rate: float = option(1e-3, "at its highest", low=0)
    weight_decay: float = option(1e-2, "AdamW's, of kernels only", low=0)
    beta1: float = option(0.9, "AdamW's memory of gradients", low=0, high=1)
    beta2: float = option(0.98, "AdamW's memory of their squares", low=0, high=1)
    gradient_norm: float = option(1.0, "clipped there; 0 never", low=0)
    decay: str = option("cosine", "way of the rate", choices=("cosine", "exponential", "none"))
    decay_factor: float = option(100.0, "what the rate is divided by at the end", low=1)
    warm_up_steps: int = option(200, "rising from 0", low=0)
    average: float = option(0.998, "memory of the weights' moving average; 0 is none", low=0, high=1)


USUAL_SIZE_PX = 96
"""Side of a sample where nobody said another and the patches allow it: three periods of the stripes."""


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """When training ends: whichever comes first; the learning rate's decay ends with it.

    Without any limit it ends after `USUAL_STEPS`.
    """

    steps: int = option(0, "0 is no limit, where there is one of time", low=0)
    minutes: float = option(0.0, "of all sittings; 0 is no limit", low=0)


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """How the best weights are told."""

    every_steps: int = option(250, "steps between two scores", low=1)
    samples: int = option(24, "samples of each width", low=1)
    size_px: int = option(0, "side of a sample; 0 as in training", low=0)
    patience: int = option(0, "scores without a better one before training ends; 0 never", low=0)


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Where it runs."""

    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "of the layers", choices=("auto", "float32", "bfloat16"))
    workers: int = option(1, "processes that make samples; 0 is none", low=0)
    threads: int = option(0, "of torch on the CPU; 0 leaves it to torch", low=0)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The network: its name in the catalogue, and what it is built from where that isn't its default."""

    name: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything a run depends on, beside the data themselves and the code."""

    seed: int = option(0, "of the weights, the samples and the noise", low=0)
    weights: str = option("", "file of weights to begin from (.safetensors); empty for fresh ones")
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
    """Return the network with some of its options replaced: all of them where it becomes another one."""
    name = str(values.get("name", network.name))
    own = {key: value for key, value in values.items() if key != "name"}
    return NetworkSettings(name, {**network.options, **own} if name == network.name else own)


def recipe(network: str) -> TrainingSettings:
    """Return the settings a network is trained with by default; the general ones where it has no recipe."""
    settings = TrainingSettings(network=NetworkSettings(network))
    path = training.RECIPES / f"{network}.toml"
    return changed(settings, read_run_file(path), str(path)) if path.is_file() else settings


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
            f"expected TOML in {path}, but got: {error}",
            hint="Follow the run.toml of an earlier run.",
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
                hint="Write it as optimiser.learning_rate=1e-4; a run.toml lists all settings.",
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
    """Return what a setting means, and its choices."""
    return f"{setting.help}: {', '.join(map(str, setting.choices))}" if setting.choices else setting.help


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
