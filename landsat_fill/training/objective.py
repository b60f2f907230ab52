"""The loss of a training step: a batch is normalised, predicted and compared with its true values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from landsat_fill.errors import UsageError
from landsat_fill.networks.normalisation import Normalised, normalise
from landsat_fill.training import losses
from landsat_fill.training.losses import patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from landsat_fill.networks.network import Prediction
    from landsat_fill.training.batches import Batch
    from landsat_fill.training.settings import ObjectiveSettings


LARGEST_TARGET = 10.0
"""True values are clipped to this number of local standard deviations, for example a boat on the sea."""


class Loss(NamedTuple):
    """The total loss, and its named parts for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class NormalisedBatch(NamedTuple):
    """A normalised batch, `(tile, band, row, col)` each.

    Attributes:
        normalised: The input of the network.
        target: The true values in units of the signal, 0 where unknown.
        shown: 1 where the true value is known and the network sees it; 0 in flat areas.
        hidden: 1 where the true value is known and hidden; 0 in flat areas.
    """

    normalised: Normalised
    target: Tensor
    shown: Tensor
    hidden: Tensor


def normalise_batch(batch: Batch) -> NormalisedBatch:
    """Return a batch normalised in the same way as in a fill."""
    usable = batch.usable.to(batch.values.dtype)
    shown = batch.values * usable if batch.filled is None else batch.filled
    normalised = normalise(shown, usable, first_filled=batch.filled is not None)
    target = normalised.in_units(batch.values).clamp(-LARGEST_TARGET, LARGEST_TARGET)
    rough = normalised.is_rough
    return NormalisedBatch(
        normalised,
        target=target.where(batch.usable | batch.hidden, 0),
        shown=usable * rough,
        hidden=(batch.hidden & rough).to(usable.dtype),
    )


