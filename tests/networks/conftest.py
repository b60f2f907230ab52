"""Networks small enough to be tried in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from landsat_fill.networks.convcnp import ConvCNP, ConvCNPSettings
from landsat_fill.networks.convlnp import ConvLNP, ConvLNPSettings
from landsat_fill.networks.partialconv import PartialConv, PartialConvSettings
from landsat_fill.networks.unet import UNet, UNetSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from landsat_fill.networks.network import SlotNetwork

SMALL: dict[str, Callable[[], SlotNetwork]] = {
    "convcnp": lambda: ConvCNP(ConvCNPSettings(channels=8, blocks=1, kernel_px=3, context_kernel_px=5)),
    "convcnp-batch-norm": lambda: ConvCNP(
        ConvCNPSettings(channels=8, blocks=1, kernel_px=3, context_kernel_px=5, batch_norm=True)
    ),
    "convlnp": lambda: ConvLNP(ConvLNPSettings(channels=8, blocks=1, kernel_px=3, context_kernel_px=5)),
    "convlnp-local": lambda: ConvLNP(
        ConvLNPSettings(channels=8, blocks=1, kernel_px=3, context_kernel_px=5, averaged=False, pixel_std=True)
    ),
    "unet": lambda: UNet(UNetSettings(channels=8, most_channels=12, halvings=2)),
    "partialconv": lambda: PartialConv(PartialConvSettings(channels=8, most_channels=12, halvings=2)),
    "partialconv-batch-norm": lambda: PartialConv(
        PartialConvSettings(channels=8, most_channels=12, halvings=2, batch_norm=True)
    ),
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: on networks this small, more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.fixture(params=SMALL)
def network(request: pytest.FixtureRequest, _seeded: None) -> SlotNetwork:
    """Return a small network, in use rather than in training, in double precision."""
    return SMALL[request.param]().double().eval()
