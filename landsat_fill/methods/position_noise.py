"""Normal noise that belongs to a place: tiles that overlap see the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.networks.catalogue import import_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


BLOCK_PX = 32
"""Noise is drawn in blocks of this side, each from a generator of its own."""


def noise_at(
    corners: Sequence[tuple[int, int]],
    shape_px: tuple[int, int],
    samples: Sequence[int],
    channels: int,
    seed: int,
    device: str,
) -> Tensor:
    """Return standard normal noise `(sample, tile, channel, row, col)`.

    A number depends on the seed, the sample, the channel and the row and column in the scene, and on nothing
    else but the kind of device.

    Args:
        corners: Row and column in the scene of each tile's corner.
        shape_px: Height and width of the tiles.
        samples: Numbers of the samples.
        channels: How many channels.
        seed: Decides all of it.
        device: Where it is drawn.
    """
    torch = import_torch()
    height, width = shape_px
    noise: Tensor = torch.empty((len(samples), len(corners), channels, height, width), device=device)
    generator = torch.Generator(device)
    for tile, (top, left) in enumerate(corners):
        for block_row in range(top // BLOCK_PX, -(-(top + height) // BLOCK_PX)):
            for block_col in range(left // BLOCK_PX, -(-(left + width) // BLOCK_PX)):
                rows, from_rows = _shared(block_row * BLOCK_PX, top, height)
                cols, from_cols = _shared(block_col * BLOCK_PX, left, width)
                for number, sample in enumerate(samples):
                    key = np.random.SeedSequence([seed, sample, block_row, block_col]).generate_state(
                        1, np.uint64
                    )
                    generator.manual_seed(int(key[0]) >> 1)  # torch takes 63 bits
                    block = torch.randn((channels, BLOCK_PX, BLOCK_PX), generator=generator, device=device)
                    noise[number, tile, :, rows, cols] = block[:, from_rows, from_cols]
    return noise


def _shared(block_px: int, tile_px: int, size_px: int) -> tuple[slice, slice]:
    """Return the pixels that a block and a tile share along an axis, counted in the tile and in the block.

    Args:
        block_px: Where the block begins.
        tile_px: Where the tile begins.
        size_px: The tile's size.
    """
    start, end = max(block_px, tile_px), min(block_px + BLOCK_PX, tile_px + size_px)
    return slice(start - tile_px, end - tile_px), slice(start - block_px, end - block_px)
