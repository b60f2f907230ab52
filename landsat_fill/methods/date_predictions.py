"""Predictions from other dates: regressions at the nodes of a lattice, and how much each is worth there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.methods.land_classes import k_means, nearest_centres
from landsat_fill.methods.splines import first_fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from landsat_fill.scene import Reference

    Cube = NDArray[np.float32]
    Flags = NDArray[np.bool_]

MOST_DATES = 8
"""Most references: a bit of a byte says whether one is usable at a pixel."""

LATTICE_PX = 256
"""Distance of the nodes at which regressions are fitted and judged."""

MARGIN_PX = 64
"""The window of a node reaches this far beyond its cell, so that the windows of neighbours overlap."""

BLOCK_PX, REACH_BLOCKS = 8, 1
"""A local regression belongs to a block of this side and is fitted to the square of blocks up to this many away: 24
pixels across. Squares of up to 40 pixels have the same error within one percent."""

RADIUS_PX = BLOCK_PX * (REACH_BLOCKS + 2)
"""Largest distance at which a pixel influences a local regression."""

JUDGED_PX = 160
"""Side of the part of a node's window in which predictions are judged."""

PENALTY = 3.0
"""Ridge penalty of the local regression, in squared standard deviations of the band: about as much as the differences
of 20 pairs of adjacent pixels weigh."""

LEAST_PIXELS = 30
"""Fewest pixels of a local regression."""

STEP = 1 / 1024
"""Local regressions round features and residuals to this share of a standard deviation, so that sums are exact."""

LARGEST = 64.0
"""They are clipped to this many standard deviations."""

SAMPLE = 16_384
"""Most pixels of a node that regressions are fitted to."""

SHRINKAGE = 0.001
"""Ridge penalty of the regressions by class, as a share of the variance of a band."""

CLASS_SAMPLE = 4096
"""Pixels of a node, or a few more, that the classes are found in."""

HIDDEN_PERIOD_PX, HIDDEN_WIDTH_PX = 40, 8
"""Stripes of observed pixels that are hidden to judge predictions: a fifth of all, as far from the rest as in a gap."""

ALIKE_PIXELS, ALIKE_RADIUS_PX, ALIKE_STEP_PX = 20, 14, 2
"""Pixels that look alike in the references: as many as Chen et al. 2011 take, among every second one around."""

CANDIDATES = 2
"""Predictions that are weighed: by class, and corrected by a local regression on all bands."""


LEAST_GAIN = 0.01
"""Share of the squared error that predictions must save on hidden pixels; less may be chance, and counts as nothing."""


class Node(NamedTuple):
    """What is measured in the window of a node.

    Attributes:
        scales: Standard deviation of each reference band, `(band,)`.
        centres: Centres of the classes, `(band, class)`; infinite for a class that isn't there.
        coefficients: `(pattern, class, band + 1, image band)`.
        fitted: Whether there is a regression for each pattern of usable references, `(pattern,)`.
        leading: Number of the reference with the largest coefficients in a pattern, from 1, `(pattern,)`.
        level: Mean of each image band, 0 where unknown.
        spread: Standard deviation of each image band, 1 where unknown.
        lowest: Smallest value of each image band, 0 where unknown.
        highest: Largest value of each image band, 0 where unknown.
        products: Sums of products of the candidates' gains over the single image, `(image band, 3, 3)`; the last
            row is the gain that would be perfect.
        alike: For the rest, of the pixels that look alike and a surface: sums of the squared gain, of its product with
            the perfect gain, and of the squared perfect gain, `(image band, 3)`.
    """

    scales: NDArray[np.float64]
    centres: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    fitted: Flags
    leading: NDArray[np.uint8]
    level: NDArray[np.float64]
    spread: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    products: NDArray[np.float64]
    alike: NDArray[np.float64]


