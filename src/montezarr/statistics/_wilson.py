"""Wilson's interval of a proportion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import INTERVAL

Array = NDArray[np.float64]


def wilson(successes: Any, n: Any) -> tuple[Array, Array]:
    r"""Return the ends of the 95 % interval of a proportion; NaN if `n` is 0.

    .. math:: \frac{k + z^2/2 \pm z \sqrt{k (n - k) / n + z^2 / 4}}{n + z^2}

    It lies in [0, 1], and is valid for few and for no successes, where p ± 2 se is not:
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953.

    Parameters
    ----------
    successes, n : array of int
        Numbers k of successes and numbers of trials; they broadcast.
    """
    k, total = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    square = INTERVAL**2
    with np.errstate(divide="ignore", invalid="ignore"):
        half = INTERVAL * np.sqrt(k * (total - k) / total + square / 4.0)
        low = (k + square / 2.0 - half) / (total + square)
        high = (k + square / 2.0 + half) / (total + square)
    # Exactly 0 and 1 at the ends, where the formula has a rounding error.
    low = np.where((k == 0) & (total > 0), 0.0, low)
    return low, np.where((k == total) & (total > 0), 1.0, high)
