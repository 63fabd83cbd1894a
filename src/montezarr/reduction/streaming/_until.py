"""When a stream stops: rules about paths, seconds and standard errors, combined with | and &."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import xarray as xr

from montezarr.core.checks import MAX_INDEX, check_int, check_real, type_error, value_error
from montezarr.random.seeding import BLOCK
from montezarr.statistics._base import INTERVAL
from montezarr.statistics._wilson import wilson

AT_LEAST = 4 * BLOCK
"""Paths before which no standard error is believed."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The progress of a stream, as rules see it.

    Attributes
    ----------
    paths : int
        Paths so far.
    seconds : float
        Time since the stream began, in this process.
    dataset : Dataset
        The results so far.
    before : int
        Paths at the beginning, if the stream was resumed.
    hits : mapping of str to tuple of array
        Numbers of hits and of trials of the results that are shares; see `Statistic.hits`.
    vary : mapping of str to array of bool
        Where values differ, of the results whose error may be 0 then; see `Statistic.vary`.
    grain : int
        Paths that are drawn together: path counts of rules are multiples of so many.
    """

    paths: int
    seconds: float
    dataset: xr.Dataset
    before: int = 0
    hits: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    vary: Mapping[str, Any] = field(default_factory=dict)
    grain: int = BLOCK


class Until(ABC):
    """Base of the rules; ``a | b`` stops when either does, ``a & b`` when both do.

    Examples
    --------
    >>> import montezarr as mz
    >>> rule = mz.StandardError(rel=0.01) | mz.PathCount(10**6)
    >>> isinstance(rule, mz.Until)
    True
    """

    @abstractmethod
    def reason(self, reached: Reached) -> str | None:
        """Return why to stop, or None to go on."""

    def check(self, names: Sequence[str]) -> None:
        """Raise if the rule asks for a result that is not among `names`.

        Raises
        ------
        ArgumentValueError
            With the known names.
        """
        return

    def splits(self, grain: int = BLOCK) -> tuple[int, ...]:
        """Return path counts at which the rule is to be evaluated, multiples of `grain`."""
        return ()

    def last(self, grain: int = BLOCK) -> int | None:
        """Return the path count at which the rule stops at the latest, None where not known."""
        return None

    def needed(self, reached: Reached) -> int | None:
        """Return the predicted number of paths needed in all, or None."""
        return None

    def __str__(self) -> str:
        """Return the rule as it reads after "until"."""
        return repr(self)

    def __or__(self, other: Any) -> Until:
        return AnyOf((self, _rule(other)))

    def __and__(self, other: Any) -> Until:
        return AllOf((self, _rule(other)))


@final
@dataclass(frozen=True, slots=True)
class PathCount(Until):
    """Stop after `n` paths, rounded up to what is drawn together: whole blocks of 1024.

    Code of your own that draws one path at a time draws just `n`, and none beyond.

    Parameters
    ----------
    n : int
        Number of paths, >= 1.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not such a number.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=None, T=1, seed=1)
    >>> *_, last = mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(5000))
    >>> last.paths
    5120
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", check_int("n", self.n, minimum=1))

    def reason(self, reached: Reached) -> str | None:
        """Return the reason if there are enough paths."""
        return str(self) if reached.paths >= self.n else None

    def __str__(self) -> str:
        return f"{self.n:,} paths"

    def splits(self, grain: int = BLOCK) -> tuple[int, ...]:
        """Return the number of paths, a multiple of `grain`."""
        return (self.last(grain),)

    def last(self, grain: int = BLOCK) -> int:
        """Return the number of paths, a multiple of `grain`."""
        return -(-self.n // grain) * grain

    def needed(self, reached: Reached) -> int | None:
        """Return the number of paths of the rule."""
        return self.last(reached.grain)


@final
@dataclass(frozen=True, slots=True)
class Seconds(Until):
    """Stop at the first snapshot after `s` seconds.

    This is the only rule that makes the number of paths depend on the machine; the results for a
    given number of paths do not.

    Parameters
    ----------
    s : float
        Seconds, > 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not such a number.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=10_000, T=1, seed=1)
    >>> *_, last = mz.stream(ds, "mean", until=mz.Seconds(60.0))  # the paths end before
    >>> last.paths
    10000
    """

    s: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "s", check_real("s", self.s, above=0))

    def reason(self, reached: Reached) -> str | None:
        """Return the reason if the time is over."""
        return str(self) if reached.seconds >= self.s else None

    def __str__(self) -> str:
        return f"{self.s:g} s"

    def needed(self, reached: Reached) -> int | None:
        """Return the number of paths in that time, at the speed so far."""
        new = reached.paths - reached.before
        if reached.seconds <= 0 or not new:
            return None
        return reached.before + math.ceil(new * self.s / reached.seconds)


