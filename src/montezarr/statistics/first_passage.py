"""First passage: whether, and when, paths reach a level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, cast, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_choice, check_real, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import INTERVAL, Along, Estimate, Sample, Source, Statistic
from montezarr.statistics._binomial import ASYMPTOTIC_VALUES
from montezarr.statistics._bridge import add_passage_times, shares_by_integral
from montezarr.statistics._levels import check_numbers
from montezarr.statistics._moments import CentralSums, merge_sums
from montezarr.statistics._per_path import Array, check_times, keep_lone, whole_paths
from montezarr.statistics._student import widening
from montezarr.statistics._sums import central_sums, tree_sum
from montezarr.statistics._wilson import wilson

DIRECTIONS = ("up", "down")

TRUSTED_PASSAGES = 10
"""Passages, and paths without one, from which on the variance of the weights is trusted."""

WILSON_PASSAGES = 30
"""Passages, or paths without one, below which p ± 1.96 se is made to hold Wilson's interval."""

LESS = 1 - 1e-9
"""By which a number is less than a limit: a count that is made of a share is off by rounding."""

BRIDGE_VARIANCE_MIN = 1e-300
"""Variance of a step of the bridge, below which digits are lost."""

SUPPOSED_PATHS_MAX = 1e9
"""How many times the number of paths the interval may suppose."""

IN_TIME = "of the passages by the horizon only"
CENSORED = "paths that have not passed by the horizon"


class PassageSums(NamedTuple):
    """Means and sums of squares of passage probabilities and times: the state of the statistic.

    The numbers of a path are the probabilities of passage by each time, and last the sum of the
    passage times since the first time, weighted by the probabilities of passage in each step.

    Attributes
    ----------
    n : array (cells, blocks)
        Number of paths.
    mean : array (levels, times + 1, cells, blocks)
        Means of these numbers.
    squares : array (levels, times + 1, cells, blocks)
        Sums of their centred squares.
    cross : array (levels, cells, blocks)
        Sum of the centred products of the last two.
    """

    n: NDArray[np.int64]
    mean: Array
    squares: Array
    cross: Array


