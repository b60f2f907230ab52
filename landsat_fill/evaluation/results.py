"""What an evaluation found, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landsat_fill.evaluation.example import Example
    from landsat_fill.evaluation.scoring import Scores

ALL_BANDS = "all"
"""The band of a record that counts all bands together."""


@dataclass(frozen=True, slots=True)
class Record:
    """The scores of one method on one band of one trial.

    Attributes:
        scene: The scene, or a window of it.
        place: The scene, whichever window of it was scored.
        group: The group that the scene belongs to; empty where scenes aren't told apart by groups.
        pattern: The pattern's label.
        seed: What placed the pattern, and seeded methods that draw.
        method: The method's label.
        band: The band's name, or `ALL_BANDS`.
        hidden_pct: Percentage of the observed pixels that were hidden.
        scale: From stored numbers to the band's physical unit; 1 if there is none, or if bands differ.
        scores: The scores, in stored numbers.
        reflectance: From stored numbers to reflectance; NaN where the units don't tell.
    """

    scene: str
    place: str
    group: str
    pattern: str
    seed: int
    method: str
    band: str
    hidden_pct: float
    scale: float
    scores: Scores
    reflectance: float = math.nan


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be scored, and why.

    Attributes:
        scene: The scene, or a window of it.
        pattern: The pattern's label, or empty where the scene failed before.
        seed: The seed, or None.
        method: The method's label, or empty where no method was to blame.
        error: What was raised.
    """

    scene: str
    pattern: str
    seed: int | None
    method: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Results:
    """All that an evaluation found.

    Attributes:
        methods: The methods' labels, the reference first.
        records: One a scene, pattern, seed, method and band, and one more for all bands together.
        failures: What could not be scored; the rest went on.
        example: A crop of one trial to draw, or None where nothing was scored.
        groups: The groups of scenes in the order they were given, empty where scenes aren't grouped.
        devices: The device that each method ran on, in the order of the methods.
    """

    methods: tuple[str, ...]
    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()
    example: Example | None = None
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
