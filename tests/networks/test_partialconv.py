from __future__ import annotations

import itertools

import torch

from landsat_fill.networks.partialconv import Partial, PartialConv2d


def by_the_paper(layer: PartialConv2d, values: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return equations 1 and 2 of Liu et al. 2018, window by window."""
    outputs, channels, side, _ = layer.weight.shape
    margin = side // 2
    values, known = (torch.nn.functional.pad(plane, [margin] * 4) for plane in (values, known))
    rows, columns = ((size - side) // layer.stride + 1 for size in values.shape[2:])
    result, updated = torch.zeros(1, outputs, rows, columns), torch.zeros(1, 1, rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        top, left = row * layer.stride, column * layer.stride
        window = (0, slice(None), slice(top, top + side), slice(left, left + side))
        there = known[window].sum()
        if there > 0:
            updated[0, 0, row, column] = 1
            scaled = values[window] * known[window] * (channels * side * side / there)
            result[0, :, row, column] = (layer.weight * scaled).sum((1, 2, 3)) + layer.bias
    return result, updated


def test_it_is_the_papers_equation_for_gaps_that_differ_by_channel() -> None:
    for stride in (1, 2):
        layer = PartialConv2d(5, 3, 3, stride=stride)
        torch.nn.init.normal_(layer.bias)
        values = torch.randn(1, 5, 8, 8)
        known = (torch.rand(1, 5, 8, 8) > 0.8).float()
        known[..., :4, :4] = 0
        # One part with what is known for each channel, one with what is known for both of its channels.
        known[:, 4:] = known[:, 3:4]
        parts = (Partial((values * known)[:, :3], known[:, :3]), Partial((values * known)[:, 3:], known[:, 3:4]))
        with torch.no_grad():
            result = layer(*parts)
            wanted, updated = by_the_paper(layer, values, known)
        assert torch.equal(result.known, updated)
        assert (updated == 0).any()
        torch.testing.assert_close(result.values, wanted)


def test_gaps_close_layer_by_layer() -> None:
    layer = PartialConv2d(1, 1, 3)
    known = torch.zeros(1, 1, 9, 9)
    known[..., 4, 4] = 1
    features = Partial(known.clone(), known)
    with torch.no_grad():
        for layers in range(1, 5):
            features = layer(features)
            assert features.known.sum() == (2 * layers + 1) ** 2
