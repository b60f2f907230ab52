"""Lets the bands of simulated fields go together as those of the scene do.

How what is missing goes together from band to band shows in what was observed: in the steps from pixel to
pixel. Fields of single bands that know nothing of each other get these correlations where they
are mixed by their square root. It is the intrinsic model of coregionalization, in which the correlations of
bands are the same at every distance; tests/benchmarks/check_draws.py tells how well they fit.

Source: Wackernagel 2003, Multivariate Geostatistics, 3rd ed., ch. 22 and 26, doi:10.1007/978-3-662-05294-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.networks.torch_package import import_torch

if TYPE_CHECKING:
    from torch import Tensor

STEP_PX = 2
"""Length of the steps: shorter ones have more of the sensor's noise, longer ones more of the land's large
parts, which no fill misses. Of 1, 2, 3, 4 and 8 px it came nearest to the errors of ConvLNP in the scenes
that it was trained on."""

STEPS_IN_DOUBT = 100
"""Steps of two bands that are trusted half: of fewer, a correlation may be chance."""


def step_correlations(image: Tensor, observed: Tensor) -> Tensor:
    """Return the correlations of bands in the steps along rows and columns that both have.

    Bands that are never observed together have none.

    Args:
        image: `(tile, band, row, col)`; what isn't observed doesn't count.
        observed: 1 where a pixel is observed, else 0, of the same shape.

    Returns:
        `(tile, band, band)`.
    """
    torch = import_torch()
    image = image.masked_fill(observed == 0, 0)
    products = squares = count = image.new_zeros((), dtype=torch.float64)
    for pixels, seen in ((image, observed), (image.mT, observed.mT)):
        both = (seen[..., STEP_PX:, :] * seen[..., :-STEP_PX, :]).flatten(2).double()
        steps = (pixels[..., STEP_PX:, :] - pixels[..., :-STEP_PX, :]).flatten(2).double() * both
        products = products + steps @ steps.mT
        squares = squares + steps.square() @ both.mT  # of the first band, where the second has them, too
        count = count + both @ both.mT
    norm = (squares * squares.mT).sqrt()
    correlations = products / norm.where(norm > 0, 1) * count / (count + STEPS_IN_DOUBT)
    correlations.diagonal(dim1=-2, dim2=-1).fill_(1)
    return correlations


def mixing(correlations: Tensor) -> Tensor:
    """Return what to multiply independent bands of variance 1 by, so that they have these correlations.

    It is the symmetric square root, which changes the bands least.

    Args:
        correlations: `(tile, band, band)`. Each of other pixels, they may contradict each other a little.
    """
    torch = import_torch()
    values, vectors = torch.linalg.eigh(correlations)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None]) @ vectors.mT
    return root / root.square().sum(-1, keepdim=True).sqrt()
