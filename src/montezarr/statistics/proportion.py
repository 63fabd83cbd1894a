"""The share of each state, with standard error and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_array, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._labels import label_coordinate
from montezarr.statistics._shares import Array, Counts, count_positions, count_true, share
from montezarr.statistics._wilson import wilson

PROPORTION_STATES_MAX = 1024
"""Distinct values that are still taken for states."""
COMPARED_STATES_MAX = 12
"""States up to which a comparison with each is faster than looking values up."""
COUNTED_SPAN_MAX = 4096
"""Distance of whole numbers up to which a count of each between them is faster than sorting."""


class ProportionState(NamedTuple):
    """The state of `Proportion`.

    Attributes
    ----------
    codes : array (s,)
        The states: the given ones, or the distinct values in increasing order.
    counts : array (cells, s)
        Number of values in each state.
    total : array (cells,)
        Number of all values, also those in other states.
    """

    codes: Array
    counts: Counts
    total: Counts


def _check_states(name: str, value: Any) -> tuple[float, ...]:
    codes = check_array(name, value, ndim=1) + 0.0  # -0.0 becomes 0.0
    if len(np.unique(codes)) < len(codes):
        raise value_error(name, "distinct numbers", value)
    return tuple(_whole(codes).tolist())


@final
@dataclass(frozen=True, slots=True)
class Proportion(Statistic):
    r"""The share of the paths in each state, of a variable with integer or labelled states.

    Results along a dimension ``state``: ``<variable>_proportion``, the share p of n values;
    ``_proportion_se``, its standard error :math:`\sqrt{p (1 - p) / n}`; ``_proportion_low`` and
    ``_proportion_high``, Wilson's 95 % interval, which is valid for rare states too. All are
    without units, and NaN without values; the standard error is NaN for a single value.

    Parameters
    ----------
    states : sequence of float, optional
        The states, distinct, in the order of the results. By default those of the variable's
        labels, and for a variable without labels the distinct values, up to 1024. States from this
        argument or from labels are fixed: a value in none of them counts only in n, so that the
        shares do not add up to 1.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `states` are not distinct finite numbers, or one has no label in a variable with labels.
        During the run, if there are more than 1024 distinct values.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> import numpy as np
    >>> from montezarr.statistics import Sample, Source
    >>> state = Proportion().chunk(Sample(np.array([[[2.0, 0.0, 2.0, 2.0]]])))
    >>> estimate = Proportion().finalize(state, Source())["proportion"]
    >>> estimate.coords["state"], estimate.values
    (array([0, 2]), array([[0.25, 0.75]]))
    """

    State: ClassVar[type] = ProportionState
    order_free: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = True

    states: Sequence[float] | None = field(
        default=None, metadata=checked(_check_states, optional=True)
    )

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(states=(0, 1, 2)), cls(states=(1, -2.5))

    def check(self, source: Source) -> None:
        """Raise if a state is not one of the variable; see `Statistic.check`."""
        if source.labels and self.states is not None:
            known = [code for code, _ in source.labels]
            for state in self.states:
                if state not in known:
                    raise value_error(
                        "states", f"codes of {source.name!r}, which has the states {known}", state
                    )

    def adapts_to_data(self, source: Source) -> bool:
        """Return whether the states are the distinct values; see `Statistic.adapts_to_data`."""
        return self._codes(source) is None

    def chunk(self, sample: Sample) -> ProportionState:
        """Return the counts of each cell."""
        total = sample.count.sum(axis=-1, dtype=np.int64)
        codes = self._codes(sample.source)
        if codes is None:
            codes, counts = _observed(sample.values, int(total.sum()))
        else:
            counts = _count(sample.values, codes)
        return ProportionState(codes, counts, total)

    def merge(self, a: ProportionState, b: ProportionState) -> ProportionState:
        """Return the joint counts, in the states of both."""
        total = a.total + b.total
        if np.array_equal(a.codes, b.codes):
            return ProportionState(a.codes, a.counts + b.counts, total)
        codes = _checked(np.union1d(a.codes, b.codes))
        counts = np.zeros((len(total), len(codes)), np.int64)
        for side in (a, b):
            counts[:, np.searchsorted(codes, side.codes)] += side.counts
        return ProportionState(codes, counts, total)

    def finalize(self, state: ProportionState, source: Source) -> dict[str, Estimate]:
        """Return the share of each state, its standard error and interval."""
        total = state.total[:, None]
        p, error = share(state.counts, total)
        low, high = wilson(state.counts, total)
        names: Any = _whole(state.codes)
        if source.labels:
            meanings = dict(source.labels)
            names = label_coordinate([meanings[int(code)] for code in state.codes])
        return {
            name: Estimate(values, ("state",), {"state": names}, {"long_name": text}, power=0)
            for name, values, text in (
                ("proportion", p, "share of each state"),
                ("proportion_se", error, "standard error of the share"),
                ("proportion_low", low, "95 % interval, low end, of the share"),
                ("proportion_high", high, "95 % interval, high end, of the share"),
            )
        }

    def hits(self, state: ProportionState, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of values in each state, and of all values."""
        return {"proportion": (state.counts, state.total[:, None])}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        codes = self._codes(source)
        if codes is None:
            codes = np.unique(values[np.isfinite(values)])
        n = np.isfinite(values).sum(axis=-1)[:, None]
        counts = np.array([[(row == code).sum() for code in codes] for row in values])
        p = np.where(n > 0, counts / np.maximum(n, 1), np.nan).reshape(len(values), len(codes))
        error = np.where(n > 1, np.sqrt(p * (1 - p) / np.maximum(n, 1)), np.nan)
        return {"proportion": p, "proportion_se": error}

    def _codes(self, source: Source) -> Array | None:
        """Return the states if they are fixed, else None."""
        if self.states is not None:
            return np.array(self.states, np.float64)
        if source.labels:
            return np.array([code for code, _ in source.labels], np.float64)
        return None