@final
@dataclass(frozen=True, slots=True)
class StandardError(Until):
    """Stop when standard errors are small enough, in every cell.

    A standard error is small enough if it is at most `abs`, or at most `rel` times the estimate,
    whichever is larger. An error of exactly 0 among other errors of a result is that of a constant,
    such as a common initial state, and is ignored. If all errors of a result are 0, the stream does
    not stop: a rare event that has not occurred yet has error 0 too; add ``| mz.PathCount(n)``
    where values may be constant. An error of 0 of a quantile counts if values differ: the median of
    integers may have it. A share with only misses or only hits never counts: a level or a state
    must be reached first. Along time and the bins of a histogram, where a share may be 0, the
    interval of Wilson replaces the error, if other cells have both hits and misses; with a
    tolerance relative to 0 the stream does not stop.

    At the stop the usual interval, estimate ± 1.96 standard errors, holds in about 95 % of all
    runs, since the rule looks at the errors and not at the estimates (Chow and Robbins, "On the
    asymptotic theory of fixed-width sequential confidence intervals for the mean", Annals of
    Mathematical Statistics 36 (1965), doi:10.1214/aoms/1177700156). It does not hold for a stop
    that depends on the estimates: at some of the first 12 snapshots it misses in 20 % of all runs.
    The confidence sequence of a snapshot misses in at most 5 %, at all snapshots together.

    Parameters
    ----------
    abs : float, optional
        In units of the estimate, > 0.
    rel : float, optional
        As a fraction of the estimate, > 0.
    of : str or sequence of str, optional
        Names of the estimates, such as ``"payoff_mean"``; all that have a standard error by
        default.
    at_least : int
        Paths before which the stream does not stop, since standard errors of few paths are rough.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If neither `abs` nor `rel` is given, or one is not such a number.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=None, T=1, seed=1)
    >>> rule = mz.StandardError(abs=0.01)
    >>> *_, last = mz.stream(ds.x.isel(time=-1), "mean", until=rule)
    >>> last["x_mean_se"].item() <= 0.01
    True
    """

    abs: float | None = None
    rel: float | None = None
    of: str | tuple[str, ...] | None = None
    at_least: int = AT_LEAST

    def __post_init__(self) -> None:
        if self.abs is None and self.rel is None:
            raise value_error("abs", "a tolerance here, or in rel", None)
        for name in ("abs", "rel"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_real(name, value, above=0))
        if self.of is not None and not isinstance(self.of, str):
            if not isinstance(self.of, Sequence) or not all(isinstance(n, str) for n in self.of):
                raise type_error("of", "names of estimates", self.of)
            object.__setattr__(self, "of", tuple(self.of))
        object.__setattr__(self, "at_least", check_int("at_least", self.at_least))

    def check(self, names: Sequence[str]) -> None:
        """Raise if an estimate is missing or has no standard error; see `Until.check`."""
        known = [name for name in names if f"{name}_se" in names]
        wanted = known if self.of is None else [self.of] if isinstance(self.of, str) else self.of
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            listed = ", ".join(known) or "none of which there is"
            raise value_error("of", f"estimates with a standard error: {listed}", self.of)

    def reason(self, reached: Reached) -> str | None:
        """Return the reason if all standard errors are small enough."""
        if reached.paths < self.at_least:
            return None
        ratio = self._ratio(reached)
        is_small = ratio is not None and ratio <= 1
        return str(self) if is_small else None

    def needed(self, reached: Reached) -> int | None:
        """Predict the number of paths: errors shrink with the square root of it."""
        ratio = self._ratio(reached)
        paths = math.inf if ratio is None else reached.paths * ratio * ratio
        return None if paths > MAX_INDEX else max(self.at_least, math.ceil(paths))

    def _ratio(self, reached: Reached) -> float | None:
        """Return the largest standard error in units of its tolerance, None where not known."""
        ds = reached.dataset
        names = self.of
        if names is None:
            names = tuple(str(name) for name in ds.data_vars if f"{name}_se" in ds)
        largest = 0.0
        smallest: float | None = None  # 0 where an error of 0 counts
        for name in (names,) if isinstance(names, str) else names:
            if name not in ds:  # no group has occurred yet
                return None
            error, value = ds[f"{name}_se"].values, np.abs(ds[name].values)
            if name in reached.hits:
                error = _error_of_share(error, ds[name].dims, *reached.hits[name])
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                limit = np.maximum(self.abs or 0.0, (self.rel or 0.0) * value)
                ratio = error / limit
            varies = error != 0  # also where it is NaN
            if name in reached.vary:
                known = reached.vary[name]
                known = np.reshape(known, known.shape + (1,) * (error.ndim - known.ndim))
                if ((known > 0) & (error == 0)).any() and not varies.any():
                    smallest = 0.0
                    continue
            if not varies.any():
                return None
            if not ((error > 0) & (limit > 0) & np.isfinite(ratio))[varies].all():
                return None
            largest = max(largest, float(ratio[varies].max(initial=0.0)))
        return largest or smallest

    def __str__(self) -> str:
        parts = [f"{self.abs:g}"] if self.abs is not None else []
        parts += [f"{self.rel:g} of the estimate"] if self.rel is not None else []
        return f"standard errors within {' or '.join(parts)}"


