"""The convolutional latent neural process, whose realizations are coherent, as in Pondaven et al. 2022.

Realizations of different bands get the correlations of the observed bands, measured in differences between
nearby pixels. Independent fields, one for each band, are mixed by the square root of the correlation matrix.
This is the intrinsic model of coregionalization: the correlation is the same at every distance. Each part of
a scene has its own correlations, because a cloud is white and the land below is coloured.
tests/benchmarks/check_draws.py measures how well the model fits.

Source: Pondaven et al. 2022, arXiv 2205.12407; Wackernagel 2003, Multivariate Geostatistics, 3rd ed., ch. 22
and 26, doi:10.1007/978-3-662-05294-5; the parts are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from landsat_fill.methods.learned import Answer, LearnedMethod, noise_at
from landsat_fill.methods.method import Context, MethodInfo
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.schema import option

if TYPE_CHECKING:
    from torch import Tensor


STEP_PX = 2
"""Distance of the two pixels of a difference. Sensor noise dominates shorter distances, and large landforms,
which every fill has right, dominate longer ones. Of 1, 2, 3, 4 and 8 px, 2 px came nearest to the errors of
ConvLNP in its training scenes."""

CELL_PX = 32
"""Side of the cells that have their own correlations, measured in the cell and the eight cells around it."""

STEPS_IN_DOUBT = 100
"""With this number of differences, a correlation has half the weight. The rest is the correlation of the
whole tile, which shrinks to 0 in the same way."""


def local_correlations(image: Tensor, observed: Tensor) -> Tensor:
    """Return the correlations between bands of differences along rows and columns, in each cell.

    The image is `(tile, band, row, col)`. `observed` is 1 where a pixel is observed and 0 otherwise. The
    correlations are `(tile, band, band, cell row, cell col)`; the cells cover the tile from its corner.
    """
    torch = import_torch()
    cells = _sums_of_cells(image, observed, -2) + _sums_of_cells(image, observed, -1)
    whole = cells.sum((-2, -1), keepdim=True)
    around = torch.nn.functional.avg_pool2d(cells.flatten(1, 3), 3, 1, 1, divisor_override=1).reshape(cells.shape)
    return _weighted(around, _weighted(whole, torch.zeros_like(whole[0])))


def _weighted(sums: Tensor, prior: Tensor) -> Tensor:
    """Return the weighted mean of the measured correlations and a prior; see `STEPS_IN_DOUBT`."""
    products, squares, steps = sums
    norm = (squares * squares.transpose(1, 2)).sqrt()
    trust = steps / (steps + STEPS_IN_DOUBT)
    correlations: Tensor = trust * (products / norm.where(norm > 0, 1)) + (1 - trust) * prior
    correlations.diagonal(dim1=1, dim2=2).fill_(1)
    return correlations


def _sums_of_cells(image: Tensor, observed: Tensor, axis: int) -> Tensor:
    """Return sums over the differences along an axis that both of two bands have, for each cell.

    These are the products of both bands' differences, the first band's squared differences, and the number of
    differences: `(3, tile, band, band, cell row, cell col)`.
    """
    torch = import_torch()
    both = observed * observed.roll(STEP_PX, axis)
    both.narrow(axis, 0, min(STEP_PX, image.shape[axis])).zero_()
    image = image.masked_fill(observed == 0, 0)
    counted, steps = _in_cells(both), _in_cells((image - image.roll(STEP_PX, axis)) * both)
    sums = torch.stack([steps @ steps.mT, steps.square() @ counted.mT, counted @ counted.mT])
    by_bands: Tensor = sums.permute(0, 1, 4, 5, 2, 3).contiguous()
    return by_bands


def _in_cells(pixels: Tensor) -> Tensor:
    """Return the pixels of each cell, `(tile, cell row, cell col, band, pixel)`, 0 beyond the tile's end."""
    torch = import_torch()
    tiles, bands, height, width = pixels.shape
    whole = torch.nn.functional.pad(pixels.double(), (0, -width % CELL_PX, 0, -height % CELL_PX))
    cells = whole.reshape(tiles, bands, -(-height // CELL_PX), CELL_PX, -(-width // CELL_PX), CELL_PX)
    by_cell: Tensor = cells.permute(0, 2, 4, 1, 3, 5).flatten(4)
    return by_cell


def mixed(fields: Tensor, correlations: Tensor) -> Tensor:
    """Return the fields mixed so that their bands have these correlations; the variance at each pixel is unchanged.

    The mixing matrix is the symmetric square root, which changes the fields least, interpolated between the
    cells around a pixel.

    Args:
        fields: `(draw, tile, band, row, col)`; the bands are independent and have the same statistics.
        correlations: `(tile, band, band, cell row, cell col)`. A matrix may be slightly indefinite, because
            each element is computed from different pixels.
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
"""Number of latent samples for each side of the training patches. Source: Pondaven et al. 2022."""

CPU_VALUES, GPU_VALUES = 128_000_000, 1_000_000_000
"""Largest number of values in a layer's output for all samples computed at once: 0.5 GB or 4 GB of
float32."""


@dataclass(frozen=True)
class ConvLNPMethod(LearnedMethod):
    """The mean and standard deviation of several coherent realizations.

    Half of the latent values are averaged over a tile with its halo, so a fill depends slightly on the
    position of the tiles. The noise depends on the position of the pixel, so neighbouring tiles agree.
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

    variant: int = option(64, "side of the training patches of the shipped weights", choices=SAMPLES)
    samples: int | None = option(
        None, "latent samples for the mean and standard deviation; 32 for variant 64, 8 for 128", low=1
    )

    @property
    def shipped_name(self) -> str:
        """Name of the shipped weights."""
        return f"{self.info.name}-{self.variant}"

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:
        """Return mean and standard deviation of the mixture of all samples, and independent realizations.

        Samples come in pairs of opposite noise, so that much of the random error of their mean cancels out.
        Each band of a realization comes from its own pair. The bands are then mixed by the correlations of
        the scene's bands, which the network hardly learns, because it takes any bands in any order.

        Source: Hammersley and Morton 1956, A new Monte Carlo technique: antithetic variates,
        doi:10.1017/S0305004100031455.
        """
        import torch

        tiles, bands, height, width = signal.shape
        samples = self.samples or SAMPLES[self.variant]
        corners = [context.place(tile).corner for tile in range(tiles)]
        values = tiles * height * width * network.latent_channels
        at_once = max(1, (CPU_VALUES if signal.device.type == "cpu" else GPU_VALUES) // values)
        total, squares = torch.zeros_like(signal), torch.zeros_like(signal)
        draws = signal.new_empty((context.realizations, *signal.shape))
        draw_and_band = {2 * number: divmod(number, bands) for number in range(context.realizations * bands)}
        numbers = sorted({*range(samples), *draw_and_band})
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
                if number in draw_and_band:
                    draw, band = draw_and_band[number]
                    draws[draw, :, band] = mean[:, band]
        mean = total / samples
        std = (squares / samples - mean.square()).clamp_min(0).sqrt()
        if not context.realizations:
            return Answer(mean, std)
        fields = (draws - mean) / std.clamp_min(torch.finfo(std.dtype).tiny)
        return Answer(mean, std, mean + std * mixed(fields, local_correlations(signal, observed)))