def _whole(codes: Array) -> NDArray[Any]:
    """Return numbers as integers if all are whole."""
    whole = np.all((codes == np.floor(codes)) & (np.abs(codes) < 2.0**53))
    return codes.astype(np.int64) if whole else codes


def _checked(codes: Array) -> Array:
    if len(codes) > PROPORTION_STATES_MAX:
        raise value_error(
            "statistics",
            f"at most {PROPORTION_STATES_MAX} distinct values for Proportion()",
            len(codes),
            "Give those of interest as Proportion(states=...), or take Histogram().",
        )
    return codes


def _observed(x: Array, n: int) -> tuple[Array, Counts]:
    """Return the distinct values, of `n` that count, and the number of each in each cell."""
    if n == 0:
        return np.empty(0), np.zeros((len(x), 0), np.int64)
    low, high = float(np.fmin.reduce(x, axis=None)), float(np.fmax.reduce(x, axis=None))
    near = high - low < COUNTED_SPAN_MAX and len(x) * (high - low + 1) <= max(
        x.size, COUNTED_SPAN_MAX
    )
    if near and low == np.floor(low) and abs(low) < 2.0**52:
        codes = np.arange(low, high + 1) + 0.0
        counts = _count(x, codes)
        if counts.sum() == n:  # all of them are whole numbers
            found = counts.any(axis=0)
            return _checked(codes[found]), counts[:, found]
    codes = np.unique(x)  # NaN, if there is any, comes last
    codes = _checked(codes[codes == codes] + 0.0)
    return codes, _count(x, codes)


def _count(x: Array, codes: Array) -> Counts:
    """Return the number of values (cells, blocks, paths) that equal each code."""
    if len(codes) <= COMPARED_STATES_MAX:
        return np.stack([count_true(x == code) for code in codes], axis=-1)
    flat = x.reshape(len(x), -1)
    low, high = codes.min(), codes.max()
    if high - low < COUNTED_SPAN_MAX and np.all(codes == np.floor(codes)):
        # Whole numbers close together: their distance from the lowest is a position.
        def near(piece: Array) -> Array:
            position: Array = piece - low
            inside = (piece >= low) & (piece <= high) & (piece == np.floor(piece))
            position[~inside] = high - low + 1
            return position

        counts = count_positions(flat, int(high - low) + 1, near)
        return counts[:, (codes - low).astype(np.intp)]

    order = np.argsort(codes)
    ordered = codes[order]

    def found(piece: Array) -> Array:
        position = np.minimum(np.searchsorted(ordered, piece), len(codes) - 1)
        return np.where(ordered[position] == piece, position, len(codes)).astype(np.float64)

    counts = np.empty((len(x), len(codes)), np.int64)
    counts[:, order] = count_positions(flat, len(codes), found)
    return counts
