"""What every network takes and gives, and a base for those with a fixed number of band channels.

The networks of the literature fix their channels when they are built. Here each channel is a slot: a scene of
fewer bands leaves slots without any observation, one of more bands is worked in several groups. A network
that was trained on random subsets and orders of bands then serves every scene.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import nn
from torch.nn.functional import pad

from landsat_fill.errors import MethodError
from landsat_fill.networks.normalisation import LARGEST_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Prediction(NamedTuple):
    """What a network says of every pixel, in the units of the signal it was given.

    Attributes:
        mean: `(tile, band, row, col)`, or `(sample, tile, band, row, col)` from a latent model.
        std: Standard deviation of the same shape, positive, or None where the network has none.
    """

    mean: Tensor
    std: Tensor | None = None


class Network(nn.Module, ABC):
    """The root of all networks: predicts all pixels of normalised tiles from the observed ones.

    Attributes:
        settings: The frozen dataclass that it was built from.
        reach_px: How far an observed pixel can influence a prediction: half the receptive field.
        size_multiple_px: What the sides of a tile must be a multiple of.
        slots: How many bands it works at once, each in a place of its own; None where bands have no places.
        latent_channels: Size of the third axis of the noise that a latent model draws from; 0 for others.
    """

    name: ClassVar[str]
    """What it is called in `train` and in files of weights."""

    settings_kind: ClassVar[type]
    """The frozen dataclass of its settings, whose fields are made by `option`."""

    starts_filled: ClassVar[bool] = False
    """Whether its signal is filled by `first_fill` where nothing is observed; 0 otherwise."""

    growing: ClassVar[tuple[str, ...]] = ()
    """Settings that may be raised when training goes on: a block that is added says nothing at first, what is
    switched on has no weights."""

    shrinking: ClassVar[tuple[str, ...]] = ()
    """Settings that may be lowered when training goes on: a residual block that is left out is missed less
    than it seems, and training makes up for it."""

    settings: Any
    slots: int | None = None
    latent_channels: int = 0

    def __init__(self, *, reach_px: int, size_multiple_px: int = 1) -> None:
        super().__init__()
        self.reach_px = reach_px
        self.size_multiple_px = size_multiple_px

    @abstractmethod
    def forward(self, signal: Tensor, observed: Tensor, noise: Tensor | None = None) -> Prediction:
        """Return the prediction, in the signal's precision.

        Args:
            signal: `(tile, band, row, col)`, normalised, of any number of bands in any order; of any value
                where not observed, or interpolated there for a network that `starts_filled`.
            observed: 1 where the signal is an observation, else 0; of the same shape.
            noise: Standard normal draws `(sample, tile, latent, row, col)` of a latent model, the same for
                all bands; others don't look at it.

        Raises:
            MethodError: If the tensors' shapes don't suit each other or the network.
        """


def require_tiles(signal: Tensor, observed: Tensor, multiple_px: int) -> None:
    """Refuse shapes that a network can't work on.

    Args:
        signal: What it is given.
        observed: What it is told of that.
        multiple_px: What the sides must be multiples of.

    Raises:
        MethodError: If they aren't `(tile, band, row, col)`, of one shape, with such sides.
    """
    shape = tuple(signal.shape)
    if signal.ndim != 4 or shape != tuple(observed.shape):
        raise MethodError(
            "expected signal and observed of one shape (tile, band, row, col), "
            f"but got {shape} and {tuple(observed.shape)}",
            hint="Give every band its own plane of observed pixels.",
        )
    if shape[2] % multiple_px or shape[3] % multiple_px:
        raise MethodError(
            f"expected tile sides that are multiples of {multiple_px} px, but got {shape[2]} x {shape[3]} px",
            hint="Pad the tile with unobserved pixels.",
        )


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
