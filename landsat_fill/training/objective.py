"""What a training step minimises: a batch is normalised, predicted and compared with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from landsat_fill.errors import UsageError
from landsat_fill.networks.normalisation import FLAT_SPREAD, local_statistics
from landsat_fill.training import losses
from landsat_fill.training.losses import patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from landsat_fill.networks.network import Prediction
    from landsat_fill.training.batches import Batch
    from landsat_fill.training.settings import ObjectiveSettings


LARGEST_TARGET = 10.0
"""Truths farther than this from their surroundings, in spreads, are taken for this far: a boat on the sea."""


class Loss(NamedTuple):
    """What is minimised, and the named parts that it is made of, for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class Normalised(NamedTuple):
    """A batch in the units of its surroundings, `(tile, band, row, col)` each.

    Attributes:
        signal: What the network is given.
        observed: 1 where that is an observation.
        target: The truth, 0 where it isn't known.
        shown: 1 where the truth is known and shown.
        hidden: 1 where it is known and hidden.
        mean: What to add to come back to stored numbers, after multiplying by the spread.
        spread: The unit; 0 where the surroundings are flat, and nothing can be learned.
    """

    signal: Tensor
    observed: Tensor
    target: Tensor
    shown: Tensor
    hidden: Tensor
    mean: Tensor
    spread: Tensor

    def stored(self, mean: Tensor) -> Tensor:
        """Return a prediction in stored numbers."""
        return self.mean + self.spread * mean


def normalised(batch: Batch) -> Normalised:
    """Return a batch as a network takes it, the same as when a scene is filled."""
    usable = batch.usable.to(batch.values.dtype)
    shown = batch.values * usable
    mean, spread = local_statistics(shown, usable)
    spread = spread.where(spread > FLAT_SPREAD * _std(shown, usable), 0)
    rough = spread > 0
    unit = spread.where(rough, 1)

    def in_units(values: Tensor) -> Tensor:
        return ((values - mean) / unit).where(rough, 0)

    signal = in_units(batch.values) * usable if batch.filled is None else in_units(batch.filled)
    known = batch.usable | batch.hidden
    target = in_units(batch.values).clamp(-LARGEST_TARGET, LARGEST_TARGET)
    return Normalised(
        signal=signal.contiguous(memory_format=torch.channels_last),
        observed=usable,
        target=target.where(known, 0),
        shown=usable * rough,
        hidden=(batch.hidden & rough).to(usable.dtype),
        mean=mean,
        spread=spread,
    )


def _std(values: Tensor, pixels: Tensor) -> Tensor:
    """Return the standard deviation of some pixels, `(tile, band, 1, 1)`; the values are 0 elsewhere."""
    count = pixels.sum((-2, -1), keepdim=True).clamp_min(1)
    mean = values.sum((-2, -1), keepdim=True) / count
    return ((values - mean).square() * pixels).sum((-2, -1), keepdim=True).div(count).sqrt()


