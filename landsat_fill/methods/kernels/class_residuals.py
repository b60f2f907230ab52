"""The loop of CLEAR: residuals of the nearest pixels of a class that look most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def compensate_residuals(
    image: NDArray[np.floating],
    usable: NDArray[np.bool_],
    values: NDArray[np.float32],
    classes: NDArray[np.int8],
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bands: NDArray[np.int64],
    channels: NDArray[np.int64],
    slopes: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    together: NDArray[np.int64],
    importance: NDArray[np.float64],
    most_near: int,
    most: int,
    mean: NDArray[np.floating],
) -> None:
    """Fill pixels by a regression and the weighted residual of similar pixels.

    Args:
        image: `(row, col, band)`.
        usable: Pixels that are usable in all `bands`, `(row, col)`.
        values: The references, `(row, col, channel)`.
        classes: Class of each pixel, -1 for none, `(row, col)`.
        targets: Rows and columns of the pixels to fill, `(target, 2)`; each has a class.
        offsets: Rows and columns to other pixels, the nearest first, `(offset, 2)`.
        bands: Bands of the image to fill.
        channels: The channels that match each of them, `(band, date)`; -1 for none.
        slopes: Of the regression, `(band, class, date)`; 0 where there is no channel.
        intercepts: `(band, class)`.
        together: Channels that are compared.
        importance: Factors of their differences, `(class, channel)`.
        most_near: Largest number of pixels of the class to compare.
        most: Largest number of similar pixels among them.
        mean: Output, `(target, band)`.
    """
    height, width = usable.shape
    dates = channels.shape[1]
    near = np.empty((most_near, 2), np.int64)
    away = np.empty(most_near, np.float64)  # squared
    unlike = np.empty(most_near, np.float64)
    order = np.empty(most_near, np.int64)
    for target in range(len(targets)):
        row, col = targets[target]
        own = classes[row, col]
        count = 0
        for number in range(len(offsets)):
            down, right = offsets[number]
            r, c = row + down, col + right
            if 0 <= r < height and 0 <= c < width and usable[r, c] and classes[r, c] == own:
                near[count] = r, c
                away[count] = down * down + right * right
                count += 1
                if count == most_near:
                    break
        chosen = min(count, most)
        for one in range(count):
            r, c = near[one]
            total = 0.0
            for number in range(len(together)):
                channel = together[number]
                difference = np.float64(values[r, c, channel]) - values[row, col, channel]
                total += importance[own, number] * abs(difference)
            unlike[one] = total
            order[one] = one
        # The most similar pixels come first; of equally similar ones the nearest.
        for first in range(chosen):
            least = first
            for one in range(first + 1, count):
                a, b = order[one], order[least]
                if unlike[a] < unlike[b] or (unlike[a] == unlike[b] and a < b):
                    least = one
            order[first], order[least] = order[least], order[first]
        for place in range(len(bands)):
            band = bands[place]
            predicted = intercepts[place, own]
            for date in range(dates):
                if channels[place, date] >= 0:
                    predicted += slopes[place, own, date] * values[row, col, channels[place, date]]
            mean[target, place] = predicted
            if count == 0:
                continue
            alike, apart = unlike[order[0]], unlike[order[chosen - 1]]
            weights, weighted = 0.0, 0.0
            for first in range(chosen):
                one = order[first]
                # The difference counts 1 for the most similar pixel and 2 for the least similar one.
                scaled = away[one]
                if apart > alike:
                    scaled *= 1.0 + (unlike[one] - alike) / (apart - alike)
                r, c = near[one]
                residual = image[r, c, band] - intercepts[place, own]
                for date in range(dates):
                    if channels[place, date] >= 0:
                        residual -= slopes[place, own, date] * values[r, c, channels[place, date]]
                weights += 1.0 / scaled
                weighted += residual / scaled
            mean[target, place] = predicted + weighted / weights
