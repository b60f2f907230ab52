"""Whether the filled gaps can be seen: scores of the composite that need no truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StripeVisibility:
    """Steps between neighbouring pixels, relative to the steps between observed ones.

    Attributes:
        border_step: Mean absolute step across the borders of the gaps: 1 is invisible, more is an edge.
        inner_step: Mean absolute step inside the gaps: 1 has the texture of its surroundings, 0 is flat.
            A smooth fill has an invisible border and a visible blur; this is where it shows.
    """

    border_step: float
    inner_step: float

    @property
    def stripe_index(self) -> float:
        """How far both steps are from 1, on average: 0 is invisible, 0.5 a flat fill without an edge.

        Too much counts like too little. NaN where either step is.
        """
        return (abs(self.border_step - 1) + abs(self.inner_step - 1)) / 2


def stripe_visibility(
    composite: NDArray[np.floating], hidden: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> StripeVisibility:
    """Return how visible the gaps of one band are; NaN where there is nothing to compare.

    Horizontal and vertical neighbours are compared with their own kind: along the rows of a striped image
    there are few borders, and its texture differs by direction.

    Args:
        composite: `(row, col)`: observed pixels as they were, hidden ones as filled.
        hidden: The filled pixels.
        usable: The observed ones. Pixels that are neither are left out.
    """
    border_steps = inner_steps = border_expected = inner_expected = 0.0
    for axis in (0, 1):
        step = np.abs(np.diff(composite.astype(np.float64), axis=axis))
        first_hidden, second_hidden = _pair(hidden, axis)
        first_usable, second_usable = _pair(usable, axis)
        elsewhere = first_usable & second_usable
        if not elsewhere.any():
            continue
        usual = float(np.mean(step[elsewhere]))
        border = (first_hidden & second_usable) | (first_usable & second_hidden)
        inner = first_hidden & second_hidden
        border_steps += float(np.sum(step[border]))
        inner_steps += float(np.sum(step[inner]))
        border_expected += usual * int(np.count_nonzero(border))
        inner_expected += usual * int(np.count_nonzero(inner))
    return StripeVisibility(_ratio(border_steps, border_expected), _ratio(inner_steps, inner_expected))


def _pair(pixels: NDArray[np.bool_], axis: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the first and the second pixel of each pair of neighbours along `axis`."""
    return (pixels[:-1], pixels[1:]) if axis == 0 else (pixels[:, :-1], pixels[:, 1:])


def _ratio(steps: float, expected: float) -> float:
    return steps / expected if expected > 0 else float("nan")