def predict(
    network: Callable[..., Prediction], tiles: NormalisedBatch, noise: Tensor | None, precision: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Return the mean and the standard deviation that a network predicts, in single precision."""
    device = tiles.normalised.signal.device.type
    with torch.autocast(device, precision, enabled=precision != torch.float32):
        mean, std = network(tiles.normalised.signal, tiles.normalised.observed, noise)
    return mean.float(), None if std is None else std.float()


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a batch, in single precision."""

    settings: ObjectiveSettings
    latent_channels: int  # channels of a latent model's noise; 0 for other networks
    precision: torch.dtype  # of the network's layers

    def __call__(self, network: Callable[..., Prediction], batch: Batch, generator: torch.Generator) -> Loss:
        """Return the loss of a batch on the network's device; the generator draws a latent model's noise."""
        tiles = normalise_batch(batch)
        noise = self.noise(tiles.normalised.signal, self.settings.samples, generator)
        mean, std = predict(network, tiles, noise, self.precision)
        parts = _KINDS[self.settings.kind](self.settings, batch, tiles, mean, std)
        if self.settings.ms_ssim:
            # Where the truth is unknown, the prediction counts as right.
            known = (tiles.shown + tiles.hidden) > 0
            composed = mean.where(known, tiles.target)
            parts["ms_ssim"] = self.settings.ms_ssim * losses.ms_ssim_loss(composed, tiles.target)
        return Loss(torch.stack(list(parts.values())).sum(), parts)

    def noise(self, signal: Tensor, samples: int, generator: torch.Generator) -> Tensor | None:
        """Return the noise of latent samples of a batch, or None for a network without noise."""
        if not self.latent_channels:
            return None
        tiles, _, rows, cols = signal.shape
        shape = (samples, tiles, self.latent_channels, rows, cols)
        return torch.randn(shape, generator=generator, device=signal.device)


def _likelihood(
    settings: ObjectiveSettings, _batch: Batch, tiles: NormalisedBatch, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the negative log-likelihood of all pixels, with a larger weight of hidden pixels.

    The likelihood gives less weight to pixels with a large standard deviation; `variance_power` compensates
    for this.

    Source: Seitzer et al. 2022, On the pitfalls of heteroscedastic uncertainty estimation with probabilistic
    neural networks, arXiv:2203.09168 (β-NLL).
    """
    if std is None:
        raise UsageError(
            "expected a network with a standard deviation for the likelihood, but got one without",
            hint="Set objective.kind to distance.",
        )
    weight = _weight(settings, tiles)
    if settings.variance_power:
        variance = std.detach().square()
        # All samples of a latent model share a weight, because their mixture is of whole tiles.
        variance = variance.mean(0) if variance.ndim == 5 else variance
        weight = weight * variance**settings.variance_power
    return {"likelihood": losses.negative_log_likelihood(mean, std, tiles.target, weight)}


def _draws(
    settings: ObjectiveSettings, _batch: Batch, tiles: NormalisedBatch, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the CRPS of samples, for pixels and for patterns of adjacent pixels.

    The network must then use its latent values, because samples need to differ as much as the truth. The
    standard deviation learns the remaining error, without a gradient for the samples.

    Source: Alet et al. 2025, Skillful joint probabilistic weather forecasting from marginals,
    arXiv:2506.10772, for the score; the patterns are this project's.
    """
    if mean.ndim != 5 or len(mean) < 2:
        raise UsageError(
            "expected two samples of a latent model, or more, for their CRPS, but got "
            + ("one" if mean.ndim == 5 else "a network without samples"),
            hint="Train convlnp with objective.samples at 2 or more, or set objective.kind to likelihood.",
        )
    known = tiles.shown + tiles.hidden
    composed = tiles.target.where(tiles.hidden == 0, mean)
    pairs = zip(patterns(composed, tiles.hidden, known), patterns(tiles.target, tiles.hidden, known), strict=True)
    parts = {
        sample.name: losses.mean_over_bands(losses.fair_crps(sample.values, truth.values), sample.counted)
        for sample, truth in pairs
    }
    if std is not None and settings.std_weight:
        spread = (mean.detach().var(0) + std.square().mean(0)).sqrt()
        parts["surprise"] = _surprise(settings, tiles, mean.detach().mean(0), spread)
    return parts


def _distance(
    settings: ObjectiveSettings, _batch: Batch, tiles: NormalisedBatch, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the weighted mean error of all pixels."""
    error = losses.pixel_distance(settings.distance, mean, tiles.target)
    if error.ndim == 5:  # samples of a latent model
        error = error.mean(0)
    weight = _weight(settings, tiles)
    return {"distance": (error * weight).sum() / weight.sum().clamp_min(1e-6)}


def _weight(settings: ObjectiveSettings, tiles: NormalisedBatch) -> Tensor:
    """Return the weight of each pixel, 0 where the truth is unknown."""
    return settings.observed_weight * tiles.shown + settings.hidden_weight * tiles.hidden


def _partial_convolution(
    settings: ObjectiveSettings, _batch: Batch, tiles: NormalisedBatch, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the loss of partial convolutions, without the perceptual and style terms of a pre-trained VGG.

    Source: Liu et al. 2018, §3.3, arXiv:1804.07723.
    """
    error = (mean - tiles.target).abs()
    # Both are divided by the number of all pixels, as in the paper.
    composed = mean.where(tiles.hidden > 0, tiles.target)
    return {
        "observed": settings.observed_weight * (error * tiles.shown).mean(),
        "hidden": settings.hidden_weight * (error * tiles.hidden).mean(),
        "variation": settings.total_variation * losses.total_variation(composed, tiles.hidden),
    }


def _residual(
    settings: ObjectiveSettings, batch: Batch, tiles: NormalisedBatch, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the squared error of hidden pixels, in units of the error of an interpolation.

    The standard deviation learns the size of the errors, without a gradient for the mean.
    """
    hidden = batch.hidden.to(mean.dtype)
    unit = _error_unit(batch, hidden)
    hidden = hidden * (unit > 0)
    error = (tiles.normalised.restored(mean) - batch.values) / unit.where(unit > 0, 1)
    parts = {"error": losses.mean_over_bands(error.square(), hidden)}
    if settings.step_weight:
        truth = batch.values / unit.where(unit > 0, 1)
        composed = truth + error.where(hidden > 0, 0)
        known = (batch.usable | batch.hidden).to(mean.dtype)
        steps = losses.step_loss(composed, truth, settings.step_gain, known, hidden)
        parts["steps"] = settings.step_weight * steps
    if std is not None and settings.std_weight:
        parts["surprise"] = _surprise(settings, tiles, mean.detach(), std)
    return parts


def _surprise(settings: ObjectiveSettings, tiles: NormalisedBatch, mean: Tensor, std: Tensor) -> Tensor:
    """Return the weighted negative log-likelihood of the hidden pixels."""
    likelihood = losses.gaussian_log_likelihood(mean, std, tiles.target)
    return settings.std_weight * losses.mean_over_bands(-likelihood, tiles.hidden)


def _error_unit(batch: Batch, hidden: Tensor) -> Tensor:
    """Return the unit of errors, `(tile, band, 1, 1)`; 0 where the interpolation has no error.

    It is the geometric mean of the expected error in the scene and the error of the classical fill in these
    gaps. Places then have similar weights, narrow gaps nearly as much as wide ones, and a lake less than a
    town.
    """
    scale = batch.scale[:, :, None, None]
    if batch.filled is None:
        return scale
    square = (batch.filled - batch.values).square() * hidden
    fill_error = (square.sum((-2, -1), keepdim=True) / hidden.sum((-2, -1), keepdim=True).clamp_min(1)).sqrt()
    return (scale * fill_error).sqrt()


_KINDS: dict[str, Callable[[ObjectiveSettings, Batch, NormalisedBatch, Tensor, Tensor | None], dict[str, Tensor]]] = {
    "likelihood": _likelihood,
    "draws": _draws,
    "distance": _distance,
    "partial-convolution": _partial_convolution,
    "residual": _residual,
}
