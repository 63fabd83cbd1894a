"""Base class of statistics: mergeable accumulators with a reference implementation for tests."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from montezarr.core.added_fields import added
from montezarr.core.value import Value
from montezarr.random.designs._base import Grouping
from montezarr.statistics._binomial import binomial_sequence
from montezarr.statistics._cells import Axis
from montezarr.statistics._labels import Labels
from montezarr.statistics._moments import CentralSums
from montezarr.statistics._sums import central_sums, tree_sum

INTERVAL = 1.959963984540054
"""Standard errors on either side of an estimate in its 95 % interval."""

Along = Literal["time", "variable"]


@dataclass(frozen=True, slots=True)
class Source:
    """What a statistic is computed from: one variable, or all of them.

    Attributes
    ----------
    name : str
        Name of the variable.
    times : array (T+1,) or None
        Its times, if it has any, as numbers: the coordinate ``time`` if that holds numbers. If it
        holds dates, the times of the run, if there is one with as many; else seconds since the
        first date.
    names : tuple of str
        The variables, if the statistic is computed from all of them.
    labels : tuple of (int, str or int) or None
        Code and label of each state, for a variable of labelled states.
    units : str or None
        Units of the variable.
    long_name : str or None
        Name in pictures and tables, if different from `name`.
    time_units : str or None
        Units of `times`, if known.
    mismatch : str or None
        Why a parameter per unit of time, such as a volatility, has no meaning with these times;
        None if it has.
    is_boolean : bool
        Whether the values are booleans, as 1 and 0, or known to be only 0 and 1: then a mean is a
        share.
    is_integer : bool
        Whether the values are integers, not codes of labels: then a quantile is one too.
    grouping : Grouping or None
        How the paths of the run behind the values belong together, if it is on a design such as
        `montezarr.saltelli`.
    first_path : int or None
        Index in the run of the first path, for a statistic that `takes_groups`; None if the paths
        are not known to be consecutive ones of the run.
    axes : tuple of Axis
        Name, length and labels of each dimension that the cells are made of, in order (C order),
        such as those of scenarios; none unless a statistic `takes_axes`.

    Examples
    --------
    >>> import numpy as np
    >>> import montezarr as mz
    >>> mz.Source(name="price", times=np.array([0.0, 0.5, 1.0]), units="EUR").name
    'price'
    """

    name: str = "x"
    times: NDArray[np.float64] | None = field(default=None, compare=False)
    names: tuple[str, ...] = ()
    labels: Labels | None = None
    units: str | None = None
    long_name: str | None = None
    time_units: str | None = None
    mismatch: str | None = None
    is_boolean: bool = False
    grouping: Grouping | None = added(None)  # noqa: RUF009
    first_path: int | None = added(0)
    axes: tuple[Axis, ...] = added(())
    is_integer: bool = added(False)


class Sample:
    """Values of consecutive paths, as `Statistic.chunk` gets them.

    Parameters
    ----------
    values : array (cells, blocks, paths), or (axis, cells, blocks, paths)
        float64 or float32, contiguous. A cell is one time, or another point at which a statistic
        is computed; a block holds up to 1024 paths. For statistics along an axis, that axis comes
        first. NaN marks values that do not count: nonfinite values, masked paths, other groups.
    start : int
        Index of the first path of the first block; blocks are consecutive.
    source : Source
        The sampled variable.
    order : int
        Highest power that the statistics of this variable need, so that sums are computed once.

    Examples
    --------
    >>> import numpy as np
    >>> import montezarr as mz
    >>> # one cell, two blocks of three paths
    >>> values = np.array([[[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]]])
    >>> sample = mz.Sample(values)
    >>> sample.count, sample.sum()
    (array([[2, 3]]), array([[ 3., 15.]]))
    >>> sample.central(2).mean
    array([[1.5, 5. ]])
    """

    def __init__(
        self,
        values: NDArray[np.floating[Any]],
        start: int = 0,
        source: Source | None = None,
        order: int = 0,
    ):
        self._given, self.start, self.order = values, start, order
        self.source = Source() if source is None else source
        self._terms: dict[int, tuple[Statistic, Sample]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self._given.shape

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The values in float64, NaN for those that do not count."""
        return self._given.astype(np.float64, copy=False)

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Number of values that count, (..., cells, blocks)."""
        return np.asarray((self.values == self.values).sum(axis=-1, dtype=np.int64))

    @cached_property
    def is_full(self) -> bool:
        """Whether every value counts."""
        return bool((self.count == self.values.shape[-1]).all())

    def sum(self) -> NDArray[np.float64]:
        """Return the sum of the values that count, (..., cells, blocks), by `tree_sum`."""
        return tree_sum(self.values if self.is_full else np.nan_to_num(self.values, nan=0.0))

    def central(self, order: int) -> CentralSums:
        """Return count, mean and sums of the centred powers 2 ... `order` of each block."""
        known = self.__dict__.get("_central")
        if known is None or len(known.sums) < order - 1:
            known = CentralSums(*central_sums(self._given, max(order, self.order)))
            self.__dict__["_central"] = known
        return cast(CentralSums, known._replace(sums=known.sums[: order - 1]))

    def terms_of(self, statistic: Statistic) -> Sample:
        """Return `Statistic.terms`, computed once, as a sample of the same paths."""
        known = self._terms.get(id(statistic))
        return known[1] if known else self.keep_terms(statistic, statistic.terms(self))

    def keep_terms(self, statistic: Statistic, terms: NDArray[np.float64]) -> Sample:
        """Cache the terms of a statistic that has computed them already, for `terms_of`."""
        values = np.ascontiguousarray(terms, np.float64)
        found = Sample(values, self.start, self.source, max(2, statistic.order))
        self._terms[id(statistic)] = statistic, found  # keeps it alive, so that its id stays unique
        return found

    def all_paths(self) -> NDArray[np.float64]:
        """Return the values without blocks, (..., cells, paths), for order-free statistics."""
        return self.values.reshape(*self.values.shape[:-2], -1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One result of a statistic.

    Attributes
    ----------
    values : array (cells, ...)
        One value per cell and entry of `dims`.
    dims : tuple of str
        Names of the dimensions after the cells.
    coords : dict of str to array, or of str to (dim, array)
        Coordinates of those dimensions; with a dim, further coordinates on it. A scalar one has no
        dim.
    attrs : dict
        ``long_name``, ``cell_methods`` and the like.
    power : int or None
        Units of the result as a power of the variable's units: 1 for a mean, 2 for a variance, 0
        for a result without units. None if `attrs` contain the units.
    is_path : bool
        Whether the values are positions of paths, -1 for none: results have the indices of these
        paths in their run instead, if known.

    Examples
    --------
    >>> import numpy as np
    >>> import montezarr as mz
    >>> variance = mz.Estimate(np.array([4.0]), attrs={"long_name": "variance"}, power=2)
    >>> variance.values, variance.power
    (array([4.]), 2)
    """

    values: Any
    dims: tuple[str, ...] = ()
    coords: Mapping[str, Any] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    power: int | None = 1
    is_path: bool = False


