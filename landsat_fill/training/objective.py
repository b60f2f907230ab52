"""The loss of a training step: a batch is normalised, predicted and compared with its true values.

Samples with the right distribution at each pixel may still be noise, so some losses compare patterns of
adjacent pixels. No loss compares bands, because their correlations differ between scenes; the method
`convlnp` measures them in each scene.

Tensors are `(tile, band, row, col)` in normalised units, with a leading sample axis in a latent model's
predictions. `weight` tensors are 1 for pixels that count and 0 for others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, huber_loss

from landsat_fill.errors import UsageError
from landsat_fill.networks.normalisation import Normalised, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from landsat_fill.networks.network import Prediction
    from landsat_fill.training.batches import Batch
    from landsat_fill.training.settings import ObjectiveSettings


SQUARE_PX = 4
"""Side of the squares whose means are compared: about half a gap."""


class Pattern(NamedTuple):
    """Values of an image or of groups of its pixels.

    Attributes:
        name: Name in the log.
        values: `([sample,] tile, band, row, col)`.
        counted: 1 where a value is known and depends on a hidden pixel, without a sample axis.
    """

    name: str
    values: Tensor
    counted: Tensor


def patterns(image: Tensor, hidden: Tensor, known: Tensor) -> Iterator[Pattern]:
    """Yield the pixels of an image, differences of adjacent pixels, and means of squares.

    Args:
        image: `([sample,] tile, band, row, col)`.
        hidden: 1 where a pixel is hidden, `(tile, band, row, col)`.
        known: 1 where the true value of a pixel is known.
    """
    yield Pattern("pixels", image, hidden)
    for name, axis in (("rows", -2), ("cols", -1)):
        yield Pattern(name, image.diff(dim=axis), _counted_pairs(hidden, known, axis))
    yield Pattern("squares", _means(image), (_means(known) == 1) * (_means(hidden) > 0).to(image.dtype))


def _pairs(pixels: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the first and the second pixel of each adjacent pair along an axis."""
    length = pixels.shape[axis] - 1
    return pixels.narrow(axis, 0, length), pixels.narrow(axis, 1, length)


def _counted_pairs(hidden: Tensor, known: Tensor, axis: int) -> Tensor:
    """Return 1 for adjacent pairs of known pixels if at least one is hidden, and 0 for other pairs."""
    return torch.maximum(*_pairs(hidden, axis)) * torch.minimum(*_pairs(known, axis))


