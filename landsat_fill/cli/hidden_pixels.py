"""Which pixels `landsat-fill evaluate` hides, from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.evaluation import Pattern, Preset, Sampling

DEFAULT_WIDTHS = "4,8,14"


def experiment_of(name: str | None, others: Sequence[object]) -> Preset | None:
    """Return the preset that was asked for, or None.

    Raises:
        UsageError: If there is none of that name, or gaps were asked for beside it.
    """
    from landsat_fill.errors import UsageError
    from landsat_fill.evaluation import preset_called

    if name is None:
        return None
    if any(other is not None for other in others):
        raise UsageError(
            "expected --preset without --width, --missing, --gaps-from and --band-shift, which it decides, but got "
            "one of them",
            hint="leave --preset out to choose the gaps yourself",
        )
    return preset_called(name)


def sampling_of(experiment: Preset | None, window_px: int | None, windows: int | None) -> Sampling:
    """Return how much of a scene is read."""
    from landsat_fill.evaluation import Sampling

    if experiment is not None:
        return experiment.sampling(window_px, windows)
    usual = Sampling()
    return Sampling(window_px or usual.window_px, windows or usual.windows)


def patterns_of(
    width: str | None, missing: str | None, gaps_from: list[str], band_shift: float | None
) -> list[Pattern]:
    """Return the ways to hide pixels that were asked for."""
    from landsat_fill.cli.choices import numbers
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.evaluation import RealStripes, SimulatedStripes
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.simulation import missing_pixels

    if width is None and missing is None and not gaps_from:
        width = DEFAULT_WIDTHS
    geometry = {} if band_shift is None else {"band_shift_px": band_shift}
    patterns: list[Pattern] = [
        SimulatedStripes.of_width(px, **geometry) for px in numbers("--width", width or "")
    ]
    patterns += [
        SimulatedStripes.of_share(percent, **geometry) for percent in numbers("--missing", missing or "")
    ]
    for source in gaps_from:
        scene = open_input(one_input(source))[0]
        patterns.append(RealStripes(scene.name, missing_pixels(scene)))
    return patterns
