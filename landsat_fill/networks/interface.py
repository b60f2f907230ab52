"""What every network takes and gives, so that methods and training need not know which one they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

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


class Network(Protocol):
    """A torch module that predicts all pixels of normalised tiles from the observed ones.

    Attributes:
        size_multiple_px: What the sides of a tile must be a multiple of.
        reach_px: How far an observed pixel can influence a prediction: half the receptive field.
        latent: Whether it draws samples and wants noise.
    """

    size_multiple_px: ClassVar[int]
    latent: ClassVar[bool]
    reach_px: int

    def __call__(self, signal: Tensor, observed: Tensor, noise: Tensor | None = None) -> Prediction:
        """Return the prediction.

        Args:
            signal: `(tile, band, row, col)`, normalised, 0 where not observed. Any number of bands and any
                order: networks with a fixed number of slots leave the others empty.
            observed: 1 where the signal is an observation, else 0; of the same shape.
            noise: Standard normal draws `(sample, tile, latent, row, col)` of a latent model.
        """
        ...


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