class Survey(NamedTuple):
    """The nodes of a scene as arrays, `(row, col, …)` each, with the weights of the candidates.

    Attributes:
        stand_ins: Pattern whose regression serves a pattern, `(row, col, pattern)`; 0 for none.
        weights: Weight of each candidate, `(row, col, candidate, image band)`: not negative, at most 1 in sum.
        alike: Share of the rest that is taken from pixels that look alike, `(row, col, image band)`: at most the sum of
            the candidates' weights, because the mean of any pixels gains something over a surface.
    """

    nodes: Node
    stand_ins: NDArray[np.uint8]
    weights: NDArray[np.float64]
    alike: NDArray[np.float64]


class Stack(NamedTuple):
    """The references of a tile as one cube.

    Attributes:
        values: `(band, row, col)`, 0 where not usable.
        patterns: Bit d is set where all bands of reference d are usable, `(row, col)`.
        first_bands: First band of each reference, and the number of all bands.
    """

    values: Cube
    patterns: NDArray[np.uint8]
    first_bands: NDArray[np.int64]


def stacked(references: tuple[Reference, ...], tile: int) -> Stack:
    """Return the matched bands of the references of a tile; a reference counts where all of them are usable.

    Raises:
        UsageError: If there are more references than a pattern has bits.
    """
    if len(references) > MOST_DATES:
        raise UsageError(
            f"expected at most {MOST_DATES} references for multi-date, but got {len(references)}",
            hint="Give the best ones only.",
        )
    values, first, patterns = [], [0], None
    for number, reference in enumerate(references):
        used = sorted({band for band in reference.matches if band is not None})
        usable = reference.usable[tile, used].all(axis=0) & bool(used)
        values.append(np.where(usable, reference.values[tile, used], np.float32(0)))
        first.append(first[-1] + len(used))
        patterns = (0 if patterns is None else patterns) | usable.astype(np.uint8) << number
    # In one order of axes, which compiled loops need not be compiled for twice.
    return Stack(np.concatenate(values), np.ascontiguousarray(patterns, np.uint8), np.array(first))


def fitted_node(image: NDArray[np.floating], usable: Flags, stack: Stack, count: int) -> Node | None:
    """Return the classes and regressions of a node."""
    patterns, bands, first = stack.patterns, len(image), stack.first_bands
    features = stack.values.reshape(len(stack.values), -1)
    total, kinds = int(first[-1]), 1 << (len(first) - 1)
    known = (usable & (patterns > 0)).reshape(bands, -1)
    if known.sum(axis=1).max() <= total + 1:
        return None
    own_bands = [slice(first[number], first[number + 1]) for number in range(len(first) - 1)]
    scales, shifts = np.ones(total), np.zeros(total)
    seen = np.flatnonzero(patterns)[:: max(1, np.count_nonzero(patterns) // CLASS_SAMPLE)]
    sample = np.zeros((seen.size, total), np.float32)
    for number, own in enumerate(own_bands):
        places = thinned(np.flatnonzero((patterns >> number) & 1))
        if places.size:
            values = features[own, places].astype(np.float64)
            scales[own], shifts[own] = np.maximum(values.std(axis=1), 1e-9), values.mean(axis=1)
            usable_there = (patterns.reshape(-1)[seen] >> number) & 1 > 0
            sample[usable_there, own] = (features[own][:, seen[usable_there]].T - shifts[own]) / scales[own]
    # Where a reference isn't usable, the sample has its mean.
    found = k_means(sample, count)
    centres = np.full((count, total), np.inf)
    centres[: len(found)] = found + shifts / scales
    coefficients = np.zeros((kinds, count, total + 1, bands))
    fitted, leading = np.zeros(kinds, np.bool_), np.zeros(kinds, np.uint8)
    alone = {1 << number for number in range(len(first) - 1)}
    groups = bands_fitted_together(known)
    for pattern in sorted(alone | set(np.unique(patterns).tolist()) - {0}):
        members = [number for number in range(len(first) - 1) if pattern >> number & 1]
        on = np.concatenate([np.arange(total)[own_bands[number]] for number in members])
        full = (patterns & pattern).reshape(-1) == pattern
        for group, shared in groups:
            places = thinned(np.flatnonzero(shared & full))
            if places.size <= 2 * (on.size + 1):
                continue
            design = np.ones((places.size, on.size + 1))
            design[:, :-1] = ((features[on[:, None], places] - shifts[on, None]) / scales[on, None]).T
            classes = nearest_centres(features[on[:, None], places].T / scales[on], centres[:, on])
            slopes = class_slopes(design, image.reshape(bands, -1)[group][:, places].T, classes, count)
            raw = slopes[:, :-1] / scales[on, None]  # (class, reference band, image band)
            coefficients[pattern][:, on[:, None], group] = raw
            coefficients[pattern][:, -1, group] = slopes[:, -1] - np.einsum("crb,r->cb", raw, shifts[on])
            fitted[pattern] = True
        strength = np.abs(coefficients[pattern, :, :-1]).sum(axis=(0, 2)) * scales
        leading[pattern] = 1 + max(members, key=lambda number: float(strength[own_bands[number]].sum()))
    observed = [image[band].reshape(-1)[known[band]] for band in range(bands)]
    return Node(
        scales,
        np.ascontiguousarray((centres * scales).T),
        coefficients,
        fitted,
        leading,
        level=np.array([values.mean() if values.size else 0.0 for values in observed]),
        spread=np.array([max(values.std(), 1e-9) if values.size else 1.0 for values in observed]),
        lowest=np.array([values.min() if values.size else 0.0 for values in observed]),
        highest=np.array([values.max() if values.size else 0.0 for values in observed]),
        products=np.zeros((bands, CANDIDATES + 1, CANDIDATES + 1)),
        alike=np.zeros((bands, 3)),
    )


def judged_node(image: NDArray[np.floating], usable: Flags, hidden: Flags, stack: Stack, node: Node) -> Node:
    """Return the node with the sums of products of gains on hidden pixels."""
    survey = survey_of({(0, 0): node}, (1, 1))
    image = np.where(usable | hidden, image, 0)
    found = predictions(image, usable, stack, survey, (0, 0))
    known = found.known
    level, spread, lowest, highest = (
        numbers[:, None, None] for numbers in (node.level, node.spread, node.lowest, node.highest)
    )
    corrected = np.clip(found.by_class + spread * found.corrections, lowest, highest)
    candidates = [np.clip(found.by_class, lowest, highest), corrected]
    # A surface is linear in the values it goes through. What it leaves of a difference is the difference of what it
    # leaves, and a candidate gains over the surface alone what the surface leaves of the candidate.
    gains = np.stack([values - level - surface(values - level, usable & known) for values in (*candidates, image)])
    products = np.zeros((len(image), CANDIDATES + 1, CANDIDATES + 1))
    for band in range(len(image)):
        judged = gains[:, band, hidden[band] & known] / node.spread[band]
        products[band] = judged @ judged.T
    survey = survey_of({(0, 0): node._replace(products=products)}, (1, 1))
    weights = survey.weights[0, 0]  # (candidate, band)
    shares = weights[..., None, None]
    rest = image - level - sum(shares[number] * (candidates[number] - level) for number in range(CANDIDATES))
    perfect = gains[CANDIDATES] - sum(shares[number] * gains[number] for number in range(CANDIDATES))
    smooth = rest - perfect
    gain = residuals_of_alike(rest, usable, hidden, known, stack, survey, (0, 0)) - smooth
    alike = np.zeros((len(image), 3))
    for band in range(len(image)):
        judged = hidden[band] & known & np.isfinite(gain[band])
        own, best = gain[band, judged] / node.spread[band], perfect[band, judged] / node.spread[band]
        alike[band] = own @ own, own @ best, best @ best
    return node._replace(products=products, alike=alike)


def expectation(
    image: NDArray[np.floating], usable: Flags, stack: Stack, survey: Survey, place: tuple[int, int]
) -> tuple[NDArray[np.floating], Flags, NDArray[np.uint8]]:
    """Return the weighted prediction of the references, `(band, row, col)`, and where there is one, `(row, col)`.

    The third value is the number of the reference that weighs most, 0 where references weigh less than half.
    """
    found = predictions(image, usable, stack, survey, place)
    expected, total_weight = weighted(found, survey, place)
    rows, cols = (
        np.minimum((start + np.arange(size)) // LATTICE_PX, count - 1)
        for start, size, count in zip(place, image.shape[1:], survey.stand_ins.shape[:2], strict=True)
    )
    used = survey.stand_ins[rows[:, None], cols, stack.patterns]
    leading = survey.nodes.leading[rows[:, None], cols, used]
    return expected.astype(image.dtype), found.known, np.where(total_weight > 0.5, leading, np.uint8(0))


def weighted(
    found: Predictions, survey: Survey, place: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the candidates' weighted sum around the level of the image, and the sum of the weights.

    Both are `(band, row, col)`. The sum of the weights is 0 where there is no prediction.
    """
    from landsat_fill.methods.kernels.node_loops import weigh

    expected, total_weight = np.empty(found.by_class.shape), np.empty(found.by_class.shape, np.float32)
    nodes = np.concatenate([_ranges(survey.nodes), survey.weights], axis=-2)
    weigh(found.by_class, found.corrections, found.known, np.array(place), LATTICE_PX, nodes, expected, total_weight)
    return expected, total_weight


def _ranges(nodes: Node) -> NDArray[np.float64]:
    """Return level, spread, smallest and largest value of the nodes, `(row, col, 4, band)`."""
    return np.stack([nodes.level, nodes.spread, nodes.lowest, nodes.highest], axis=-2, dtype=np.float64)


def residuals_of_alike(
    rest: NDArray[np.floating],
    usable: Flags,
    wanted: Flags,
    known: Flags,
    stack: Stack,
    survey: Survey,
    place: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the mean rest of the pixels that look most alike in the references, `(band, row, col)`.

    Args:
        rest: What the weighted prediction leaves, `(band, row, col)`.
        usable: Pixels where it is known.
        wanted: Pixels to estimate it at; the others are NaN.
        known: Where there is a prediction, `(row, col)`.
        stack: The references.
        survey: The nodes.
        place: Row and column of the tile in the scene.
    """
    from landsat_fill.methods.kernels.node_loops import average_alike

    averaged = np.full(rest.shape, np.nan)
    average_alike(
        stack.values,
        stack.patterns,
        np.array(place),
        LATTICE_PX,
        survey.nodes.scales,
        stack.first_bands,
        rest.astype(np.float64),
        np.asarray(usable.all(axis=0)) & known,
        np.asarray(wanted.any(axis=0)) & known,
        ALIKE_RADIUS_PX,
        ALIKE_STEP_PX,
        ALIKE_PIXELS,
        averaged,
    )
    return averaged


class Predictions(NamedTuple):
    """The candidates of a tile.

    Attributes:
        by_class: Prediction by class, `(band, row, col)`.
        corrections: What a local regression on all bands adds, in standard deviations around the nodes.
        known: Where there is a prediction, `(row, col)`.
    """

    by_class: NDArray[np.float64]
    corrections: NDArray[np.float32]
    known: Flags


def predictions(
    image: NDArray[np.floating], usable: Flags, stack: Stack, survey: Survey, place: tuple[int, int]
) -> Predictions:
    """Return the candidates of a tile.

    Args:
        image: `(band, row, col)`.
        usable: Pixels to fit to.
        stack: The references.
        survey: The nodes.
        place: Row and column of the tile in the scene.
    """
    from landsat_fill.methods.kernels.node_loops import fit_around, predict_by_class, standardise_around

    nodes, corner, ranges = survey.nodes, np.array(place), _ranges(survey.nodes)
    by_class, known = np.empty(image.shape), np.empty(image.shape[1:], np.bool_)
    predict_by_class(
        stack.values,
        stack.patterns,
        corner,
        LATTICE_PX,
        survey.stand_ins,
        1 / nodes.scales**2,
        nodes.centres,
        stack.first_bands,
        nodes.coefficients,
        ranges,
        by_class,
        known,
    )
    features, residuals = np.empty(image.shape, np.float32), np.empty(image.shape, np.float32)
    standardise_around(image, usable, known, by_class, corner, LATTICE_PX, ranges, STEP, LARGEST, features, residuals)
    corrections, together = np.zeros(image.shape, np.float32), np.asarray(usable.all(axis=0)) & known
    blocks = (corner % BLOCK_PX, BLOCK_PX, REACH_BLOCKS)
    fit_around(features, residuals, together, known, *blocks, PENALTY, LEAST_PIXELS, corrections)
    return Predictions(by_class, corrections, known)


def surface(values: NDArray[np.floating], usable: Flags) -> NDArray[np.floating]:
    """Return each band with a smooth surface through its usable pixels."""
    kept = np.where(usable, values, 0).astype(np.float32)
    return np.asarray(first_fill(kept[None], usable[None])[0])


def stripes(shape: tuple[int, ...], place: tuple[int, int]) -> Flags:
    """Return the pixels to hide: stripes that fall to the left, across the gaps of Landsat 7."""
    rows = place[0] + np.arange(shape[0])[:, None]
    cols = place[1] + np.arange(shape[1])[None]
    return np.asarray((5 * rows + cols) // 5 % HIDDEN_PERIOD_PX < HIDDEN_WIDTH_PX)


def middle(height: int, width: int) -> tuple[slice, slice]:
    """Return the middle of a window, of a side of `JUDGED_PX` at most."""
    top, left = max(0, (height - JUDGED_PX) // 2), max(0, (width - JUDGED_PX) // 2)
    return slice(top, top + JUDGED_PX), slice(left, left + JUDGED_PX)


def thinned(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return evenly spread places, at most `SAMPLE` of them."""
    return places[:: max(1, -(-places.size // SAMPLE))]


def bands_fitted_together(known: Flags) -> list[tuple[list[int], Flags]]:
    """Return groups of bands, each with the pixels that their regressions are fitted to.

    All bands are fitted at once to the pixels that are known in all of them, if these are at least half of the known
    pixels of each band. Otherwise each band is fitted alone. A band without a known pixel is left out.

    Args:
        known: Known pixels, `(band, pixel)`.
    """
    some = [int(band) for band in np.flatnonzero(known.any(axis=1))]
    shared = np.asarray(known[some].all(axis=0))
    if 2 * shared.sum() >= known.sum(axis=1).max():
        return [(some, shared)]
    return [([band], known[band]) for band in some]


def class_slopes(
    design: NDArray[np.float64], values: NDArray[np.floating], classes: NDArray[np.intp], count: int
) -> NDArray[np.float64]:
    """Return the coefficients of each class, `(class, coefficient, band)`; a small class shares those of all pixels.

    Args:
        design: `(pixel, coefficient)`.
        values: `(pixel, band)`.
        classes: Class of each pixel, from 0 to `count`, which is excluded.
        count: Number of classes.
    """

    def fit(design: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
        gram = design.T @ design
        gram[np.diag_indices(len(gram) - 1)] += SHRINKAGE * len(values)
        return np.asarray(np.linalg.solve(gram, design.T @ values), np.float64)

    slopes = np.repeat(fit(design, values)[None], count, axis=0)
    for number in range(count):
        own = classes == number
        if np.count_nonzero(own) > 20 * design.shape[1]:
            slopes[number] = fit(design[own], values[own])
    return slopes


def spread_out(numbers: NDArray[np.float64], place: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return numbers of the nodes, `(row, col, …)`, interpolated to the pixels of a tile, `(…, row, col)`."""
    sides = []
    for start, size, count in zip(place, shape, numbers.shape[:2], strict=True):
        at = np.clip((start + np.arange(size) + 0.5) / LATTICE_PX - 0.5, 0, count - 1)
        before = np.minimum(at.astype(int), max(count - 2, 0))
        share = np.zeros((size, count))
        share[np.arange(size), before] = 1 - (at - before)
        share[np.arange(size), np.minimum(before + 1, count - 1)] += at - before
        sides.append(share)
    flat = numbers.reshape(*numbers.shape[:2], -1)
    full = np.einsum("ri,cj,ijk->krc", *sides, flat, optimize=True)
    return np.asarray(full, np.float64).reshape(*numbers.shape[2:], *shape)


def survey_of(nodes: Mapping[tuple[int, int], Node], shape: tuple[int, int]) -> Survey:
    """Return the nodes as arrays with their weights. A place without a node takes the numbers of the nearest one."""
    places = np.array(list(nodes))
    found = list(nodes.values())
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 1, 2)
    nearest = np.argmin(((grid - places) ** 2).sum(axis=-1), axis=1)
    arrays = Node(
        *(np.stack(numbers)[nearest].reshape(*shape, *numbers[0].shape) for numbers in zip(*found, strict=True))
    )
    there = np.zeros(shape, np.bool_)
    there[tuple(places.T)] = True
    kinds = arrays.fitted.shape[-1]
    stand_ins = np.zeros((*shape, kinds), np.uint8)
    for pattern in range(1, kinds):
        for part in sorted(range(1, kinds), key=int.bit_count):  # the last one to fit has the most references
            if part & pattern == part:
                stand_ins[..., pattern] = np.where(arrays.fitted[..., part] & there, part, stand_ins[..., pattern])
    products = np.where(there[..., None, None, None], arrays.products, 0)
    alike = np.where(there[..., None, None], arrays.alike, 0)
    weights = np.swapaxes(_weights(products), -1, -2)
    return Survey(arrays, stand_ins, weights, _shares(alike) * weights.sum(axis=2))


def _weights(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights with the least squared error on hidden pixels of a node and, half as much, its neighbours."""
    from scipy.optimize import nnls

    pooled = _pooled(products)
    weights = np.zeros((*pooled.shape[:3], CANDIDATES))
    for place in np.ndindex(*pooled.shape[:3]):
        gram, side = pooled[place][:CANDIDATES, :CANDIDATES], pooled[place][:CANDIDATES, CANDIDATES]
        if not gram.any():
            continue
        root = np.linalg.cholesky(gram + 1e-9 * np.trace(gram) * np.eye(CANDIDATES))
        found = nnls(root.T, np.linalg.solve(root, side))[0]
        found /= max(1.0, found.sum())
        gain = found @ (2 * side - gram @ found) / pooled[place][CANDIDATES, CANDIDATES]
        weights[place] = found * max(0.0, 1 - LEAST_GAIN / max(gain, LEAST_GAIN))
    return weights


def _shares(alike: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the rest to take from pixels that look alike, by least squares on hidden pixels."""
    pooled = _pooled(alike)
    squares, products, perfect = (np.maximum(pooled[..., number], 1e-12) for number in range(3))
    found = np.minimum(products / squares, 1.0)
    gain = found * (2 * products - found * squares) / perfect
    return np.asarray(found * np.maximum(0.0, 1 - LEAST_GAIN / np.maximum(gain, LEAST_GAIN)))


def _pooled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums of nodes, `(row, col, …)`, with those of their neighbours, which count half or a quarter."""
    from scipy.ndimage import convolve

    near = np.array([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])
    return np.asarray(convolve(sums, near.reshape(3, 3, *[1] * (sums.ndim - 2)), mode="constant"))