@final
@dataclass(frozen=True, slots=True)
class FirstPassage(Statistic):
    r"""The law of the time at which paths first reach a level.

    A path passes at the first time of the grid at which it has reached or crossed the level; one
    that starts there, or beyond, has passed at once. The grid hides what happens between its times:
    passages of a diffusion are found late or not at all, and the probability is biased downwards,
    about as if the level were :math:`0.5826\,\sigma\sqrt{dt}` further away (Broadie, Glasserman and
    Kou). ``bridge=sigma`` removes this bias: a path that stays on the near side at both ends of a
    step has still passed with the probability :math:`\exp(-2 (L - x_k)(L - x_{k+1}) /
    (\sigma^2 dt_k))` of a Brownian bridge (Andersen and Brotherton-Ratcliffe; Glasserman, section
    6.4). The mean passage time within the step, given a passage, is the share :math:`\alpha
    M(\alpha + \beta)` of the step, where :math:`\alpha` and :math:`\beta` are the distances of the
    two ends from the level, on either side, over :math:`\sigma\sqrt{dt_k}`, and M is the ratio of
    the tail of the normal law to its density (from the density of the first passage of a bridge:
    Borodin and Salminen, II.1.2.0.2). Both are exact for Brownian motion with drift. For geometric
    Brownian motion, take logarithms of path and level; for other diffusions the leading term of the
    bias is removed if their coefficient is nearly sigma.

    Results, with the dimension ``level`` if `level` is a sequence:

    * ``<variable>_first_passage_probability``, by the last time, with ``_se`` and the 95 %
      interval ``_low``, ``_high`` of Wilson for :math:`p(1-p)/\mathrm{se}^2` paths, more than the
      actual number if a bridge has reduced the variance; but for the actual number of paths if
      fewer than 10 have passed, or have not. If fewer than 30 have, the standard error is enlarged
      until p ± 1.96 se contains the interval: the sample then shows too little of its own spread,
      and none if all paths agree.
    * ``<variable>_survival``, the probability of not having passed, with the dimension ``time``,
      and ``_survival_se``, ``_survival_low`` and ``_survival_high`` of the same kind at each time.
    * ``<variable>_first_passage_time``, the mean time of the passages by the last time, and its
      ``_se`` (of a ratio, by the delta method, widened by Student's law; NaN for fewer than 10
      passages). A passage counts at its time of the grid; with a bridge, at the mean passage time
      within the step, which is exact if the probability is. NaN without passages.
    * ``<variable>_first_passage_censored``, the number of paths that have not passed by the last
      time; with a bridge the expected one.

    A path with a missing value does not count. Passage times and `bridge` are in the unit of the
    coordinate ``time``, if that holds numbers. If it holds dates, they are in the unit of time of
    the run that the paths are from, by its recipe or its graph, and the attribute ``units`` says
    so. Without such a run, or if some of its times are left out, passage times are in seconds since
    the first date, and a bridge is refused.

    Parameters
    ----------
    level : float or sequence of float
        The level, or several.
    direction : {None, "up", "down"}
        "up": passage at values >= level; "down": at values <= level. None: from the side on which
        each path starts.
    bridge : float or None
        Diffusion coefficient, > 0, per square root of the unit of time; None for passages only at
        the times of the grid.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a parameter is not of these types or ranges; for a variable without times; for a bridge
        if the unit of the times is not known to be that of the process.

    References
    ----------
    Broadie, Glasserman and Kou, "A continuity correction for discrete barrier options", 1997,
    doi:10.1111/1467-9965.00035. Andersen and Brotherton-Ratcliffe, "Exact exotics", Risk 9 (1996).
    Glasserman, Monte Carlo Methods in Financial Engineering, 2003,
    doi:10.1007/978-0-387-21617-1. Borodin and Salminen, Handbook of Brownian Motion, 2002,
    doi:10.1007/978-3-0348-8163-0. Wilson, "Probable inference, the law of succession, and
    statistical inference", 1927, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> import math
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=20_000, T=20, dt=0.05, seed=1)
    >>> found = mz.reduce(ds, [mz.FirstPassage(1.0, bridge=1.0)])
    >>> found.x_first_passage_probability.round(2).item(), round(math.erfc(1 / math.sqrt(2)), 2)
    (0.32, 0.32)
    """

    level: float | tuple[float, ...] = field(metadata=checked(check_numbers))
    direction: str | None = field(
        default=None, metadata=checked(check_choice, DIRECTIONS, optional=True)
    )
    bridge: float | None = field(
        default=None, metadata=checked(check_real, above=0.0, optional=True)
    )

    State: ClassVar[type] = PassageSums
    along: ClassVar[Along | None] = "time"
    without_error: ClassVar[tuple[str, ...]] = ("first_passage_censored",)
    # The number of paths that have not passed is a difference, which loses digits if it is small.
    tolerance: ClassVar[float] = 1e-9

    def __post_init__(self) -> None:
        self.check_fields()

    @property
    def revision(self) -> int:
        """1 with a bridge: version 0 put passages in the middle of their step."""
        return 0 if self.bridge is None else 1

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(1.0), cls((-1.0, 0.5), "up", bridge=0.7), cls((0.0, 2.0), "down", bridge=2.0)

    def check(self, source: Source) -> None:
        """Raise if the variable has no times, or times of another unit than the bridge's."""
        times = check_times(source)
        if self.bridge is None:
            return
        if source.mismatch is not None:
            raise value_error(
                "bridge", "None where its unit of time is not that of the times", self.bridge,
                f"{source.mismatch[0].upper()}{source.mismatch[1:]}: take first passages of a"
                " Dataset with all times of the run, or with the run's own times (assign dates to"
                " the results); or assign times in the unit of the bridge to values in memory.",
            )  # fmt: skip
        with np.errstate(over="ignore", under="ignore"):
            variance = np.float64(self.bridge) ** 2 * np.diff(times)
        if not ((variance >= BRIDGE_VARIANCE_MIN) & np.isfinite(variance)).all():
            expected = "a finite bridge**2 times the steps, and no less than 1e-300"
            raise value_error("bridge", expected, self.bridge)

    def chunk(self, sample: Sample) -> PassageSums:
        """Return the sums of each block."""
        counts, times = whole_paths(sample), check_times(sample.source)
        shape = (len(self._levels), len(times) + 1, *counts.shape[:-1])
        mean, squares = np.empty(shape), np.empty(shape)
        cross = np.empty((shape[0], *shape[2:]))
        absent = None if counts.all() else ~counts
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for k, level in enumerate(self._levels):
                numbers = self._passages(sample.values, times, level)
                if absent is not None:
                    numbers[:, absent] = np.nan
                _, mean[k], squares[k : k + 1] = central_sums(numbers, 2)
                last = numbers[-2:] - mean[k, -2:, ..., None]
                cross[k] = tree_sum(np.where(counts, last[0] * last[1], 0.0))
        return PassageSums(counts.sum(axis=-1, dtype=np.int64), mean, squares, cross)

    def merge(self, a: PassageSums, b: PassageSums) -> PassageSums:
        """Return the sums of both."""
        rows = merge_sums(
            CentralSums(a.n, a.mean, a.squares[None]),
            CentralSums(b.n, b.mean, b.squares[None]),
        )
        n, delta = a.n + b.n, b.mean[:, -2:] - a.mean[:, -2:]
        weight = a.n * (b.n / np.maximum(n, 1))
        cross = a.cross + b.cross + weight * (delta[:, 0] * delta[:, 1])
        merged = PassageSums(n, rows.mean, rows.sums[0], cross)
        return cast(PassageSums, keep_lone(a, b, merged))

    def finalize(self, state: PassageSums, source: Source) -> dict[str, Estimate]:
        """Return probability, survival, passage time and the number of censored paths."""
        times = check_times(source)
        n = state.n.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            mean = np.where(n > 0, np.clip(state.mean[:, :-1], 0.0, 1.0), np.nan)
            square = state.squares[:, :-1]
            error, low, high = _errors(mean, square, n)
            p, spread = mean[:, -1], square[:, -1]
            late = state.mean[:, -1] / p
            ratio = state.squares[:, -1] - 2 * late * state.cross + late**2 * spread
            # Few passages show too little of their spread.
            passages = _passages(state)
            late_error = (
                np.sqrt(np.maximum(ratio, 0.0)) / (n * p) * widening(passages, TRUSTED_PASSAGES)
            )
            censored = np.where(n > 0, n - n * p, 0.0)
        if self.bridge is None:
            censored = np.rint(censored).astype(np.int64)
        horizon = {"horizon": float(times[-1])}
        units = source.time_units
        in_time = {"comment": f"in the units of the coordinate time; {IN_TIME}"}
        if units is not None:
            in_time = {"units": units, "comment": IN_TIME}
        by_level: dict[str, tuple[Array, dict[str, Any], int | None]] = {
            "first_passage_probability": (p, horizon, 0),
            "first_passage_probability_se": (error[:, -1], {}, 0),
            "first_passage_probability_low": (low[:, -1], {}, 0),
            "first_passage_probability_high": (high[:, -1], {}, 0),
            "first_passage_time": (times[0] + late, {**horizon, **in_time}, None),
            "first_passage_time_se": (late_error, in_time, None),
            "first_passage_censored": (censored, {**horizon, "comment": CENSORED}, 0),
        }
        found = {name: self._estimate(*entry) for name, entry in by_level.items()}
        by_time = {"": 1.0 - mean, "_se": error, "_low": 1.0 - high, "_high": 1.0 - low}
        for end, values in by_time.items():
            found[f"survival{end}"] = self._estimate(values, {}, 0, times)
        return found

    def hits(self, state: PassageSums, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of paths that have passed or survived; expected ones with a bridge.

        Probabilities of passage are numbers in [0, 1], whose sums may serve as hits.
        """
        n = np.where(state.n > 0, state.n, np.nan)
        passed = n * np.clip(state.mean[:, :-1], 0.0, 1.0)
        if self.bridge is None:
            passed = np.rint(passed)
        by_name = {"first_passage_probability": passed[:, -1], "survival": n - passed}
        return {
            name: (self._squeezed(hits), self._squeezed(np.broadcast_to(n, hits.shape)))
            for name, hits in by_name.items()
        }

    def sequences(self, state: PassageSums, source: Source) -> dict[str, tuple[Any, Any]]:
        """Return the sequences of `hits`; for the mean time none before 100 passages."""
        found = Statistic.sequences(self, state, source)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            is_known = self._squeezed(_passages(state)) >= ASYMPTOTIC_VALUES
        found["first_passage_time"] = tuple(
            np.where(is_known, np.nan, end) for end in (-np.inf, np.inf)
        )  # type: ignore[assignment]
        return found

    def _squeezed(self, values: Array) -> Array:
        """Return an array (levels, ..., cells) in the order of results, cells first."""
        values = np.moveaxis(values, -1, 0)
        return values[:, 0] if isinstance(self.level, float) else values

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, from products of the probabilities of not passing."""
        times = check_times(source)
        cells = values.shape[1]
        keys = ("first_passage_probability", "first_passage_time")
        names = [*keys, *(f"{key}_se" for key in keys)]
        out = {name: np.full((cells, len(self._levels)), np.nan) for name in names}
        out["first_passage_censored"] = np.zeros((cells, len(self._levels)))
        for name in ("survival", "survival_se"):
            out[name] = np.full((cells, len(self._levels), len(times)), np.nan)
        for cell in range(cells):
            x = values[:, cell][:, np.isfinite(values[:, cell]).all(axis=0)]
            n = x.shape[1]
            for k, level in enumerate(self._levels if n else ()):
                up = {"up": True, "down": False, None: x[0] <= level}[self.direction]
                beyond = np.where(up, x >= level, x <= level)
                stays = np.where(beyond, 0.0, 1.0)
                moments = np.broadcast_to(times[:, None], x.shape).copy()
                if self.bridge is not None:
                    step = np.diff(times)[:, None]
                    area = (level - x[1:]) * (level - x[:-1])
                    near = ~beyond[1:] & ~beyond[:-1]
                    touch = np.exp(np.where(near, -2 * area / (self.bridge**2 * step), -np.inf))
                    stays[1:] *= 1 - touch
                survival = np.cumprod(stays, axis=0)
                passing = -np.diff(survival, axis=0, prepend=1.0)
                if self.bridge is not None:
                    root = self.bridge * np.sqrt(step)
                    ends = (level - x[:-1]) / root, (level - x[1:]) / root
                    share, asked = np.zeros_like(x[1:]), passing[1:] != 0  # else no weight
                    share[asked] = shares_by_integral(*(end[asked] for end in ends))
                    moments[1:] = times[:-1, None] + step * share
                passed, when = passing.sum(axis=0), (moments * passing).sum(axis=0)
                out[keys[0]][cell, k] = passed.mean()
                out["survival"][cell, k] = survival.mean(axis=1)
                out["survival_se"][cell, k] = [_plain_error(row) for row in survival]
                out[names[2]][cell, k] = out["survival_se"][cell, k, -1]
                out["first_passage_censored"][cell, k] = survival[-1].sum()
                if passed.sum() > 0:
                    late = out[keys[1]][cell, k] = when.sum() / passed.sum()
                    several = passed.sum() ** 2 / (passed**2).sum()
                    spread = np.sqrt(((when - late * passed) ** 2).sum()) / passed.sum()
                    out[names[3]][cell, k] = spread * widening(several, TRUSTED_PASSAGES)
        if isinstance(self.level, float):
            out = {name: array[:, 0] for name, array in out.items()}
        return out

    @property
    def _levels(self) -> tuple[float, ...]:
        return (self.level,) if isinstance(self.level, float) else self.level

    def _passages(self, x: Array, times: Array, level: float) -> Array:
        """Return the numbers of each path that `PassageSums` describes, (times + 1, ...)."""
        out = np.empty((len(times) + 1, *x.shape[1:]))
        is_up = np.less(x[0], level) if self.direction is None else self.direction == "up"
        side = np.where(is_up, 1.0, -1.0)
        gap = np.maximum(side * (level - x[0]), 0.0)  # 0 once the level is reached
        survival = np.where(gap > 0, 1.0, 0.0)
        passed, late = 1.0 - survival, np.zeros_like(survival)
        out[0] = passed
        for k, step in enumerate(np.diff(times).tolist()):
            ahead = side * (level - x[k + 1])
            before, gap = gap, np.maximum(ahead, 0.0)
            if self.bridge is None:
                passing = np.where(gap > 0, 0.0, survival)
                late += float(times[k + 1] - times[0]) * passing
            else:
                passing = np.exp(before * gap * (-2.0 / (self.bridge**2 * step))) * survival
                start, per = float(times[k] - times[0]), 1.0 / (self.bridge * step**0.5)
                add_passage_times(late, passing, before, np.abs(ahead), start, step, per)
            # Sum small probabilities of passage; 1 - survival would lose them.
            passed, survival = passed + passing, survival - passing
            out[k + 1] = passed
        out[-1] = late
        return out

    def _estimate(
        self, values: Array, attrs: dict[str, Any], power: int | None, times: Array | None = None
    ) -> Estimate:
        """Return the estimate of an array (levels, [times,] cells)."""
        values = np.moveaxis(values, -1, 0)
        coords: dict[str, Any] = {} if times is None else {"time": times}
        dims = tuple(coords)
        if isinstance(self.level, float):
            return Estimate(values[:, 0], dims, {"level": self.level, **coords}, attrs, power)
        coords["level"] = np.array(self.level)
        return Estimate(values, ("level", *dims), coords, attrs, power)


def _passages(state: PassageSums) -> Array:
    """Return the numbers of passages; with a bridge, the sums of its weights."""
    p, spread = np.clip(state.mean[:, -2], 0.0, 1.0), state.squares[:, -2]
    return np.asarray((state.n * p) ** 2 / (spread + state.n * p**2))


def _errors(p: Array, square: Array, n: Array) -> tuple[Array, Array, Array]:
    """Return standard errors of means of probabilities, and the ends of Wilson's intervals.

    Parameters
    ----------
    p, square : array (levels, times, cells)
        Means of the probabilities, and sums of their centred squares.
    n : array (cells,)
        Number of paths.
    """
    several = np.where(n > 1, n, np.nan)
    error = np.sqrt(square / (several - 1) / several)
    least = np.minimum(p, 1 - p)
    # Limited, since equal probabilities have no variance.
    size = np.minimum(p * (1 - p) * n**2 / square, SUPPOSED_PATHS_MAX * n)
    size = np.where(least * n < TRUSTED_PASSAGES * LESS, n, size)
    low, high = wilson(p * size, size)
    # If few have passed, or have not, the sample shows too little of its own spread.
    wide = np.maximum(high - p, p - low) / INTERVAL
    error = np.where(
        (least * size < WILSON_PASSAGES * LESS) & (n > 1), np.maximum(error, wide), error
    )
    return error, low, high


def _plain_error(numbers: Array) -> float:
    """Return the standard error of the mean of probabilities, for the oracle."""
    n, p = len(numbers), float(numbers.mean())
    if n < 2:
        return np.nan
    error = numbers.std(ddof=1) / np.sqrt(n)
    rare = min(p, 1 - p) * n < TRUSTED_PASSAGES * LESS
    variance = numbers.var()
    most = SUPPOSED_PATHS_MAX * n
    size = n if rare else most if variance == 0 else min(p * (1 - p) * n / variance, most)
    if min(p, 1 - p) * size >= WILSON_PASSAGES * LESS:
        return float(error)
    centre, square = p + INTERVAL**2 / (2 * size), INTERVAL**2 / size
    half = np.sqrt(square * (p * (1 - p) + square / 4))
    ends = (centre - half) / (1 + square), (centre + half) / (1 + square)
    return float(max(error, (p - ends[0]) / INTERVAL, (ends[1] - p) / INTERVAL))
