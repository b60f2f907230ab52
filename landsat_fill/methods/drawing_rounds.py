"""Plausible fills of any network that predicts a Gaussian a pixel: drawn round after round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.methods.drawing_order import drawing_order
from landsat_fill.methods.interface import Context, option
from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.place_noise import noise_at

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from landsat_fill.methods.learned import Given

FIRST_SHARE = 1 / 512
"""Share of the missing pixels that the first round draws: so few that they don't know of each other."""


@dataclass(frozen=True)
class DrawsInRounds(LearnedMethod):
    """A learned method that draws autoregressively.

    A Gaussian for each pixel says nothing of how the errors of neighbours and bands go together; to draw all
    pixels at once would be to sprinkle noise. So a few pixels far apart are drawn first, each from its
    Gaussian. Then the network is asked again, with these as if they had been observed, and more are drawn, by
    the same factor in each round: with ten rounds twice as many. No two draws share any chance.

    Source: Bruinsma et al. 2023, Autoregressive conditional neural processes, arXiv:2303.14468; the order is
    this project's.
    """

    rounds: int = field(
        default=10,
        metadata=option(
            "rounds that a plausible fill (--draw) is drawn in, each larger than the one before", low=1
        ),
    )

    def draw(self, network: Any, given: Given, context: Context) -> Tensor:
        """Return plausible fills; see `LearnedMethod.draw`. Each has latent values of its own, if any."""
        import torch

        tiles, bands, height, width = given.signal.shape
        corners = context.corners or ((0, 0),) * tiles
        order = np.stack([drawing_order((bands, height, width), corner) for corner in corners])
        turns = torch.from_numpy(order).to(given.signal.device)
        draws = []
        for number in range(context.draws):
            noise = noise_at(
                corners,
                (height, width),
                range(number, number + 1),
                network.latent_channels + bands,
                context.seed,
                str(given.signal.device),
            )
            latents, chance = noise[:, :, bands:], noise[0, :, :bands]
            drawn, known = given.signal, given.observed
            for share in self._shares():
                mean, std = network(drawn, known, latents)
                found = (mean + std * self.file.std_factor * chance).reshape(drawn.shape)
                now = given.missing & (known == 0) & (turns < share)
                drawn, known = drawn.where(~now, found), known.masked_fill(now, 1)
            draws.append(drawn)
        return torch.stack(draws)

    def _shares(self) -> NDArray[np.float64]:
        """Return the share of the missing pixels that is drawn by the end of each round."""
        return np.geomspace(1, FIRST_SHARE, self.rounds)[::-1]