@dataclass(frozen=True, slots=True)
class Statistic(Value, ABC):
    """Base of the statistics: frozen dataclasses, validated once, merged in any order.

    A subclass has a `State`, a NamedTuple of arrays, and four methods. `chunk` computes the partial
    state of blocks of paths, `merge` joins two states, `finalize` turns the last one into
    estimates, and `reference` is the oracle that tests compare with.

    If a state holds sums of floats, ``order_free = False``: the last axis of each of its arrays is
    the blocks, `chunk` reduces only the axis of the paths, and `merge` works element by element.
    The states of blocks are then merged along one fixed binary tree, so that the bits do not depend
    on chunks, workers or order. If a state holds integers, or a selection of values, so that any
    order of merging gives the same bits, ``order_free = True``: it may have any shape, and `chunk`
    reduces blocks too.

    Export a new one in `montezarr.statistics`, or pass your own to
    `montezarr.testing.StatisticTests`: the suite tests these laws.

    Attributes
    ----------
    State : type
        NamedTuple of arrays.
    order_free : bool
        Whether states may be merged in any order.
    along : {None, "time", "variable"}
        The axis that a statistic takes as a whole: it is then the first axis of the values.
    order : int
        Highest power of `Sample.central` that the statistic uses, on its `terms` if it has any.
    tolerance : float
        Allowed difference of `finalize` from `reference`, relative to the largest entry of a cell.
    without_error : tuple of str
        Names of results, other than integers, that are no estimates and have no standard error.
    takes_labels : bool
        Whether the statistic accepts labelled states, whose values are codes: a count of each code
        has a meaning, a mean of codes does not.
    takes_groups : bool
        Whether it takes groups of consecutive paths of a run, so that `Source.first_path` counts.
    takes_axes : bool
        Whether it gets `Source.axes`, and its states depend on these: a stream or a store that goes
        on must then have the same.

    Examples
    --------
    >>> import numpy as np
    >>> import montezarr as mz
    >>> mean = mz.Mean()
    >>> isinstance(mean, mz.Statistic), mean.name, mean.order
    (True, 'mean', 2)
    >>> state = mean.chunk(mz.Sample(np.array([[[1.0, 2.0], [3.0, 6.0]]])))
    >>> state.mean  # of each block
    array([[1.5, 4.5]])
    """

    State: ClassVar[type]
    order_free: ClassVar[bool] = False
    along: ClassVar[Along | None] = None
    order: ClassVar[int] = 0
    tolerance: ClassVar[float] = 1e-12
    without_error: ClassVar[tuple[str, ...]] = ()
    takes_labels: ClassVar[bool] = False
    takes_groups: ClassVar[bool] = False
    takes_axes: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name of the statistic in results: its class name in lower case with underscores."""
        return re.sub(r"(?<=.)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def revision(self) -> int:
        """Version of the meaning of the states; saved states of another version are not resumed."""
        return 0

    @property
    def axis(self) -> Along | None:
        """The axis that this instance takes as a whole; `along` unless parameters change it."""
        return self.along

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return a few typical instances for the conformance suite."""
        return (cls(),)

    def check(self, source: Source) -> None:
        """Raise if the statistic cannot be computed from a variable; called before the run.

        Raises
        ------
        ArgumentValueError
            With the reason.
        """
        return

    def adapts_to_data(self, source: Source) -> bool:
        """Return whether coordinates of the results are known only from the values."""
        return False

    @property
    def is_one_pass(self) -> bool:
        """Whether one pass is enough: `again` never returns a further one.

        By default, whether `again` is not overridden. Statistics of several passes work only in
        `reduce`: a stream, lazy results and statistics in a store see the paths once, and refuse
        them.
        """
        return type(self).again is Statistic.again

    @property
    def has_tails(self) -> bool:
        """Whether `powers` reports results that heavy tails of the values affect."""
        return type(self).powers is not Statistic.powers and not self.has_terms

    @property
    def has_terms(self) -> bool:
        """Whether the statistic averages `terms` instead of values: then their tails matter."""
        return type(self).terms is not Statistic.terms

    def bytes_for(self, cells: int) -> int:
        """Return roughly the bytes by which a state grows with the values, for `plan`."""
        return 0

    def state_bytes(self, cells: int, source: Source, length: int | None = None) -> int:
        """Return the bytes of a state of a number of cells, without those of `bytes_for`.

        Called before any state exists. The default extrapolates from states of one and two cells,
        and is right for states that grow linearly with the cells.

        Parameters
        ----------
        cells : int
            Number of cells.
        source : Source
            The variable.
        length : int, optional
            Length of the axis that the statistic takes as a whole.
        """
        axis = () if length is None else (length,)
        one, two = (
            sum(
                np.asarray(array).nbytes
                for array in self.chunk(Sample(np.empty((*axis, n, 1, 0)), 0, source))
            )
            for n in (1, 2)
        )
        return one + (two - one) * (cells - 1)

    def lighter(self) -> Iterator[Statistic]:
        """Yield less accurate versions of the statistic with smaller states, largest first."""
        return iter(())

    @abstractmethod
    def chunk(self, sample: Sample) -> Any:
        """Return the partial state of a sample, which may hold no path at all."""

    def terms(self, sample: Sample) -> NDArray[np.float64]:
        """Return the numbers that the statistic averages, one per path, if not the values.

        If a statistic has terms, `powers` describes the mean of these numbers, and their tails are
        checked. They are (cells, blocks, paths), NaN for a path that does not count. If `chunk`
        needs them too, it takes them from `Sample.terms_of`, which computes them once.
        """
        return sample.values

    @abstractmethod
    def merge(self, a: Any, b: Any) -> Any:
        """Return the joint state; the paths of `a` come before those of `b`."""

    def update(self, state: Any, sample: Sample) -> Any:
        """Return ``merge(state, chunk(sample))``; an order-free one may reuse `state`'s memory."""
        return self.merge(state, self.chunk(sample))

    def absorb(self, state: Any, other: Any) -> Any:
        """Return ``merge(state, other)``; an order-free one may reuse `state`'s memory."""
        return self.merge(state, other)

    def restore(self, arrays: Mapping[str, Any]) -> Any:
        """Return the state from its arrays by name, as read from a file."""
        return self.State(**arrays)

    @abstractmethod
    def finalize(self, state: Any, source: Source) -> dict[str, Estimate]:
        """Return the estimates by name; ``"mean"`` of ``x`` becomes the variable ``x_mean``.

        The arrays of the state have no axis of blocks, unless the statistic is order-free.
        """

    def hits(self, state: Any, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of hits and trials of each result that is a share of trials.

        A third entry may give the result for a share of 1, if that is not 1. The stopping rule
        `montezarr.StandardError` trusts no share before there is a hit and a miss. Arrays have the
        shape of the result; NaN hits mark a cell that is no share. Hits may be a sum of numbers in
        [0, 1].
        """
        return {}

    def vary(self, state: Any, source: Source) -> dict[str, Any]:
        """Return the cells in which values differ, for results whose error may be 0 there.

        An example are quantiles of numbers with ties: an error of 0 is trusted if values differ.
        The arrays of bool are (cells,).
        """
        return {}

    def sequences(self, state: Any, source: Source) -> dict[str, tuple[Any, Any]]:
        """Return the ends of 95 % confidence sequences, for results whose state gives them.

        A sequence contains the true value at all numbers of paths at once with a probability of
        95 %. Arrays have the shape of the result; -inf and inf make no claim. NaN selects the
        asymptotic sequence of a mean, which is also that of results without an entry; see
        `montezarr.stream`. The default gives the exact sequences of `hits`.
        """
        found = {}
        for name, (hits, n, *unit) in self.hits(state, source).items():
            low, high = binomial_sequence(hits, n)
            found[name] = (low * unit[0], high * unit[0]) if unit else (low, high)
        return found

    def is_share(self, state: Any, source: Source) -> bool | None:
        """Return whether the values of a state are only 0 and 1, so that their mean is a share.

        None if unknown: they are all the same, or the statistic cannot tell. The answer of one
        group of paths is applied to all, by `Source.is_boolean`.
        """
        return None

    def powers(self, state: Any, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        r"""Return q, n, mean and :math:`\sum |x - \bar x|^{2q}` of results that average powers.

        A mean has q = 1, a variance 2, a skewness 3. Neither the result nor its error can be
        trusted if a few values make up most of that sum; see `montezarr.HeavyTailWarning`. Arrays
        are by cell, for statistics along an axis also along it; NaN sums mark values without tails,
        such as zeros and ones, and unknown sums. For a statistic with `terms`, x are these, and
        arrays are by cell only.
        """
        return {}

    def exceedances(self, state: Any, source: Source) -> dict[str, tuple[Any, Any, Any, Any]]:
        """Return the largest values that a result averages, if the state holds them.

        For results that average the values beyond a quantile. By result: the largest values in
        increasing order (rows, kept), -inf if there are fewer; the number of values beyond the
        quantile (rows,), the quantile, and the sum of the squares of their distances from it.
        """
        return {}

    def again(self, state: Any, source: Source) -> Statistic | None:
        """Return the statistic for one more pass over the same paths, or None.

        Its `finalize` then gives the estimates instead.
        """
        return None

    @abstractmethod
    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Compute the expected result of `finalize` directly from all values (cells, paths)."""
