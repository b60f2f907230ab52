"""Scores a network on a fixed set of validation samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from landsat_fill.errors import LandsatFillError
from landsat_fill.gaps.simulation import StripeModel, simulate_gaps
from landsat_fill.training.batches import Batch, make_batch
from landsat_fill.training.objective import normalise_batch, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.networks.network import Prediction
    from landsat_fill.training.objective import Objective
    from landsat_fill.training.samples import SampleSource


GAP_WIDTHS_PX = (4.0, 8.0, 14.0)
"""Widths of gaps from a third of the distance between nadir and edge of the swath to the edge."""

INTERVAL_SHARE = 0.9
_INTERVAL_STDS = 1.6449
"""A Gaussian has this share within this number of standard deviations."""

_LATENT_PAIRS = 4
_SEED = 20030531
_TRIES_A_SAMPLE = 20


class Score(NamedTuple):
    """The score of a network.

    Attributes:
        error: RMSE on hidden pixels relative to the classical fill, mean over samples, bands and widths.
        by_width: The same for each width of `GAP_WIDTHS_PX`.
        std_factor: Factor of the standard deviation with which 90 % intervals hold 90 % of the errors, or
            None.
    """

    error: float
    by_width: tuple[float, ...]
    std_factor: float | None


class ValidationSet:
    """A fixed set of samples, with stripes of each width."""

    def __init__(self, sources: Sequence[SampleSource], samples: int, *, filled: bool) -> None:
        """Draw a number of samples from the sources in turn; each gets stripes of every width.

        Raises:
            LandsatFillError: If the scenes have too few observed pixels.
        """
        generator = np.random.default_rng(_SEED)
        self._filled = filled
        self._batches: list[tuple[Batch, NDArray[np.float64]]] = []
        for _ in range(_TRIES_A_SAMPLE * samples):
            drawn = sources[len(self._batches) % len(sources)].sample(generator, None)
            one = _with_stripes(drawn.values, drawn.usable | drawn.hidden, drawn.scale, generator)
            if one is not None:
                self._batches.append(one)
            if len(self._batches) == samples:
                return
        raise LandsatFillError(
            f"expected {samples} samples with hidden and usable pixels, but got {len(self._batches)}",
            hint="Give larger or clearer scenes to validate on, or a smaller validation.size_px.",
        )

    def score(self, network: Callable[..., Prediction], objective: Objective, device: torch.device) -> Score:
        """Return the score of a network in evaluation mode."""
        ratios: list[NDArray[np.float64]] = []
        errors_in_stds: list[torch.Tensor] = []
        generator = torch.Generator(device)
        for batch, reference in self._batches:
            shown = (batch if self._filled else batch._replace(filled=None)).on(device)
            tiles = normalise_batch(shown)
            noise = objective.noise(tiles.normalised.signal, _LATENT_PAIRS, generator.manual_seed(_SEED))
            noise = None if noise is None else torch.cat([noise, -noise])  # as in use
            with torch.inference_mode():
                mean, std = predict(network, tiles, noise, objective.precision)
            if mean.ndim == 5:  # the mixture of a latent model's samples
                variance = mean.var(0, correction=0)
                mean, std = mean.mean(0), None if std is None else (std.square().mean(0) + variance).sqrt()
            error = tiles.normalised.restored(mean) - shown.values
            ratios.append(_rms(error.cpu(), batch.hidden) / reference)
            if std is not None:
                in_stds = (mean - tiles.target).abs() / std
                errors_in_stds.append(in_stds[tiles.hidden > 0].cpu())
        # Flat bands don't count, but a prediction of NaN does.
        rough = ~np.isnan(np.concatenate([reference for _, reference in self._batches], axis=1))
        by_width = np.concatenate(ratios, axis=1).mean(axis=1, where=rough)
        factor = None
        if errors_in_stds:
            factor = float(np.quantile(torch.cat(errors_in_stds).numpy(), INTERVAL_SHARE)) / _INTERVAL_STDS
        return Score(float(by_width.mean()), tuple(by_width.tolist()), factor)


def _with_stripes(
    values: NDArray[np.float32], observed: NDArray[np.bool_], scale: NDArray[np.float32], generator: np.random.Generator
) -> tuple[Batch, NDArray[np.float64]] | None:
    """Return a sample with stripes of each width, as tiles, and the classical fill's RMSE, `(tile, band)`.

    Return None if a band has no hidden or no usable pixels, or all bands are flat at a width.
    """
    gaps = np.stack([simulate_gaps(values.shape, StripeModel(width_px=width), generator) for width in GAP_WIDTHS_PX])
    usable, hidden = observed & ~gaps, observed & gaps
    if not (usable.any((2, 3)).all() and hidden.any((2, 3)).all()):
        return None
    tiles, scales = np.broadcast_to(values, gaps.shape), np.broadcast_to(scale, gaps.shape[:2])
    batch = make_batch(tiles, usable, hidden, scales, filled=True)
    reference = _rms(batch.filled - batch.values, batch.hidden)  # type: ignore[operator]  # made with `filled=True`
    if not reference.any(1).all():
        return None
    # The ratio of a flat band is undefined.
    reference[reference == 0] = np.nan
    return batch, reference


def _rms(error: torch.Tensor, pixels: torch.Tensor) -> NDArray[np.float64]:
    """Return the root mean square of the error over pixels, `(tile, band)`."""
    square = (error.double().square() * pixels).sum((2, 3)) / pixels.sum((2, 3))
    root: NDArray[np.float64] = square.sqrt().numpy()
    return root
