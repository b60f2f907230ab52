"""The mixture of several fills that errs least where the truth is known."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best_shares(
    truth: NDArray[np.floating], fills: NDArray[np.floating], gained: float = 0.0
) -> NDArray[np.float64]:
    """Return the share of each fill, none below 0, 1 together, that makes the least mean squared error.

    Args:
        truth: Known numbers; at least one.
        fills: What each fill has there, `(fill, number)`.
        gained: By how much the mean squared error of the first fill will be lower than it is here.
    """
    errors = (fills - truth).astype(np.float64)
    products = errors @ errors.T / truth.size
    # Not below nothing, where chance says that more is gained than there is.
    products[0, 0] = max(products[0, 0] - gained, 0.0)
    best: NDArray[np.float64] = np.eye(len(fills))[0]
    least = float(products[0, 0])
    # All sets of fills that may take part: there are few.
    for size in range(1, len(fills) + 1):
        for chosen in map(list, combinations(range(len(fills)), size)):
            own = products[np.ix_(chosen, chosen)]
            shares = np.linalg.lstsq(own, np.ones(size), rcond=None)[0]
            if shares.sum() <= 0 or (shares < 0).any():
                continue
            shares /= shares.sum()
            error = float(shares @ own @ shares)
            if error < least:
                best, least = np.zeros(len(fills)), error
                best[chosen] = shares
    return best
