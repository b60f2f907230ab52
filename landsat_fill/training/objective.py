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


class Given(NamedTuple):
    """A normalised batch, `(tile, band, row, col)` each.

    Attributes:
        normalised: The input of the network.
        target: The true values in units of the signal, 0 where unknown.
        shown: 1 where the truth is known and the network sees it; 0 in flat areas.
        hidden: 1 where the truth is known and hidden; 0 in flat areas.
    """

    normalised: Normalised
    target: Tensor
    shown: Tensor
    hidden: Tensor

    @property
    def signal(self) -> Tensor:
        """The signal of the network's input."""
        return self.normalised.signal


def given_of(batch: Batch) -> Given:
    """Return the normalised batch, in the same way as in a fill."""
    usable = batch.usable.to(batch.values.dtype)
    shown = batch.values * usable if batch.filled is None else batch.filled
    normalised = normalise(shown, usable, first_filled=batch.filled is not None)
    target = normalised.in_units(batch.values).clamp(-LARGEST_TARGET, LARGEST_TARGET)
    rough = normalised.is_rough
    return Given(
        normalised,
        target=target.where(batch.usable | batch.hidden, 0),
        shown=usable * rough,
        hidden=(batch.hidden & rough).to(usable.dtype),
    )


def predict(
    network: Callable[..., Prediction], given: Given, noise: Tensor | None, precision: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Return the mean and the standard deviation that a network predicts, in single precision."""
    device = given.signal.device.type
    with torch.autocast(device, precision, enabled=precision != torch.float32):
        mean, std = network(given.signal, given.normalised.observed, noise)
    return mean.float(), None if std is None else std.float()


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a batch.

    Attributes:
        settings: Kind of loss, and the weights of its parts.
        latent_channels: Channels of a latent model's noise; 0 for other networks.
        precision: Precision of the network's layers. The loss is always in single precision.
    """

    settings: ObjectiveSettings
    latent_channels: int
    precision: torch.dtype

    def __call__(self, network: Callable[..., Prediction], batch: Batch, generator: torch.Generator) -> Loss:
        """Return the loss.

        Args:
            network: The network, perhaps wrapped.
            batch: Samples, on the network's device.
            generator: Generator of a latent model's noise, on the same device.
        """
        given = given_of(batch)
        noise = self.noise(given.signal, self.settings.samples, generator)
        mean, std = predict(network, given, noise, self.precision)
        parts = _KINDS[self.settings.kind](self.settings, batch, given, mean, std)
        if self.settings.ms_ssim:
            # Where the truth is unknown, the prediction counts as right.
            known = (given.shown + given.hidden) > 0
            composed = mean.where(known, given.target)
            parts["ms_ssim"] = self.settings.ms_ssim * losses.ms_ssim_loss(composed, given.target)
        return Loss(torch.stack(list(parts.values())).sum(), parts)

    def noise(self, signal: Tensor, samples: int, generator: torch.Generator) -> Tensor | None:
        """Return the noise of latent samples of a batch, or None for a network without noise."""
        if not self.latent_channels:
            return None
        tiles, _, rows, cols = signal.shape
        shape = (samples, tiles, self.latent_channels, rows, cols)
        return torch.randn(shape, generator=generator, device=signal.device)


def _likelihood(
    settings: ObjectiveSettings, _batch: Batch, given: Given, mean: Tensor, std: Tensor | None
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
    weight = _weight(settings, given)
    if settings.variance_power:
        variance = std.detach().square()
        # All samples of a latent model share a weight, because their mixture is of whole tiles.
        variance = variance.mean(0) if variance.ndim == 5 else variance
        weight = weight * variance**settings.variance_power
    return {"likelihood": losses.negative_log_likelihood(mean, std, given.target, weight)}


def _draws(
    settings: ObjectiveSettings, _batch: Batch, given: Given, mean: Tensor, std: Tensor | None
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
    known = given.shown + given.hidden
    composed = given.target.where(given.hidden == 0, mean)
    pairs = zip(patterns(composed, given.hidden, known), patterns(given.target, given.hidden, known), strict=True)
    parts = {
        sample.name: losses.mean_over_bands(losses.fair_crps(sample.values, truth.values), sample.counted)
        for sample, truth in pairs
    }
    if std is not None and settings.std_weight:
        spread = (mean.detach().var(0) + std.square().mean(0)).sqrt()
        surprise = -losses.gaussian_log_likelihood(mean.detach().mean(0), spread, given.target)
        parts["surprise"] = settings.std_weight * losses.mean_over_bands(surprise, given.hidden)
    return parts


def _distance(
    settings: ObjectiveSettings, _batch: Batch, given: Given, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the weighted mean error of all pixels."""
    error = losses.pixel_distance(settings.distance, mean, given.target)
    if error.ndim == 5:  # samples of a latent model
        error = error.mean(0)
    weight = _weight(settings, given)
    return {"distance": (error * weight).sum() / weight.sum().clamp_min(1e-6)}


def _weight(settings: ObjectiveSettings, given: Given) -> Tensor:
    """Return the weight of each pixel, 0 where the truth is unknown."""
    return settings.observed_weight * given.shown + settings.hidden_weight * given.hidden


def _partial_convolution(
    settings: ObjectiveSettings, _batch: Batch, given: Given, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the loss of partial convolutions, without the perceptual and style terms of a pre-trained VGG.

    Source: Liu et al. 2018, §3.3, arXiv:1804.07723.
    """
    error = (mean - given.target).abs()
    # Both are divided by the number of all pixels, as in the paper.
    composed = mean.where(given.hidden > 0, given.target)
    return {
        "observed": settings.observed_weight * (error * given.shown).mean(),
        "hidden": settings.hidden_weight * (error * given.hidden).mean(),
        "variation": settings.total_variation * losses.total_variation(composed, given.hidden),
    }


def _residual(
    settings: ObjectiveSettings, batch: Batch, given: Given, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the squared error of hidden pixels, in units of the error of an interpolation.

    The standard deviation learns the size of the errors, without a gradient for the mean.
    """
    hidden = batch.hidden.to(mean.dtype)
    unit = _error_unit(batch, hidden)
    hidden = hidden * (unit > 0)
    error = (given.normalised.restored(mean) - batch.values) / unit.where(unit > 0, 1)
    parts = {"error": losses.mean_over_bands(error.square(), hidden)}
    if settings.step_weight:
        truth = batch.values / unit.where(unit > 0, 1)
        composed = truth + error.where(hidden > 0, 0)
        known = (batch.usable | batch.hidden).to(mean.dtype)
        steps = losses.step_loss(composed, truth, settings.step_gain, known, hidden)
        parts["steps"] = settings.step_weight * steps
    if std is not None and settings.std_weight:
        surprise = -losses.gaussian_log_likelihood(mean.detach(), std, given.target)
        parts["surprise"] = settings.std_weight * losses.mean_over_bands(surprise, given.hidden)
    return parts


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
    made = (square.sum((-2, -1), keepdim=True) / hidden.sum((-2, -1), keepdim=True).clamp_min(1)).sqrt()
    return (scale * made).sqrt()


_KINDS: dict[str, Callable[[ObjectiveSettings, Batch, Given, Tensor, Tensor | None], dict[str, Tensor]]] = {
    "likelihood": _likelihood,
    "draws": _draws,
    "distance": _distance,
    "partial-convolution": _partial_convolution,
    "residual": _residual,
}
