"""From a network's last channels to a Gaussian at every pixel.

Source: Le et al. 2018, "Empirical evaluation of neural process objectives", as in the Neural Process Family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from landsat_fill.networks.interface import Prediction

if TYPE_CHECKING:
    from torch import Tensor

LEAST_STD = 0.01
"""The smallest standard deviation, in units of the signal's local spread: keeps the likelihood bounded."""


def gaussian(channels: Tensor) -> Prediction:
    """Return mean and standard deviation, in single precision or better.

    Args:
        channels: `(tile, 2 x slot, row, col)`: the means, then the standard deviations before they are made
            positive.
    """
    precision = torch.promote_types(channels.dtype, torch.float32)
    mean, raw_std = channels.to(precision).chunk(2, 1)
    return Prediction(mean, LEAST_STD + (1 - LEAST_STD) * softplus(raw_std))
