"""Try at the call whether functions of a rule look at each path and time alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import ArgumentValueError, MontezarrError
from montezarr.samplers.schema import PathArrays, count_of
from montezarr.samplers.stopping._base import Test


def check_test(test: Test, times: NDArray[np.float64], arrays: PathArrays) -> None:
    """Raise unless a rule says the same of a path and a time alone as among others.

    Parameters
    ----------
    test : function
        That of a rule.
    times : array (times,)
        Times of the first paths.
    arrays : dict of str to array (times, ..., paths)
        Their values.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        Also if the rule raises, or returns another shape than (times, paths), or no bool.
    """
    try:
        is_alone = _looks_at_each_alone(test, times, arrays)
    except MontezarrError:
        raise
    except Exception as error:
        raise ArgumentValueError(
            f"until: expected a function that works on arrays, got {type(error).__name__}: {error}"
        ) from error
    if not is_alone:
        raise ArgumentValueError(
            "until: expected a rule about one path at one time, got one that says otherwise of a"
            " path alone, or from a later time on. It gets some paths at some times, and compares"
            " each state by itself: no mean, maximum or order of them."
        )


def _looks_at_each_alone(test: Test, times: NDArray[np.float64], arrays: PathArrays) -> bool:
    t, middle = times[:, np.newaxis], len(times) // 2
    whole, every = test(t, arrays), slice(None)
    places = [(every, slice(i, i + 1)) for i in range(count_of(arrays))]
    places += [(slice(middle), every), (slice(middle, None), every)]
    for rows, paths in places:
        some = {name: array[rows, ..., paths] for name, array in arrays.items()}
        if len(t[rows]) and not np.array_equal(test(t[rows], some), whole[rows, paths]):
            return False
    return True
