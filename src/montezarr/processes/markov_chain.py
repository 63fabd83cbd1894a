"""Markov chains on a finite set of labelled states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import (
    check_array,
    check_int,
    check_unmasked,
    plain_items,
    show,
    type_error,
    value_error,
)
from montezarr.core.errors import ArgumentValueError
from montezarr.core.text import for_terminal
from montezarr.processes._base import Process, Rows
from montezarr.processes._discrete import as_integers, elsewhere, is_compiled
from montezarr.processes._fit import Fit, own_times
from montezarr.processes._quantiles import Z, share_interval
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws

SHOWN_STATES = 8
"""States up to which the repr shows the matrix; for a thousand it would be 20 megabytes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovChain(Process):
    """Time-homogeneous Markov chain, one transition per step of the grid. Exact.

    Paths hold the codes 0 ... n_states-1 of the states; the Dataset carries the labels as CF
    ``flag_values`` and ``flag_meanings``. A transition uses one uniform number and the alias
    method, so its cost does not depend on the number of states.

    Parameters
    ----------
    transition : array (n_states, n_states)
        Probability of a transition from the state of the row to that of the column. Rows must sum
        to 1 within 1e-8, or within n_states times the epsilon of their dtype if that is larger, as
        for float32, and are normalised. Entries below 0 by at most n_states times that epsilon
        count as rounding errors and are set to 0.
    states : sequence of str or int, optional
        Distinct labels; 0, 1, ... by default.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a matrix that is not square or not stochastic, or labels that do not fit it.

    References
    ----------
    Norris, Markov Chains, 1997, doi:10.1017/CBO9780511810633. Walker, "An efficient method for
    generating discrete random variables with general distributions", 1977,
    doi:10.1145/355744.355749; set up after Vose 1991, doi:10.1109/32.92917.

    Examples
    --------
    >>> import montezarr as mz
    >>> chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    >>> chain.labels
    ('calm', 'storm')
    """

    equation: ClassVar[str] = "P(Xₖ₊₁ = j | Xₖ = i) = transition[i, j]"
    dtypes: ClassVar[tuple[str, ...]] = ("int32", "int8", "int16", "int64")
    counts_steps: ClassVar[bool] = True
    is_one_pass: ClassVar[bool] = True

    transition: tuple[tuple[float, ...], ...]
    states: tuple[str | int, ...] | None = None

    def __post_init__(self) -> None:
        matrix = _check_transition(self.transition)
        self.set_field("transition", tuple(tuple(row) for row in matrix.tolist()))
        self.set_field("states", _check_states(self.states, len(matrix)))

    def __repr__(self) -> str:
        n, states = len(self.transition), self.states
        matrix = f"{self.transition}" if n <= SHOWN_STATES else f"<{n:,} × {n:,} numbers>"
        labels = f"{states}" if states is None or n <= SHOWN_STATES else f"<{n:,} labels>"
        return for_terminal(f"MarkovChain(transition={matrix}, states={labels})")

    @property
    def labels(self) -> tuple[str | int, ...]:
        """The labels in the order of their codes."""
        return self.states if self.states is not None else tuple(range(len(self.transition)))

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        weather = cls(transition=((0.9, 0.1), (0.5, 0.5)), states=("calm", "storm"))
        return weather, cls(transition=((0.2, 0.5, 0.3), (0.0, 0.7, 0.3), (0.0, 0.0, 1.0)))

    @classmethod
    def fit(cls, path: Any, *, states: Sequence[str | int] | None = None) -> Fit:
        """Return the maximum-likelihood fit to an observed sequence of labels.

        The estimate is the share of each transition among those out of its row's state, with
        standard error sqrt(p (1 - p) / n_row) (Anderson and Goodman, "Statistical inference about
        Markov chains", 1957, doi:10.1214/aoms/1177707039). For a share of 0 or 1, where that
        formula gives 0, it is half the width of Wilson's interval over 1.96. Intervals are those of
        Clopper and Pearson, doi:10.1093/biomet/26.4.404.

        Parameters
        ----------
        path : sequence of str or int
            Observed states in order, at least 2.
        states : sequence, optional
            All labels, in the order of their codes; by default the observed ones, sorted.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If a label is unknown, or a state is never left, so that its row is not determined; if
            the dates of a Series or DataArray do not increase.
        """
        observed = plain_items("path", path, "a sequence of labels")
        own_times("path", path)  # refuses dates that do not increase
        if len(observed) < 2:
            raise value_error("path", "at least 2 states", path)
        try:
            labels = sorted(set(observed)) if states is None else states
        except TypeError as error:
            raise type_error("path", "labels of one type", path) from error
        labels_checked = _check_states(labels, len(labels)) or ()
        codes = {label: code for code, label in enumerate(labels_checked)}
        unknown = next((label for label in observed if label not in codes), None)
        if unknown is not None:
            raise value_error("path", f"labels out of {show(labels_checked)}", unknown)
        counts = np.zeros((len(codes), len(codes)))
        index = np.array([codes[label] for label in observed])
        np.add.at(counts, (index[:-1], index[1:]), 1)
        total = counts.sum(axis=1, keepdims=True)
        if (total == 0).any():
            never = labels_checked[int(np.argmin(total))]
            raise ArgumentValueError(
                f"path: expected every state to be left at least once, {never!r} never is."
                " Give a longer path, or leave the state out."
            )
        p = counts / total
        errors = np.sqrt(p * (1 - p) / total)
        if len(codes) > 1:
            errors = np.where((p == 0) | (p == 1), Z / (2 * (total + Z**2)), errors)
        single = [[(1.0, 1.0)]]
        intervals = single if len(codes) == 1 else [
            [share_interval(count, float(row.sum())) for count in row.tolist()] for row in counts
        ]  # fmt: skip
        return Fit(
            process=cls(transition=p.tolist(), states=labels_checked),
            standard_errors={"transition": tuple(tuple(row) for row in errors.tolist())},
            n=len(observed) - 1,
            intervals={"transition": tuple(map(tuple, intervals))},
        )

    def default_x0(self) -> str | int:
        """Return the first state."""
        return self.labels[0]

    def check_x0(self, x0: Any, dtype: str) -> Rows:
        """Return the codes of one label, or of one label per path; see `Process.check_x0`."""
        if len(self.transition) - 1 > np.iinfo(dtype).max:
            raise value_error("dtype", f"one that holds {len(self.transition)} codes", dtype)
        values = self.default_x0() if x0 is None else x0
        codes = {label: code for code, label in enumerate(self.labels)}
        check_unmasked("x0", values)
        flat = np.asarray(values, dtype=object)
        if flat.ndim > 1 or flat.size == 0:
            raise value_error("x0", "a state, or one state per path", x0)
        out = np.empty(flat.shape, dtype)
        for position, label in np.ndenumerate(flat):
            plain = label.item() if isinstance(label, np.generic) else label
            if isinstance(plain, bool) or plain not in codes:
                raise value_error("x0", f"a state out of {show(self.labels)}", plain)
            out[position] = codes[plain]
        return out

    @property
    def resumes(self) -> bool:
        """Whether a state is all that later ones depend on; see `Process.resumes`."""
        return True

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of codes; see `Process.sample`."""
        accept, alias = _alias_tables(self.transition)
        n_states = len(self.transition)
        flat_accept, flat_alias = accept.ravel(), alias.ravel()
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        if is_compiled(draws):
            from montezarr.processes._kernels import markov_chain as kernel

            kernel.fill_paths(draws, flat_accept, _nexts(self.transition), n_states, rows)
            return rows
        for k, uniform in enumerate(draws.rows("uniform", grid.T)):
            scaled = uniform * n_states
            column = scaled.astype(np.intp)
            cell = rows[k].astype(np.intp) * n_states + column
            stay = scaled - column < flat_accept[cell]
            np.copyto(rows[k + 1], np.where(stay, column, flat_alias[cell]), casting="unsafe")
        return rows

    def distribution(self, t: int, x0: str | int) -> NDArray[np.float64]:
        """Return P(X_t = state) for every state, t >= 0 steps after the state `x0`.

        The row of `x0` in the t-th power of the transition matrix, by repeated squaring. Rows are
        normalised after each product; otherwise the rounding error of their sum would be raised to
        the power t. All terms are positive, so that nothing cancels for any t.
        """
        steps = check_int("t", t)
        power, out = np.array(self.transition), np.zeros(len(self.transition))
        out[int(self.check_x0(x0, "int64"))] = 1.0
        while steps:
            if steps & 1:
                out = _normalised(out @ power)
            steps >>= 1
            if steps:
                power = _normalised(power @ power)
        return out

    def probability(self, k: Any, t: int, x0: int) -> Any:
        """Return P(X_t = k) for codes k of states after t steps; see `HasProbability`.

        Entries of row `x0` of the t-th power of the transition matrix, the equation of Chapman and
        Kolmogorov (Norris, 1997, theorem 1.1.3; reference of the class).

        Parameters
        ----------
        k : int or array
            Codes; the probability is 0 for a code without a state.
        t : int
            Number of steps, >= 0.
        x0 : int
            Code of the initial state.

        Returns
        -------
        float or array

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If `t` is not a number of steps, or `x0` is not a code.
        """
        count = len(self.labels)
        start = check_int("x0", x0, maximum=count - 1)
        shares = self.distribution(t, self.labels[start])
        codes, is_whole = as_integers(k)
        is_possible = is_whole & (codes >= 0) & (codes < count)
        others = elsewhere(codes)
        found = shares[np.where(is_possible, codes, 0).astype(np.intp)]
        return np.where(is_possible, found, others)[()]


def _check_transition(value: Any) -> NDArray[np.float64]:
    """Return a stochastic matrix as float64, normalised, or raise with the invalid entry or row.

    The tolerance for rounding depends on the dtype of the given matrix.
    """
    matrix = check_array("transition", value, ndim=2)
    rows, columns = matrix.shape
    if rows != columns:
        raise value_error("transition", "a square matrix", matrix.shape)
    given = np.asarray(value).dtype
    coarsest = given if given.kind == "f" and given.itemsize < 8 else np.dtype(np.float64)
    rounding = columns * float(np.finfo(coarsest).eps)
    expected = "probabilities, >= 0, that sum to 1 in each row"
    if (matrix < -rounding).any():
        i, j = map(int, np.unravel_index(int(matrix.argmin()), matrix.shape))
        raise ArgumentValueError(
            f"transition: expected {expected}, got {float(matrix[i, j])!r} in row {i}, column {j}."
        )
    matrix = np.where(matrix < 0, 0.0, matrix)
    sums = matrix.sum(axis=1, keepdims=True)
    tolerance = max(1e-8, rounding)
    if (np.abs(sums - 1) > tolerance).any():
        i = int(np.abs(sums - 1).argmax())
        raise ArgumentValueError(
            f"transition: expected {expected} within {tolerance:.2g}, got a sum of"
            f" {float(sums[i, 0])!r} in row {i}."
        )
    # Rows that sum to 1 within rounding stay unchanged: a normalised matrix must survive
    # `to_dict` and `from_dict` with the same bits.
    exact = columns * np.finfo(np.float64).eps
    return np.where(np.abs(sums - 1) > exact, matrix / sums, matrix)


def _normalised(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return out


def _check_states(states: Any, count: int) -> tuple[str | int, ...] | None:
    if states is None:
        return None
    plain = tuple(plain_items("states", states, "a sequence of labels"))
    for label in plain:
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise type_error("states", "labels that are str or int", label)
    if len(plain) != count or len(set(plain)) != count:
        raise value_error("states", f"{count} distinct labels", states)
    return plain


@lru_cache(maxsize=4)  # for a thousand states the tables cost more than a chunk of paths
def _alias_tables(
    transition: tuple[tuple[float, ...], ...],
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return Walker's tables: keep column j with probability accept[i, j], else take alias."""
    matrix = np.array(transition)
    n = len(matrix)
    accept, alias = np.ones((n, n)), np.tile(np.arange(n), (n, 1))
    for i, row in enumerate(matrix):
        scaled = row * n
        small = [j for j in range(n) if scaled[j] < 1]
        large = [j for j in range(n) if scaled[j] >= 1]
        while small and large:
            less, more = small.pop(), large[-1]
            accept[i, less], alias[i, less] = scaled[less], more
            scaled[more] -= 1 - scaled[less]
            if scaled[more] < 1:
                small.append(large.pop())
        # The remaining columns have an average of 1, so each is 1 within rounding and keeps its own
        # column; a state of probability 0 is never among them.
    for table in (accept, alias):
        table.setflags(write=False)
    return accept, alias


@lru_cache(maxsize=4)
def _nexts(transition: tuple[tuple[float, ...], ...]) -> NDArray[np.int32]:
    """Return column and alias of each cell of Walker's tables, side by side."""
    _, alias = _alias_tables(transition)
    columns = np.broadcast_to(np.arange(len(alias)), alias.shape)
    nexts = np.stack([columns, alias], axis=-1).astype(np.int32).ravel()
    nexts.setflags(write=False)
    return nexts
