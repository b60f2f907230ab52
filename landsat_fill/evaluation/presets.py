"""The experiments of the deep image prior paper, by name.

Source: Petrovskaia et al. 2020, A single image deep learning approach to restoration of corrupted remote
sensing products, section 2.4.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from landsat_fill.errors import UsageError
from landsat_fill.evaluation.bands_alone import BandsAlone
from landsat_fill.evaluation.images import Sampling
from landsat_fill.evaluation.patterns import PAPER_PERCENTAGES, SimulatedStripes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.methods import FillMethod

PAPER_WINDOW_PX = 115
"""Side of 12 km² in pixels of 30 m, the paper's study area."""


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment.

    Attributes:
        name: What it is called on the command line.
        summary: One line.
        percentages: Shares of the pixels that are hidden, the same pixels in all bands.
        bands_alone: Whether each method also fills each band alone.
        window_px: Side of the window of a scene that is scored.
    """

    name: str
    summary: str
    percentages: tuple[float, ...]
    bands_alone: bool
    window_px: int = PAPER_WINDOW_PX

    def patterns(self) -> list[SimulatedStripes]:
        """Return how pixels are hidden, the largest share last."""
        return [SimulatedStripes.of_share(percent, band_shift_px=0) for percent in self.percentages]

    def contenders(self, methods: Sequence[FillMethod]) -> list[FillMethod]:
        """Return the methods, and after each, where bands are to be filled alone, the one that does."""
        if not self.bands_alone:
            return list(methods)
        both: list[FillMethod] = []
        for method in methods:
            both += [method, cast("FillMethod", BandsAlone(method))]
        return both

    def sampling(self, window_px: int | None = None, windows: int | None = None) -> Sampling:
        """Return what is read of a scene: one window of the paper's size if not told otherwise."""
        return Sampling(window_px=window_px or self.window_px, windows=windows or 1)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "paper-bands",
            "55 % hidden; all bands together and each alone: table 1 of the deep image prior paper",
            PAPER_PERCENTAGES[-1:],
            bands_alone=True,
        ),
        Preset(
            "paper-shares",
            "3, 6, 15, 35 and 55 % hidden, all bands together: figure 1 of the deep image prior paper",
            PAPER_PERCENTAGES,
            bands_alone=False,
        ),
    )
}


def preset_called(name: str) -> Preset:
    """Return the preset of a name.

    Raises:
        UsageError: If there is none.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    raise UsageError(
        f"expected --preset to be {' or '.join(PRESETS)}, but got {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )
