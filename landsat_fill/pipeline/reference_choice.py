"""Chooses the references of a scene by small windows spread over it.

In these windows three facts are measured: the share of the gaps that a reference covers, its shift, and its agreement
with the scene.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import LandsatFillError
from landsat_fill.pipeline.reference_scenes import OpenReference, Suitability, day_of, season_apart
from landsat_fill.scene import Gaps, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.pipeline.request import ReferenceRequest
    from landsat_fill.scene import Scene

    Target = tuple[NDArray[np.generic], Gaps]
    """Values and gaps of a window of the scene, `(band, row, col)`."""

SAMPLE_PX, SAMPLES_ACROSS = 128, 4
"""Side and number (in each direction) of the windows in which references are measured."""

MOST_MEASURED = 24
"""References of a folder that are measured; those nearest in season and time come first."""

LARGEST_SHIFT_PX = 4
"""Shifts are searched up to this many pixels in each direction."""

LEAST_SHIFT_PX = 0.25
"""Smaller shifts aren't corrected, because resampling costs more than they do."""

LEAST_COMMON = 200
"""Fewest pixels that scene and reference must share for agreement and shift to be measured."""

LIKE_NUMBERS = 3.0
"""Numbers that spread up to this many times as wide, or as narrow, as the scene's may be of the same kind: the limits
of the gain in local linear histogram matching."""

UNDECLARED_SHARE = 0.05
"""A number at an end of a reference's range that fills this share of it, unlike in the scene, is taken for missing."""


def choose_references(
    scene: Scene,
    read: Callable[[Window], Target],
    found: Sequence[OpenReference],
    request: ReferenceRequest,
    *,
    every: bool = False,
) -> tuple[list[OpenReference], list[Suitability]]:
    """Return the references to use, best first, and the facts of all.

    References are added one at a time: each time the one that most raises the agreement at the gap pixels.

    Args:
        scene: The scene.
        read: Reads the scene.
        found: The candidates.
        request: The limits.
        every: Whether all that serve are used, instead of `request.most`.
    """
    ranked = sorted(found, key=lambda one: _distance(scene, one.facts))
    near, far = (ranked, []) if every else (ranked[:MOST_MEASURED], ranked[MOST_MEASURED:])
    windows = sample_windows(scene.grid.height, scene.grid.width)
    targets = [read(window) for window in windows]
    measured: list[tuple[OpenReference, list[NDArray[np.bool_]]]] = []
    refused = [replace(one.facts, reason=f"{MOST_MEASURED} others lie nearer in season and time") for one in far]
    for one in near:
        try:
            with one:
                better, covered = _measured(one, targets, windows, align=request.align)
        except LandsatFillError as error:
            refused.append(replace(one.facts, reason=str(error)))
            continue
        if better.facts.covers == 0:
            refused.append(replace(better.facts, reason="it covers none of the gaps"))
        else:
            measured.append((better, covered))
    chosen: list[OpenReference] = []
    best = [np.zeros(gaps.missing[0].shape) for _, gaps in targets]
    while measured and (every or len(chosen) < request.most):
        gains = [_gain(one, covered, best) for one, covered in measured]
        at = int(np.argmax(gains))
        one, covered = measured.pop(at)
        chosen.append(replace(one, facts=replace(one.facts, used=True, reason=_worth(one.facts)), _open=ExitStack()))
        worth = _agreement(one.facts)
        best = [np.where(where, np.maximum(before, worth), before) for where, before in zip(covered, best, strict=True)]
    refused += [replace(one.facts, reason="others agree better or cover more") for one, _ in measured]
    return chosen, [*(one.facts for one in chosen), *refused]


def _worth(facts: Suitability) -> str:
    return f"usable at {facts.covers:.0%} of the gap pixels"


def _agreement(facts: Suitability) -> float:
    return 0.1 if facts.agreement is None else max(facts.agreement, 0.01)


def _gain(one: OpenReference, covered: Sequence[NDArray[np.bool_]], best: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean gain of agreement at gap pixels, and a little for the second view of a pixel."""
    worth = _agreement(one.facts)
    total = sum(where.size for where in covered)
    gained = sum(
        float((np.maximum(worth - before, 0) + 0.1 * worth)[where].sum())
        for where, before in zip(covered, best, strict=True)
    )
    return gained / max(total, 1)


def _distance(scene: Scene, facts: Suitability) -> float:
    """Return how far a reference lies in season and time: a day of season counts as ten."""
    ours = day_of(scene)
    if ours is None or facts.date is None or facts.days is None:
        return float("inf")
    return 10.0 * season_apart(ours, facts.date) + abs(facts.days)


def sample_windows(height: int, width: int) -> list[Window]:
    """Return windows spread evenly over a grid."""

    def starts(size: int) -> list[int]:
        count = min(SAMPLES_ACROSS, -(-size // SAMPLE_PX))
        return sorted({int(start) for start in np.linspace(0, max(size - SAMPLE_PX, 0), count).round()})

    return [
        Window(row, col, min(SAMPLE_PX, height), min(SAMPLE_PX, width))
        for row in starts(height)
        for col in starts(width)
    ]


def _measured(
    one: OpenReference, targets: Sequence[Target], windows: Sequence[Window], *, align: bool
) -> tuple[OpenReference, list[NDArray[np.bool_]]]:
    """Return a reference with its facts and its shift corrected, and where it is usable in the gaps of each window."""
    views = [one.read(window) for window in windows]
    numbers = _undeclared_numbers(one, views, targets)
    if numbers:
        said = ", ".join(f"{number:g}" for number in numbers)
        note = f"much of it is {said}, which its nodata doesn't say; these pixels aren't used"
        one = replace(one, missing_numbers=numbers, facts=replace(one.facts, notes=(*one.facts.notes, note)))
        views = [replace(view, usable=view.usable & ~np.isin(view.values, numbers)) for view in views]
    shift = estimate_shift(targets, views)
    if shift is not None and max(map(abs, shift)) >= LEAST_SHIFT_PX:
        said = f"it lies {shift[0]:+.2f} rows and {shift[1]:+.2f} columns off"
        if align:
            moved = replace(one.regridding, shift_px=shift)
            one = replace(
                one, regridding=moved, facts=replace(one.facts, notes=(*one.facts.notes, said + ", which is corrected"))
            )
            views = [one.read(window) for window in windows]
        else:
            one = replace(one, facts=replace(one.facts, notes=(*one.facts.notes, said)))
    scale = _relative_spread(targets, views, one.matches)
    if scale is not None and not 1 / LIKE_NUMBERS <= scale <= LIKE_NUMBERS:
        note = f"its numbers spread {scale:.3g} times as wide as the scene's"
        one = replace(one, facts=replace(one.facts, notes=(*one.facts.notes, note)))
    usable = [
        np.logical_and.reduce([view.usable[0, match] for match in one.matches if match is not None]) for view in views
    ]
    covered = [where & gaps.missing.any(axis=0) for where, (_, gaps) in zip(usable, targets, strict=True)]
    gap_pixels = sum(int(gaps.missing.any(axis=0).sum()) for _, gaps in targets)
    facts = replace(
        one.facts,
        clear=float(np.mean([where.mean() for where in usable])),
        covers=sum(int(where.sum()) for where in covered) / max(gap_pixels, 1),
        shift_px=shift,
        agreement=_squared_correlation(targets, views, one.matches),
    )
    return replace(one, facts=facts, _open=ExitStack(), _reader=None, _layer_reader=None), covered


def _undeclared_numbers(one: OpenReference, views: Sequence[Reference], targets: Sequence[Target]) -> tuple[float, ...]:
    """Return the smallest and largest numbers that are common in the reference, but not in the scene."""
    found = []
    used = [match for match in one.matches if match is not None]
    values = np.concatenate([view.values[0, used].reshape(len(used), -1) for view in views], axis=1)
    usable = np.concatenate([view.usable[0, used].reshape(len(used), -1) for view in views], axis=1).all(axis=0)
    if not usable.any():
        return ()
    for end in (values[:, usable].min(), values[:, usable].max()):
        alike = (values == end).all(axis=0) & usable
        share = np.count_nonzero(alike) / np.count_nonzero(usable)
        in_scene = np.mean(
            [np.mean((stored == end)[gaps.usable]) if gaps.usable.any() else 0.0 for stored, gaps in targets]
        )
        if UNDECLARED_SHARE < share < 1 and in_scene < UNDECLARED_SHARE / 5:
            found.append(float(end))
    return tuple(found)


def _pairs(
    targets: Sequence[Target], views: Sequence[Reference], matches: Sequence[int | None], band: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the common pixels of a band of the scene and of the reference."""
    ours, theirs = [], []
    match = matches[band]
    for (stored, gaps), view in zip(targets, views, strict=True):
        if match is not None:
            common = gaps.usable[band] & view.usable[0, match]
            ours.append(stored[band][common])
            theirs.append(view.values[0, match][common])
    return np.concatenate(ours).astype(np.float64), np.concatenate(theirs).astype(np.float64)


def _relative_spread(
    targets: Sequence[Target], views: Sequence[Reference], matches: Sequence[int | None]
) -> float | None:
    """Return the standard deviation of a reference relative to the scene's: the median of the bands, or None."""
    pairs = [_pairs(targets, views, matches, band) for band, match in enumerate(matches) if match is not None]
    ratios = [theirs.std() / ours.std() for ours, theirs in pairs if ours.size >= LEAST_COMMON and ours.std() > 0]
    return float(np.median(ratios)) if ratios else None


def _squared_correlation(
    targets: Sequence[Target], views: Sequence[Reference], matches: Sequence[int | None]
) -> float | None:
    squares = []
    for band, match in enumerate(matches):
        if match is None:
            continue
        ours, theirs = _pairs(targets, views, matches, band)
        if ours.size >= LEAST_COMMON and ours.std() > 0 and theirs.std() > 0:
            squares.append(float(np.corrcoef(ours, theirs)[0, 1] ** 2))
    return float(np.mean(squares)) if squares else None


def estimate_shift(targets: Sequence[Target], views: Sequence[Reference]) -> tuple[float, float] | None:
    """Return the rows and columns by which a reference's content lies below and to the right of the scene's.

    The normalised cross-correlation of the common pixels is computed for each shift by whole pixels; a parabola
    through its peak gives the fraction.

    Returns:
        The shift, or None if the peak is weak or at the edge of the search.

    Source: Padfield 2012, Masked object registration in the Fourier domain, doi:10.1109/TIP.2011.2181402.
    """
    reach = LARGEST_SHIFT_PX
    scores = np.zeros((2 * reach + 1, 2 * reach + 1))
    weights = 0.0
    for (stored, gaps), view in zip(targets, views, strict=True):
        for band, match in enumerate(view.matches):
            height, width = stored.shape[1:]
            if match is None or min(height, width) < 6 * reach:
                continue
            core = np.s_[reach : height - reach, reach : width - reach]
            ours, known = stored[band][core].astype(np.float64), gaps.usable[band][core]
            theirs, usable = view.values[0, match].astype(np.float64), view.usable[0, match]
            found = np.zeros_like(scores)
            for down, right in np.ndindex(*scores.shape):
                moved = np.s_[down : down + ours.shape[0], right : right + ours.shape[1]]
                common = known & usable[moved]
                found[down, right] = _correlation(ours[common], theirs[moved][common])
            if np.isfinite(found).all():
                weight = abs(found).max()
                scores += weight * np.sign(found[reach, reach] or 1.0) * found
                weights += weight
    if weights == 0:
        return None
    scores /= weights
    row, col = np.unravel_index(int(np.argmax(scores)), scores.shape)
    if scores[row, col] < 0.1 or not (0 < row < 2 * reach and 0 < col < 2 * reach):
        return None
    return (
        float(row - reach + _vertex(scores[row - 1 : row + 2, col])),
        float(col - reach + _vertex(scores[row, col - 1 : col + 2])),
    )


def _correlation(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    if ours.size < LEAST_COMMON:
        return np.nan
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    spread = np.sqrt((ours @ ours) * (theirs @ theirs))
    return float(ours @ theirs / spread) if spread > 0 else np.nan


def _vertex(three: NDArray[np.float64]) -> float:
    """Return where a parabola through three values peaks, from the middle one."""
    curvature = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
