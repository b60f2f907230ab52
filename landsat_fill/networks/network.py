"""The interface of all networks, and a base for networks with a fixed number of band channels.

Networks from the literature have a fixed number of channels. Here each channel is a slot. A scene with fewer
bands leaves slots without observations, and a scene with more bands is processed in groups. A network trained
on random subsets and orders of bands therefore serves every scene.
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
    """The prediction for every pixel, in the units of the signal.

    Attributes:
        mean: `(tile, band, row, col)`, or `(sample, tile, band, row, col)` from a latent model.
        std: Standard deviation of the same shape, positive; None from a network without one.
    """

    mean: Tensor
    std: Tensor | None = None


class Network(nn.Module, ABC):
    """The base of all networks: predicts all pixels of normalised tiles from the observed pixels.

    Attributes:
        settings: The frozen dataclass of the network's settings.
        reach_px: Largest distance at which an observed pixel influences a prediction.
        size_multiple_px: Divisor of the sides of a tile.
        slots: Number of bands processed at once; None for a network that takes any number.
        latent_channels: Channels of a latent model's noise; 0 for other networks.
    """

    name: ClassVar[str]
    """Name in `train` and in weights files."""

    settings_kind: ClassVar[type]
    """The frozen dataclass of its settings, whose fields are made by `option`."""

    starts_filled: ClassVar[bool] = False
    """Whether `first_fill` fills the unobserved pixels of the signal, which are 0 otherwise."""

    growing: ClassVar[tuple[str, ...]] = ()
    """Settings that may be raised when training continues from weights. A new block starts with no effect."""

    shrinking: ClassVar[tuple[str, ...]] = ()
    """Settings that may be lowered when training continues from weights, which drops residual blocks."""

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
            signal: `(tile, band, row, col)`, normalised, with any number of bands in any order. Values at
                unobserved pixels don't matter, unless the network `starts_filled`.
            observed: 1 where the signal is an observation and 0 otherwise, of the same shape.
            noise: Standard normal noise `(sample, tile, latent, row, col)` of a latent model, the same for
                all bands; unused by other networks.

        Raises:
            MethodError: If the shapes of the tensors don't match, or don't suit the network.
        """


def require_tiles(signal: Tensor, observed: Tensor, multiple_px: int) -> None:
    """Raise MethodError unless both are `(tile, band, row, col)` of one shape and suitable sides."""
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
"""The axis of bands in a prediction, with or without a sample axis."""


def band_groups(bands: int, slots: int) -> Iterator[tuple[slice, slice]]:
    """Yield the adjacent bands that are processed together, and those of them whose prediction is kept.

    Each band is kept in exactly one group; in other groups it is only an input.
    """
    for kept in range(0, bands, slots):
        first = max(0, min(kept, bands - slots))
        last = min(first + slots, bands)
        yield slice(first, last), slice(kept, last)


class SlotNetwork(Network):
    """The base of networks with a fixed number of slots for bands."""

    slots: int

    def __init__(self, slots: int, *, reach_px: int, size_multiple_px: int = 1) -> None:
        super().__init__(reach_px=reach_px, size_multiple_px=size_multiple_px)
        self.slots = slots

    def forward(self, signal: Tensor, observed: Tensor, noise: Tensor | None = None) -> Prediction:
        """Return the prediction for all bands, processed in groups; see `Network.forward`."""
        require_tiles(signal, observed, self.size_multiple_px)
        # A product would let NaN pass.
        signal = signal.masked_fill(observed == 0, 0).clamp(-LARGEST_SIGNAL, LARGEST_SIGNAL)
        observed = observed.to(signal.dtype)
        means, stds = [], []
        for group, kept in band_groups(signal.shape[1], self.slots):
            empty = (0, 0, 0, 0, 0, self.slots - (group.stop - group.start))
            mean, std = self.predict_slots(pad(signal[:, group], empty), pad(observed[:, group], empty), noise)
            own = (..., slice(kept.start - group.start, kept.stop - group.start), slice(None), slice(None))
            means.append(mean[own].to(signal.dtype))
            if std is not None:
                stds.append(std[own].to(signal.dtype))
        return Prediction(torch.cat(means, BAND_AXIS), torch.cat(stds, BAND_AXIS) if stds else None)

    @abstractmethod
    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return the prediction for one band in each slot.

        Args:
            signal: `(tile, slot, row, col)`, 0 where not observed.
            observed: 1 or 0, of the same shape; 0 in a slot without a band.
            noise: As in `forward`.
        """