def predict(
    network: Callable[..., Prediction], given: Normalised, noise: Tensor | None, precision: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Return the mean and the standard deviation that a network predicts, in single precision."""
    device = given.signal.device.type
    with torch.autocast(device, precision, enabled=precision != torch.float32):
        mean, std = network(given.signal, given.observed, noise)
    return mean.float(), None if std is None else std.float()


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a batch.

    Attributes:
        settings: Which one, and the weights of its parts.
        latent_channels: Channels of a latent model's noise; 0 for other networks.
        precision: Of the network's layers. The loss is always in single precision.
    """

    settings: ObjectiveSettings
    latent_channels: int
    precision: torch.dtype

    def __call__(self, network: Callable[..., Prediction], batch: Batch, generator: torch.Generator) -> Loss:
        """Return the loss.

        Args:
            network: The network, or what wraps it.
            batch: Samples, on the network's device.
            generator: Draws a latent model's noise, on that device too.
        """
        given = normalised(batch)
        noise = self.noise(given.signal, self.settings.samples, generator)
        mean, std = predict(network, given, noise, self.precision)
        parts = _KINDS[self.settings.kind](self.settings, batch, given, mean, std)
        if self.settings.ms_ssim:
            # Where the truth isn't known, the prediction can't be wrong.
            known = (given.shown + given.hidden) > 0
            composed = mean.where(known, given.target)
            parts["ms_ssim"] = self.settings.ms_ssim * losses.ms_ssim_loss(composed, given.target)
        return Loss(torch.stack(list(parts.values())).sum(), parts)

    def noise(self, signal: Tensor, samples: int, generator: torch.Generator) -> Tensor | None:
        """Return the noise of latent samples of a batch, or None where the network takes none."""
        if not self.latent_channels:
            return None
        tiles, _, rows, cols = signal.shape
        shape = (samples, tiles, self.latent_channels, rows, cols)
        return torch.randn(shape, generator=generator, device=signal.device)


def _likelihood(
    settings: ObjectiveSettings, _batch: Batch, given: Normalised, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the negative log-likelihood of the whole image: what is shown teaches continuity.

    Hidden pixels weigh more: alone by their number, most of what is learned would be to repeat what is shown.
    And as a deviation of its own lets a pixel that is hard weigh less than an easy one, it may be given back
    what it lost.

    Source: Seitzer et al. 2022, On the pitfalls of heteroscedastic uncertainty estimation with probabilistic
    neural networks, arXiv:2203.09168 (β-NLL).
    """
    if std is None:
        raise UsageError(
            "expected a network with a standard deviation for the likelihood, but got one without",
            hint="set objective.kind to distance",
        )
    weight = _weight(settings, given)
    if settings.variance_power:
        variance = std.detach().square()
        # The same for all samples of a latent model: their mixture is of whole tiles.
        variance = variance.mean(0) if variance.ndim == 5 else variance
        weight = weight * variance**settings.variance_power
    return {"likelihood": losses.negative_log_likelihood(mean, std, given.target, weight)}


def _draws(
    settings: ObjectiveSettings, _batch: Batch, given: Normalised, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the CRPS of what samples show: of pixels, and of what they are together.

    The latent values are used then: samples must differ as the truth may. The standard deviation learns what
    the samples' own leaves, and never bends them.

    Source: Alet et al. 2025, Skillful joint probabilistic weather forecasting from marginals,
    arXiv:2506.10772, for the score; what is scored besides pixels is this project's.
    """
    if mean.ndim != 5 or len(mean) < 2:
        raise UsageError(
            "expected two samples of a latent model, or more, for their CRPS, but got "
            + ("one" if mean.ndim == 5 else "a network without samples"),
            hint="train convlnp with objective.samples at 2 or more, or set objective.kind to likelihood",
        )
    known = given.shown + given.hidden
    composed = given.target.where(given.hidden == 0, mean)
    seen = zip(
        patterns(composed, given.hidden, known), patterns(given.target, given.hidden, known), strict=True
    )
    parts = {
        drawn.name: losses.mean_over_bands(losses.fair_crps(drawn.values, truth.values), drawn.counted)
        for drawn, truth in seen
    }
    if std is not None and settings.std_weight:
        spread = (mean.detach().var(0) + std.square().mean(0)).sqrt()
        surprise = -losses.gaussian_log_likelihood(mean.detach().mean(0), spread, given.target)
        parts["surprise"] = settings.std_weight * losses.mean_over_bands(surprise, given.hidden)
    return parts


def _distance(
    settings: ObjectiveSettings, _batch: Batch, given: Normalised, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the weighted mean error of all pixels: hidden ones weigh more."""
    error = losses.pixel_distance(settings.distance, mean, given.target)
    if error.ndim == 5:  # of a latent model: of a sample on average
        error = error.mean(0)
    weight = _weight(settings, given)
    return {"distance": (error * weight).sum() / weight.sum().clamp_min(1e-6)}


def _weight(settings: ObjectiveSettings, given: Normalised) -> Tensor:
    """Return what each pixel weighs; 0 where the truth isn't known."""
    return settings.observed_weight * given.shown + settings.hidden_weight * given.hidden


def _partial_convolution(
    settings: ObjectiveSettings, _batch: Batch, given: Normalised, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the loss of partial convolutions, without the perceptual and style terms of a pre-trained VGG.

    Source: Liu et al. 2018, §3.3, arXiv:1804.07723.
    """
    error = (mean - given.target).abs()
    # Both by the number of all pixels, as the paper has it.
    composed = mean.where(given.hidden > 0, given.target)
    return {
        "observed": settings.observed_weight * (error * given.shown).mean(),
        "hidden": settings.hidden_weight * (error * given.hidden).mean(),
        "variation": settings.total_variation * losses.total_variation(composed, given.hidden),
    }


def _residual(
    settings: ObjectiveSettings, batch: Batch, given: Normalised, mean: Tensor, std: Tensor | None
) -> dict[str, Tensor]:
    """Return the squared error of hidden pixels in units of what interpolation makes there.

    The standard deviation learns the size of errors that it can't change, so it never bends the mean.
    """
    hidden = batch.hidden.to(mean.dtype)
    unit = _error_unit(batch, hidden)
    hidden = hidden * (unit > 0)
    error = (given.stored(mean) - batch.values) / unit.where(unit > 0, 1)
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
    """Return what an error is counted in, `(tile, band, 1, 1)`; 0 where there is nothing to improve.

    Halfway, geometrically, between the error to be expected in this scene and the one that the classical fill
    makes under these very gaps: places weigh alike, narrow gaps nearly as much as wide ones, and a lake less
    than a town.
    """
    scale = batch.scale[:, :, None, None]
    if batch.filled is None:
        return scale
    square = (batch.filled - batch.values).square() * hidden
    made = (square.sum((-2, -1), keepdim=True) / hidden.sum((-2, -1), keepdim=True).clamp_min(1)).sqrt()
    return (scale * made).sqrt()


_KINDS: dict[
    str, Callable[[ObjectiveSettings, Batch, Normalised, Tensor, Tensor | None], dict[str, Tensor]]
] = {
    "likelihood": _likelihood,
    "draws": _draws,
    "distance": _distance,
    "partial-convolution": _partial_convolution,
    "residual": _residual,
}
