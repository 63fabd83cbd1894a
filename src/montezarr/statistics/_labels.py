"""Labels of states, as the coordinate of a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = tuple[tuple[int, str | int], ...]
"""Code and label of each state."""


def label_coordinate(labels: Sequence[str | int]) -> NDArray[np.generic]:
    """Return labels as an array in which different labels stay different.

    NumPy converts integers among text to text, and drops null characters at the end of text: then
    the array holds the labels as objects.
    """
    if all(isinstance(label, int) for label in labels):
        try:
            return np.array(labels, np.int64)
        except OverflowError:
            return np.array(labels, dtype=object)
    if all(isinstance(label, str) and not label.endswith("\0") for label in labels):
        return np.array(labels, dtype=np.str_)
    return np.array(labels, dtype=object)
