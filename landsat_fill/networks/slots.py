"""Gives a network with a fixed number of band channels any number of bands.

The networks of the literature fix their channels when they are built. Here each channel is a slot: a scene of
fewer bands leaves slots without any observation, one of more bands is worked in several groups. A network
that was trained on random subsets and orders of bands then serves every scene.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import pad

from landsat_fill.networks.interface import Network, Prediction, require_tiles
from landsat_fill.networks.normalising import LARGEST_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

BAND_AXIS = -3
"""Where the bands are in a prediction, whether it has a sample axis or not."""


class BandGroup(NamedTuple):
    """A run of neighbouring bands that are worked together.

    Attributes:
        first: The first band of the run.
        last: One beyond the last.
        kept: The first band whose prediction is wanted; the ones before it are there as neighbours only.
    """

    first: int
    last: int
    kept: int


def band_groups(bands: int, slots: int) -> Iterator[BandGroup]:
    """Yield the groups in which some bands are worked; each band is kept in exactly one.

    Args:
        bands: How many bands there are.
        slots: How many a network takes at once.
    """
    for kept in range(0, bands, slots):
        first = max(0, min(kept, bands - slots))
        yield BandGroup(first, min(first + slots, bands), kept)


class SlotNetwork(Network):
    """The root of the networks that have a fixed number of slots for bands.

    Attributes:
        slots: How many bands it works at once.
    """

    slots: int

    def __init__(self, slots: int, *, reach_px: int, size_multiple_px: int = 1) -> None:
        super().__init__(reach_px=reach_px, size_multiple_px=size_multiple_px)
        self.slots = slots

    def forward(self, signal: Tensor, observed: Tensor, noise: Tensor | None = None) -> Prediction:
        """Return the prediction for all bands, worked in groups; see `Network.forward`."""
        require_tiles(signal, observed, self.size_multiple_px)
        # Not a product: a hidden NaN must not get through either.
        signal = signal.masked_fill(observed == 0, 0).clamp(-LARGEST_SIGNAL, LARGEST_SIGNAL)
        observed = observed.to(signal.dtype)
        parts = [
            self._predict_group(group, signal, observed, noise)
            for group in band_groups(signal.shape[1], self.slots)
        ]
        if len(parts) == 1:
            return parts[0]
        mean = torch.cat([part.mean for part in parts], BAND_AXIS)
        stds = [part.std for part in parts if part.std is not None]
        return Prediction(mean, torch.cat(stds, BAND_AXIS) if stds else None)

    @abstractmethod
    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return the prediction for exactly as many bands as there are slots.

        Args:
            signal: `(tile, slot, row, col)`, 0 where not observed.
            observed: 1 or 0, of the same shape; a slot without a band is nowhere observed.
            noise: What a latent model was given.
        """

    def _predict_group(
        self, group: BandGroup, signal: Tensor, observed: Tensor, noise: Tensor | None
    ) -> Prediction:
        """Return the prediction for the kept bands of a group."""
        empty = (0, 0, 0, 0, 0, self.slots - (group.last - group.first))
        predicted = self.predict_slots(
            pad(signal[:, group.first : group.last], empty),
            pad(observed[:, group.first : group.last], empty),
            noise,
        )
        start, count = group.kept - group.first, group.last - group.kept

        def kept(values: Tensor) -> Tensor:
            return values.narrow(BAND_AXIS, start, count).to(signal.dtype)

        return Prediction(kept(predicted.mean), None if predicted.std is None else kept(predicted.std))