def _error_of_share(error: Any, dims: Sequence[Any], hits: Any, n: Any, unit: Any = 1.0) -> Any:
    """Return the errors of shares; with only misses or only hits, that of Wilson, or NaN.

    The interval of Wilson is used only along time and bins, where other cells have both.
    """
    one_kind = (hits == 0) | (hits == n)
    if not one_kind.any():
        return error
    instead = np.full(np.shape(error), np.nan)
    # A dimension of bins is prefixed by the name of its statistic where two of them differ.
    along = [i for i, d in enumerate(dims) if d == "time" or str(d).rpartition("_")[2] == "bin"]
    if along:
        low, high = wilson(hits, n)
        never = one_kind.all(axis=tuple(along), keepdims=True)
        instead = np.where(never, np.nan, unit * (high - low) / (2 * INTERVAL))
    return np.where(one_kind, instead, error)


@dataclass(frozen=True, slots=True)
class Several(Until):
    """Base of the rules that combine others."""

    rules: tuple[Until, ...]

    def check(self, names: Sequence[str]) -> None:
        """Check all rules."""
        for rule in self.rules:
            rule.check(names)

    def splits(self, grain: int = BLOCK) -> tuple[int, ...]:
        """Return the path counts of all rules."""
        return tuple(split for rule in self.rules for split in rule.splits(grain))


@final
@dataclass(frozen=True, slots=True)
class AnyOf(Several):
    """Stop when one of several rules does; the result of ``|``."""

    def __str__(self) -> str:
        return " or ".join(map(str, self.rules))

    def reason(self, reached: Reached) -> str | None:
        """Return the reason of the first rule that is met."""
        return next((r for rule in self.rules if (r := rule.reason(reached)) is not None), None)

    def needed(self, reached: Reached) -> int | None:
        """Return the number of paths of the rule that needs fewest."""
        known = [n for rule in self.rules if (n := rule.needed(reached)) is not None]
        return min(known, default=None)

    def last(self, grain: int = BLOCK) -> int | None:
        """Return the path count at which the first of the rules stops for certain."""
        known = [n for rule in self.rules if (n := rule.last(grain)) is not None]
        return min(known, default=None)


@final
@dataclass(frozen=True, slots=True)
class AllOf(Several):
    """Stop when all of several rules do; the result of ``&``."""

    def __str__(self) -> str:
        texts = [f"({rule})" if isinstance(rule, AnyOf) else str(rule) for rule in self.rules]
        return " and ".join(texts)

    def reason(self, reached: Reached) -> str | None:
        """Return all reasons, if every rule is met."""
        reasons = [rule.reason(reached) for rule in self.rules]
        return None if None in reasons else " and ".join(map(str, reasons))

    def needed(self, reached: Reached) -> int | None:
        """Return the number of paths of the rule that needs most, if all are predicted."""
        known = [rule.needed(reached) for rule in self.rules]
        return None if None in known else max(n for n in known if n is not None)

    def last(self, grain: int = BLOCK) -> int | None:
        """Return the path count at which the last of the rules stops, if all do for certain."""
        known = [rule.last(grain) for rule in self.rules]
        return None if None in known else max(n for n in known if n is not None)


def check_until(value: Any) -> Until | None:
    """Return the argument as a rule, or None.

    Raises
    ------
    ArgumentTypeError
        If it is not a rule.
    """
    return None if value is None else _rule(value)


def _rule(value: Any) -> Until:
    if not isinstance(value, Until):
        expected = (
            "mz.StandardError(...), mz.PathCount(n) or mz.Seconds(s), or several with | and &"
        )
        raise type_error("until", expected, value)
    return value
