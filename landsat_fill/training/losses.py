"""The losses: functions of tensors that return a scalar.

Samples with the right distribution at each pixel may still be noise, so some losses compare patterns of
adjacent pixels. No loss compares bands, because their correlations differ between scenes; the method
`convlnp` measures them in each scene.

Tensors are `(tile, band, row, col)` in normalised units, with a leading sample axis in a latent model's
predictions. `weight` tensors are 1 for pixels that count and 0 for others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, huber_loss

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    """Return 1 for adjacent pairs of known pixels of which at least one is hidden, and 0 for other pairs."""
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
