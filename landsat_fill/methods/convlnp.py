"""The convolutional latent neural process, whose realizations are coherent, as in Pondaven et al. 2022.

Missing pixels of two bands correlate as the observed ones do, in their steps from pixel to pixel. Independent
fields, one for each band, get these correlations when they are mixed by the square root of the correlation
matrix. This is the intrinsic model of coregionalization: bands correlate alike at every distance. Each part
of a scene has correlations of its own, since a cloud is white and the land below has colours.
tests/benchmarks/check_draws.py measures how well it fits.

Source: Pondaven et al. 2022, arXiv 2205.12407; Wackernagel 2003, Multivariate Geostatistics, 3rd ed., ch. 22
and 26, doi:10.1007/978-3-662-05294-5; the parts are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from landsat_fill.methods.inference import noise_at
from landsat_fill.methods.learned import Answer, LearnedMethod
from landsat_fill.methods.method import Context, MethodInfo
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.schema import option

if TYPE_CHECKING:
    from torch import Tensor


STEP_PX = 2
"""Length of the steps: shorter ones have more of the sensor's noise, longer ones more of the land's large
parts, which no fill misses. Of 1, 2, 3, 4 and 8 px it came nearest to the errors of ConvLNP in the scenes
that it was trained on."""

CELL_PX = 32
"""Side of the parts that have correlations of their own, taken of themselves and of the eight around them."""

STEPS_IN_DOUBT = 100
"""Steps of two bands that are trusted half: of fewer, a correlation may be chance. Then that of the tile
counts, and of few in all of the tile, none."""


class _Sums(NamedTuple):
    """Sums over steps that both of two bands have, `(tile, band, band, …)` each.

    Attributes:
        products: Of the step in the one and the step in the other.
        squares: Of the step in the first.
        steps: How many there are.
    """

    products: Tensor
    squares: Tensor
    steps: Tensor

    def correlations(self, otherwise: Tensor) -> Tensor:
        """Return the correlations, as far as they can be trusted, and something else for the rest."""
        norm = (self.squares * self.squares.transpose(1, 2)).sqrt()
        found = self.products / norm.where(norm > 0, 1)
        trust = self.steps / (self.steps + STEPS_IN_DOUBT)
        correlations = trust * found + (1 - trust) * otherwise
        correlations.diagonal(dim1=1, dim2=2).fill_(1)
        return correlations


def local_correlations(image: Tensor, observed: Tensor) -> Tensor:
    """Return the correlations of bands in steps along rows and columns that both have, in each cell.

    Args:
        image: `(tile, band, row, col)`; what isn't observed doesn't count.
        observed: 1 where a pixel is observed, else 0, of the same shape.

    Returns:
        `(tile, band, band, cell row, cell col)`; the cells cover the tile from its corner.
    """
    torch = import_torch()
    sums = [_sums_of_cells(image, observed, axis) for axis in (-2, -1)]
    cells = _Sums(*(rows + cols for rows, cols in zip(*sums, strict=True)))
    whole = _Sums(*(of.sum((-2, -1), keepdim=True) for of in cells))
    around = _Sums(
        *(
            torch.nn.functional.avg_pool2d(of.flatten(1, 2), 3, 1, 1, divisor_override=1).reshape(of.shape)
            for of in cells
        )
    )
    return around.correlations(whole.correlations(torch.zeros_like(whole.products)))


def _sums_of_cells(image: Tensor, observed: Tensor, axis: int) -> _Sums:
    """Return the sums over the steps along an axis that end in each cell."""
    both = observed * observed.roll(STEP_PX, axis)
    both.narrow(axis, 0, min(STEP_PX, image.shape[axis])).zero_()
    image = image.masked_fill(observed == 0, 0)
    seen, steps = _in_cells(both), _in_cells((image - image.roll(STEP_PX, axis)) * both)
    sums = (steps @ steps.mT, steps.square() @ seen.mT, seen @ seen.mT)
    return _Sums(*(of.permute(0, 3, 4, 1, 2).contiguous() for of in sums))


def _in_cells(pixels: Tensor) -> Tensor:
    """Return the pixels of each cell, `(tile, cell row, cell col, band, pixel)`, 0 beyond the tile's end."""
    torch = import_torch()
    tiles, bands, height, width = pixels.shape
    whole = torch.nn.functional.pad(pixels.double(), (0, -width % CELL_PX, 0, -height % CELL_PX))
    cells = whole.reshape(tiles, bands, -(-height // CELL_PX), CELL_PX, -(-width // CELL_PX), CELL_PX)
    by_cell: Tensor = cells.permute(0, 2, 4, 1, 3, 5).flatten(4)
    return by_cell


def mixed(fields: Tensor, correlations: Tensor) -> Tensor:
    """Return fields whose bands have these correlations, and at each pixel the variance that they had.

    They are mixed by the symmetric square root, which changes them least, of the four cells next to a pixel.

    Args:
        fields: `(draw, tile, band, row, col)`, of bands that are independent of each other and alike.
        correlations: `(tile, band, band, cell row, cell col)`. Each of other pixels, those of a cell may
            contradict each other a little.
    """
    torch = import_torch()
    values, vectors = torch.linalg.eigh(correlations.permute(0, 3, 4, 1, 2))
    root = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT
    shares = root.permute(0, 3, 4, 1, 2).to(fields.dtype)  # (tile, band, of band, cell row, cell col)
    result: Tensor = torch.empty_like(fields)
    height, width = fields.shape[-2:]
    for band in range(fields.shape[2]):
        share = torch.nn.functional.interpolate(shares[:, band], scale_factor=CELL_PX, mode="bilinear")
        share = share[..., :height, :width]
        share = share / share.square().sum(1, keepdim=True).sqrt()
        result[:, :, band] = (share * fields).sum(2)
    return result


SAMPLES = {64: 32, 128: 8}
"""Samples of the latent values by the side of the training patches. Source: Pondaven et al. 2022."""

CPU_VALUES, GPU_VALUES = 128_000_000, 1_000_000_000
"""Values a layer's output may have for all samples worked on at once: half a gigabyte of float32, or four."""


@dataclass(frozen=True)
class ConvLNPMethod(LearnedMethod):
    """The mean of several coherent fills, and how much they differ.

    Half of the latent values are averaged over a tile with its halo, so that a fill depends a little on where
    the tiles lie. The noise belongs to the pixel, so that neighbouring tiles draw the same.

    Source: Foong et al. 2020, Meta-learning stationary stochastic process prediction with convolutional
    neural processes, arXiv:2007.01332.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="convlnp",
        summary="convolutional latent neural process: coherent realizations, mean and standard deviation",
        source="Foong et al. 2020, Meta-learning stationary stochastic process prediction with convolutional "
        "neural processes, https://arxiv.org/abs/2007.01332",
        halo_px=120,
        tile_px=256,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
        gives_realizations=True,
    )
    network: ClassVar[str] = "convlnp"

    variant: int = option(64, "side of the patches that the shipped weights were trained on", choices=SAMPLES)
    samples: int | None = option(
        None, "samples whose mean and standard deviation are the fill; 32 of variant 64, 8 of 128", low=1
    )

    @property
    def shipped_name(self) -> str:
        """Name of the shipped weights."""
        return f"{self.info.name}-{self.variant}"

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:
        """Return mean and standard deviation of the mixture of all samples, and independent realizations.

        Samples come in pairs, of noise and of its opposite, so that much of the chance in their mean cancels
        out. Each band of a realization comes from a pair of its own. The bands are then mixed by the
        correlations of the scene's bands: a network that serves any bands in any order hardly learns these.

        Source: Hammersley and Morton 1956, A new Monte Carlo technique: antithetic variates,
        doi:10.1017/S0305004100031455.
        """
        import torch

        tiles, bands, height, width = signal.shape
        samples = self.samples or SAMPLES[self.variant]
        corners = context.corners or ((0, 0),) * tiles
        values = tiles * height * width * network.latent_channels
        at_once = max(1, (CPU_VALUES if signal.device.type == "cpu" else GPU_VALUES) // values)
        total, squares = torch.zeros_like(signal), torch.zeros_like(signal)
        draws = signal.new_empty((context.realizations, *signal.shape))
        drawn = {2 * number: divmod(number, bands) for number in range(context.realizations * bands)}
        numbers = sorted({*range(samples), *drawn})
        for first in range(0, len(numbers), at_once):
            part = numbers[first : first + at_once]
            pairs = [number // 2 for number in part]
            signs = torch.tensor([(-1.0) ** number for number in part], device=signal.device)
            noise = signs[:, None, None, None, None] * noise_at(
                corners, (height, width), pairs, network.latent_channels, context.seed, str(signal.device)
            )
            for number, mean, std in zip(part, *network(signal, observed, noise), strict=True):
                if number < samples:
                    total += mean
                    squares += mean.square() + std.square()
                if number in drawn:
                    draw, band = drawn[number]
                    draws[draw, :, band] = mean[:, band]
        mean = total / samples
        std = (squares / samples - mean.square()).clamp_min(0).sqrt()
        if not context.realizations:
            return Answer(mean, std)
        fields = (draws - mean) / std.clamp_min(torch.finfo(std.dtype).tiny)
        return Answer(mean, std, mean + std * mixed(fields, local_correlations(signal, observed)))