def _means(image: Tensor) -> Tensor:
    """Return the means of squares that overlap by half."""
    flat = avg_pool2d(image.flatten(0, -4) if image.ndim == 5 else image, SQUARE_PX, SQUARE_PX // 2)
    return flat.reshape(*image.shape[:-2], *flat.shape[-2:])


_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

SSIM_SPAN = 6.0
"""The data range for MS-SSIM: over 99 % of normalised pixels lie within three standard deviations."""

_SSIM_REDUCTION = 16
"""Reduction of a side by the five levels of MS-SSIM."""

_LARGEST_WINDOW_PX = 11
"""The window of Wang, Simoncelli and Bovik 2003."""


def gaussian_log_likelihood(mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
    """Return the log density of each target pixel under the Gaussian predicted for it."""
    return -0.5 * ((target - mean) / std).square() - std.log() - _HALF_LOG_TWO_PI


def negative_log_likelihood(mean: Tensor, std: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the negative log-likelihood of the target, mean over pixels and tiles.

    With a sample axis it is the likelihood of the mixture of samples of whole tiles (NPML).

    Source: Gordon et al. 2020, Convolutional Conditional Neural Processes, arXiv:1910.13556; Foong et al.
    2020, Meta-Learning Stationary Stochastic Process Prediction with Convolutional Neural Processes, §4.1,
    arXiv:2007.01332.
    """
    tiles = (gaussian_log_likelihood(mean, std, target) * weight).sum((-3, -2, -1))  # ([sample,] tile)
    if tiles.ndim == 2:
        tiles = tiles.logsumexp(0) - math.log(len(tiles))
    return -(tiles / weight.sum((-3, -2, -1)).clamp_min(1)).mean()


def mean_over_bands(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over the means of all bands, so that bands have equal weights."""
    return _mean_of_means((values * weight).sum((-2, -1)), weight.sum((-2, -1)))


def _mean_of_means(sums: Tensor, counts: Tensor) -> Tensor:
    """Return the mean over bands of the mean in each band; bands without pixels don't count."""
    return (sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def pixel_distance(kind: str, predicted: Tensor, target: Tensor) -> Tensor:
    """Return the error of each pixel: `absolute`, `squared`, or `huber`, which is linear beyond 1."""
    if kind == "huber":
        return huber_loss(predicted, target, reduction="none")
    error = predicted - target
    return error.abs() if kind == "absolute" else error.square()


def total_variation(image: Tensor, hidden: Tensor) -> Tensor:
    """Return the sum of absolute differences of adjacent pixels if one is hidden, divided by all pixels.

    Source: Liu et al. 2018, Image Inpainting for Irregular Holes Using Partial Convolutions, eq. 5 and 6,
    arXiv:1804.07723.
    """

    def along(axis: int) -> Tensor:
        return (image.diff(dim=axis).abs() * torch.maximum(*_pairs(hidden, axis))).sum()

    return (along(-1) + along(-2)) / image.numel()


def fair_crps(samples: Tensor, truth: Tensor) -> Tensor:
    """Return the continuous ranked probability score of each value, unbiased by the number of samples.

    It is the mean error of the samples minus half their mean difference. Its expectation is lowest if the
    samples have the distribution of the truth.

    Args:
        samples: `(sample, …)`, at least two.
        truth: `(…)`.

    Source: Ferro 2014, Fair scores for ensemble forecasts, doi:10.1002/qj.2270.
    """
    count = len(samples)
    missed = (samples - truth).abs().mean(0)
    pairs = [(a, b) for a in range(count) for b in range(a)]
    apart = torch.stack([(samples[a] - samples[b]).abs() for a, b in pairs]).mean(0)
    return missed - 0.5 * apart


def step_loss(composed: Tensor, truth: Tensor, gain: float, known: Tensor, hidden: Tensor) -> Tensor:
    """Return the squared error of differences between adjacent pixels if one is hidden, mean over bands.

    A squared error favours fills with less contrast than the truth. A gain above 1 compensates for this.

    Args:
        composed: The true values with predicted hidden pixels, `(tile, band, row, col)`.
        truth: True values, of the same shape.
        gain: Factor of the true differences.
        known: 1 where the true value is known, and 0 otherwise.
        hidden: 1 where the true value is known and hidden.

    Source: this project.
    """

    def along(axis: int) -> tuple[Tensor, Tensor]:
        error = composed.diff(dim=axis) - gain * truth.diff(dim=axis)
        counted = _counted_pairs(hidden, known, axis)
        return (error.square() * counted).sum((-2, -1)), counted.sum((-2, -1))

    squares, counts = (rows + cols for rows, cols in zip(along(-2), along(-1), strict=True))
    return _mean_of_means(squares, counts)


def ms_ssim_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - MS-SSIM, mean over tiles, bands and samples.

    Source: Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216; pytorch-msssim.
    """
    from pytorch_msssim import ms_ssim

    # The gradient of the library's root is infinite at 0, so such bands get the gradient 0.
    if predicted.requires_grad:
        predicted = predicted.clone()
        predicted.register_hook(lambda slope: slope.nan_to_num(0.0, 0.0, 0.0))  # type: ignore[no-untyped-call]
    target = target.expand_as(predicted).flatten(0, -4)
    similarity: Tensor = ms_ssim(
        # Luminances must be positive.
        predicted.flatten(0, -4) / SSIM_SPAN + 0.5,
        target / SSIM_SPAN + 0.5,
        data_range=1.0,
        win_size=ms_ssim_window_px(min(target.shape[-2:])),
    )
    return 1 - similarity


def ms_ssim_window_px(side_px: int) -> int:
    """Return the side of the largest window of MS-SSIM in a tile: 3 at 64 px, 5 at 96 px, 7 at 128 px.

    Raises:
        UsageError: If the tile is too small.
    """
    fitting = [w for w in range(3, _LARGEST_WINDOW_PX + 1, 2) if (w - 1) * _SSIM_REDUCTION < side_px]
    if not fitting:
        raise UsageError(
            f"expected samples of more than {2 * _SSIM_REDUCTION} px for MS-SSIM, but got {side_px}",
            hint="Raise data.size_px, or leave objective.ms_ssim at 0.",
        )
    return fitting[-1]


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
            parts["ms_ssim"] = self.settings.ms_ssim * ms_ssim_loss(composed, tiles.target)
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
    return {"likelihood": negative_log_likelihood(mean, std, tiles.target, weight)}


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
        sample.name: mean_over_bands(fair_crps(sample.values, truth.values), sample.counted) for sample, truth in pairs
    }
    if std is not None and settings.std_weight:
        spread = (mean.detach().var(0) + std.square().mean(0)).sqrt()
        parts["surprise"] = _surprise(settings, tiles, mean.detach().mean(0), spread)
    return parts


def _distance(
    settings: ObjectiveSettings, _batch: Batch, tiles: NormalisedBatch, mean: Tensor, _std: Tensor | None
) -> dict[str, Tensor]:
    """Return the weighted mean error of all pixels."""
    error = pixel_distance(settings.distance, mean, tiles.target)
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
        "variation": settings.total_variation * total_variation(composed, tiles.hidden),
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
    parts = {"error": mean_over_bands(error.square(), hidden)}
    if settings.step_weight:
        truth = batch.values / unit.where(unit > 0, 1)
        composed = truth + error.where(hidden > 0, 0)
        known = (batch.usable | batch.hidden).to(mean.dtype)
        steps = step_loss(composed, truth, settings.step_gain, known, hidden)
        parts["steps"] = settings.step_weight * steps
    if std is not None and settings.std_weight:
        parts["surprise"] = _surprise(settings, tiles, mean.detach(), std)
    return parts


def _surprise(settings: ObjectiveSettings, tiles: NormalisedBatch, mean: Tensor, std: Tensor) -> Tensor:
    """Return the weighted negative log-likelihood of the hidden pixels."""
    likelihood = gaussian_log_likelihood(mean, std, tiles.target)
    return settings.std_weight * mean_over_bands(-likelihood, tiles.hidden)


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
