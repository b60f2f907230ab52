"""What every network takes and gives, so that methods and training need not know which one they hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import nn

from landsat_fill.errors import MethodError

if TYPE_CHECKING:
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

    starts_filled: ClassVar[bool] = False
    """Whether its signal is interpolated where not observed: then training must do so, too."""

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
