"""How often claimed intervals hold: every statistic, of every law, for every number of paths.

``python -m benchmarks.calibration`` prints the tables; ``--docs`` writes them into the page
``docs/explanation/calibration.md``. Statistics are discovered: what has ``_low`` and ``_high``, or
``_se``, is held to its true value. Samples lie along a dimension of their own, so that one
reduction takes all of them. Seeds are 0, 1, ... and never chosen.
"""

from __future__ import annotations

import argparse
import fnmatch
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

import montezarr as mz
from benchmarks._pages import write_between
from montezarr.statistics._base import INTERVAL
from montezarr.statistics._built_in import built_in_statistics

PAGE = "explanation/calibration.md"
LEVEL, LEAST = 0.95, 0.93
TIMES = 4
"""Independent values of a path, of the statistics that go along time."""

REPEATS = {1: 1000, 2: 1000, 100: 1000, 4096: 200, 10**5: 100}
"""Samples of each size: fixed beforehand."""

VALUES = 2**22
"""Values that are drawn at once."""


# Laws.


@dataclass(frozen=True)
class Law:
    """A law of values, and what is true of it.

    Attributes
    ----------
    draw : function
        From a Generator and a shape to values.
    law : frozen distribution of SciPy
        It, up to the shift.
    shift : float
        What is added.
    level : float
        Of exceedances and first passages; one that is not hit by an atom.
    continuous : bool
        Whether too much coverage is a fault.
    """

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    law: Any
    level: float
    shift: float = 0.0
    continuous: bool = True

    def quantile(self, q: float) -> float:
        return float(self.law.ppf(q)) + self.shift

    def shortfall(self, q: float) -> float:
        """The mean above a quantile, of which an atom there is a part."""
        # Equal shares of the tail, finer and finer towards its end, which may be heavy.
        edges = (1 - q) * np.append(np.geomspace(1.0, 1e-12, 200_001), 0.0)
        inner = self.law.isf((edges[:-1] + edges[1:]) / 2)
        return float((inner * -np.diff(edges)).sum() / (1 - q)) + self.shift

    def moments(self) -> dict[str, float]:
        mean, variance, skewness, kurtosis = (float(m) for m in self.law.stats("mvsk"))
        return {
            "mean": mean + self.shift, "variance": variance, "std": math.sqrt(variance),
            "skewness": skewness, "kurtosis": kurtosis,
        }  # fmt: skip


TIED = stats.rv_discrete(values=([1, 2, 3], [0.5, 0.3, 0.2]))
LAWS = (
    Law("normal", lambda rng, shape: rng.standard_normal(shape), stats.norm(), 1.0),
    Law("exponential", lambda rng, shape: rng.exponential(size=shape), stats.expon(), 1.0),
    Law("lognormal", lambda rng, shape: rng.lognormal(size=shape), stats.lognorm(1.0), 2.0),
    Law("t3", lambda rng, shape: rng.standard_t(3, shape), stats.t(3), 1.0),
    Law("Bernoulli(.001)", lambda rng, shape: (rng.random(shape) < 0.001).astype(float),
        stats.bernoulli(0.001), 0.5, continuous=False),
    Law("Poisson(2)", lambda rng, shape: rng.poisson(2.0, shape).astype(float),
        stats.poisson(2.0), 2.5, continuous=False),
    Law("constant", lambda rng, shape: np.full(shape, 7.25),
        stats.rv_discrete(values=([0], [1.0]))(), 7.0, 7.25, continuous=False),
    Law("ties", lambda rng, shape: rng.choice([1.0, 2.0, 3.0], shape, p=[0.5, 0.3, 0.2]),
        TIED(), 1.5, continuous=False),
    Law("1e6 + normal", lambda rng, shape: 1e6 + rng.standard_normal(shape), stats.norm(),
        1e6 + 1.0, 1e6),
)  # fmt: skip


# What is taken, and what is true of it.


def instances(law: Law) -> Iterator[tuple[Any, bool]]:
    """Yield every built-in statistic as it is tried, and whether it goes along time."""
    edges = [law.level + k for k in (-1e9, -1.0, 0.0, 1.0, 1e9)]
    chosen = {
        "Exceedance": mz.Exceedance(law.level),
        "FirstPassage": mz.FirstPassage(law.level, direction="up"),
        "Histogram": mz.Histogram(edges=edges),
        "Quantile": mz.Quantile([0.01, 0.5, 0.95]),
        "Contrast": mz.Contrast(to={"scenario": 1}),
        "ExpectedShortfall": mz.ExpectedShortfall(0.95),
        "Covariance": mz.Covariance("time"),
        "Autocorrelation": mz.Autocorrelation(1),
        "Proportion": mz.Proportion(states=(0, 1, 2)),
        "SobolIndices": mz.SobolIndices(["a"]),
        "VarianceShares": mz.VarianceShares(2),
    }
    along = {"FirstPassage", "Covariance", "Autocorrelation", "TimeAverage", "Drawdown"}
    for name, kind in built_in_statistics().items():
        if name == "Proportion" and law.continuous:
            continue
        yield chosen.get(name) or kind(), name in along


def truths(law: Law) -> dict[str, Callable[[xr.DataArray], Any] | float]:
    """What is true of each result, by its name without that of the variable.

    A function gets the result, for its coordinates; NaN is what is not known or not defined.
    """
    m = law.moments()
    above = float(law.law.sf(law.level - law.shift))
    hit = 1 - (1 - above) ** TIMES

    def shares(result: xr.DataArray) -> Any:
        return [float(law.law.pmf(v - law.shift)) for v in np.atleast_1d(result["state"].values)]

    def quantiles(result: xr.DataArray) -> Any:
        return [law.quantile(float(q)) for q in np.atleast_1d(result["quantile"].values)]

    def densities(result: xr.DataArray) -> Any:
        left, right = (result[f"bin_{side}"].values for side in ("left", "right"))
        below = [law.law.cdf(edge - law.shift) for edge in (left, right)]
        return (below[1] - below[0]) / (right - left)

    times = np.arange(TIMES)
    passed = above * (1 - above) ** times
    varies = m["variance"] > 0
    return {
        **m,
        "exceedance": above,
        "contrast": lambda result: [m["mean"], 0.0],  # to a scenario of zeros, the second one
        "time_average": m["mean"],
        "first_passage_probability": hit,
        "first_passage_time": float((times * passed).sum() / hit) if hit else math.nan,
        "survival": list((1 - above) ** (times + 1)),
        "density": densities,
        "autocorrelation": 0.0 if varies else math.nan,
        "correlation": np.eye(TIMES) if varies else math.nan,
        "proportion": shares,
        "quantile": quantiles,
        "expected_shortfall": law.shortfall(0.95),
        "value_at_risk": law.quantile(0.95),
        "covariance": m["variance"] * np.eye(TIMES),
        # Independent values: nothing is explained by a parameter, everything by noise.
        "first_order": 0.0 if varies else math.nan,
        "total": 1.0 if varies else math.nan,
        "parameter_share": 0.0 if varies else math.nan,
        "noise_share": 1.0 if varies else math.nan,
    }


# Coverage.


@dataclass
class Cell:
    """The coverage of one claim: of a result, in one way, of one law and size."""

    result: str
    claim: str
    law: str
    n: int
    repeats: int
    held: int = 0
    missing: int = 0
    exact: int = 0
    reason: str = ""
    continuous: bool = field(default=True, repr=False)

    @property
    def coverage(self) -> float:
        """Share of the samples whose interval held; of one or two paths, of those that have one."""
        count = self.repeats - (self.missing if self.n <= 2 else 0)
        return self.held / count if count else math.nan

    @property
    def verdict(self) -> str:
        """ "pass", "too low", "too high", "none" where no interval is claimed, or the reason."""
        if self.n <= 2 and self.missing == self.repeats:
            return "none"
        count = self.repeats - (self.missing if self.n <= 2 else 0)
        spread = 3 * math.sqrt(LEVEL * (1 - LEVEL) / count)
        if self.coverage < LEAST - spread:
            return self.reason or "too low"
        most = 1 - (1 - LEVEL) / 2 + spread / 2  # of few samples all may well hold
        if self.continuous and self.n >= 100 and self.coverage > most:
            # What is 0 in every sample, and said to be, is no interval that is too wide.
            return "pass" if self.exact == self.repeats else self.reason or "too high"
        return "pass"


BESIDE = "the interval beside it is what is promised, and holds"
"""Of a standard error: ± 1.96 of it are no interval where another one is given."""

RARE_LARGE = "heavy tail: the largest values are missing in most samples"
SKEWED = "skewed: products of a hundred values are far from normal"
FEW_GROUPS = "33 groups of three paths, or 50 of two, say little of the spread of squares"
HIGHER_MOMENTS = "higher moments take many values, most of heavy tails"
REASONS: dict[tuple[str, str, str, str], str] = {
    ("*", "*", "*", "1"): "one value says nothing of a spread",
    ("*", "*", "*", "2"): "two values say little of a spread",
    ("*", "*", "Bernoulli*", "100"): "a tenth of a hit is expected",
    ("autocorrelation", "*", "Bernoulli*", "*"): "rare: pairs of hits are rarer still",
    ("co[vr]*, with another", "*", "Bernoulli*", "*"): "rare: pairs of hits are rarer still",
    ("value_at_risk", "*", "Poisson*", "*"): "integers: take the interval of the quantile",
    ("quantile 0.01", "*", "*", "100"): "no value is below it in 37 of 100 samples",
    ("quantile 0.5", "sequence", "ties", "*"): "at the end of an atom: all of [1, 2] are medians",
    ("expected_shortfall", "*", "*", "100"): "five values in the tail",
    ("autocorrelation", "*", "lognormal", "100"): RARE_LARGE,
    ("mean", "*", "lognormal", "100"): RARE_LARGE,
    ("contrast", "*", "lognormal", "100"): RARE_LARGE,
    ("time_average", "*", "lognormal", "100"): RARE_LARGE,
    ("variance", "*", "t3", "*"): "infinite fourth moment: no standard error exists",
    ("std", "*", "t3", "*"): "infinite fourth moment: no standard error exists",
    ("covariance, with itself", "*", "t3", "*"): "infinite fourth moment: no standard error exists",
    ("covariance, with another", "*", "t3", "*"): "heavy tails: products of values are heavier",
    ("correlation, with another", "*", "exponential", "100"): SKEWED,
    ("correlation, with another", "*", "lognormal", "100"): SKEWED,
    ("skewness", "*", "t3", "*"): "infinite third moment: it does not exist",
    ("kurtosis", "*", "t3", "*"): "infinite fourth moment: it does not exist",
    ("skewness", "*", "*", "100"): HIGHER_MOMENTS,
    ("kurtosis", "*", "*", "100"): HIGHER_MOMENTS,
    ("skewness", "*", "exponential", "4096"): HIGHER_MOMENTS,
    ("kurtosis", "*", "exponential", "4096"): HIGHER_MOMENTS,
    ("skewness", "*", "lognormal", "*"): HIGHER_MOMENTS,
    ("kurtosis", "*", "lognormal", "*"): HIGHER_MOMENTS,
    ("variance", "*", "lognormal", "*"): RARE_LARGE,
    ("std", "*", "lognormal", "*"): RARE_LARGE,
    ("covariance*", "*", "lognormal", "*"): RARE_LARGE,
    ("first_order*", "*", "*", "100"): FEW_GROUPS,
    ("total*", "*", "*", "100"): FEW_GROUPS,
    ("*_share", "*", "*", "100"): FEW_GROUPS,
    ("first_order*", "*", "Bernoulli*", "4096"): "four hits are expected",
    ("total*", "*", "Bernoulli*", "4096"): "four hits are expected",
    ("*_share", "*", "Bernoulli*", "4096"): "four hits are expected",
    ("first_order*", "*", "Bernoulli*", "*"): "rare: groups with two hits are rarer still",
    ("*_share", "*", "Bernoulli*", "*"): "rare: groups with two hits are rarer still",
    ("mean", "*", "Bernoulli*", "100"): "no hit in most samples of 100",
    ("mean", "*", "Bernoulli*", "4096"): "four hits are expected",
    ("contrast", "*", "Bernoulli*", "100"): "no hit in most samples of 100",
    ("contrast", "*", "Bernoulli*", "4096"): "four hits are expected",
}
"""Why a claim does not hold: result, claim, law and size, as patterns; the first that fits is told.

A reason excuses nothing where the claim holds. It is written down here, and nowhere by hand.
"""


def reason_of(cell: Cell) -> str:
    """The first reason that fits, or none."""
    key = cell.result, cell.claim, cell.law, str(cell.n)
    for patterns, reason in REASONS.items():
        if all(fnmatch.fnmatchcase(k, p) for k, p in zip(key, patterns, strict=True)):
            return reason
    return ""


def samples(law: Law, n: int, repeats: int, times: int | None) -> Iterator[xr.DataArray]:
    """Yield samples of n values, some at a time; sample r is that of seed r."""
    shape = (n,) if times is None else (n, times)
    dims = ("path",) if times is None else ("path", "time")
    at_once = max(1, VALUES // math.prod(shape))
    for low in range(0, repeats, at_once):
        seeds = range(low, min(low + at_once, repeats))
        values = [law.draw(np.random.default_rng(seed), shape) for seed in seeds]
        yield xr.DataArray(np.stack(values, -1), dims=(*dims, "repeat"), name="x")


def seen_by(statistic: Any, x: xr.DataArray) -> xr.DataArray:
    """What a statistic gets: a contrast gets a scenario of zeros behind that of the law."""
    if not isinstance(statistic, mz.Contrast):
        return x
    return xr.concat([x, xr.zeros_like(x)], dim="scenario")


def claims(ds: xr.Dataset) -> Iterator[tuple[str, str, xr.DataArray, xr.DataArray, xr.DataArray]]:
    """Yield each claim: name of the result, the claim, the result, and both ends."""
    for name, result in ds.data_vars.items():
        base = str(name).removeprefix("x_")
        if f"{name}_low" in ds and f"{name}_high" in ds:
            yield base, "interval", result, ds[f"{name}_low"], ds[f"{name}_high"]
        if f"{name}_se" in ds:
            half = INTERVAL * ds[f"{name}_se"]
            yield base, "± 1.96 se", result, result - half, result + half


def coverage(law: Law, n: int, repeats: int, only: Any = None) -> list[Cell]:
    """The coverage of every claim of every statistic, of one law and size."""
    true, cells = truths(law), {}
    for statistic, along in instances(law):
        if only is not None and type(statistic).__name__ not in only:
            continue
        for x in samples(law, n, repeats, TIMES if along else None):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = mz.reduce(seen_by(statistic, x), statistic)
            for base, claim, result, low, high in claims(ds):
                _count(cells, (base, claim), law, n, repeats, true, result, low, high)
    for cell in cells.values():
        beside = cells.get((cell.result, "interval"))
        if cell.claim != "interval" and beside is not None and beside.verdict == "pass":
            cell.reason = cell.reason or BESIDE
        cell.reason = cell.reason or reason_of(cell)
    return list(cells.values())


def _count(
    cells: dict[Any, Cell], key: tuple[str, str], law: Law, n: int, repeats: int,
    true: dict[str, Any], result: xr.DataArray, low: xr.DataArray, high: xr.DataArray,
) -> None:  # fmt: skip
    base, claim = key
    ends = [end.transpose(..., "repeat").values for end in (low, high)]
    found = true.get(base)
    values = found(result) if callable(found) else found
    count = result.sizes["repeat"]
    shape = ends[0].shape[:-1]
    if found is None:
        wanted = np.full(shape, np.nan)
    else:
        wanted = np.broadcast_to(np.asarray(values, float), shape)
    labels = _labels(base, result)
    flat = [end.reshape(-1, count) for end in ends]
    if len(labels) != len(flat[0]):
        labels = [base] * len(flat[0])
    # Of many cells with one law, such as the entries of a matrix, the first one is told.
    for label in dict.fromkeys(labels):
        i = labels.index(label)
        new = Cell(label, claim, law.name, n, 0, continuous=law.continuous)
        one = cells.setdefault((label, claim), new)
        one.repeats += count
        truth = wanted.ravel()[i] if wanted.ndim else float(wanted)
        if math.isnan(truth):
            one.reason = "no true value is known here"
        # A digit of the last place is no miss: means of equal values are rounded.
        slack = 4e-16 * abs(truth)
        with np.errstate(invalid="ignore"):
            one.held += int(((flat[0][i] - slack <= truth) & (truth <= flat[1][i] + slack)).sum())
        # Nor is what is at the end of all that may be, as a share of 0, held too often.
        one.exact += int(((flat[0][i] == flat[1][i]) | (flat[0][i] == truth)).sum())
        one.missing += int(np.isnan(flat[0][i]).sum())


def _labels(base: str, result: xr.DataArray) -> list[str]:
    dims = [dim for dim in result.dims if dim != "repeat"]
    if len(dims) == 2 and dims[1] == f"{dims[0]}_2":
        size = result.sizes[dims[0]]
        kinds = "with itself", "with another"
        return [f"{base}, {kinds[i != j]}" for i in range(size) for j in range(size)]
    if len(dims) != 1 or dims[0] not in result.coords:
        return [base]
    if dims[0] == "bin":
        return [f"{base}, bin {i}" for i in range(result.sizes["bin"])]
    return [f"{base} {value:g}" if np.isreal(value) else f"{base} {value}"
            for value in np.atleast_1d(result[dims[0]].values)]  # fmt: skip


# Confidence sequences.


SEQUENCES = {"repeats": 100, "paths": 2**16}


def sequences(law: Law, repeats: int, paths: int, only: Any = None) -> list[Cell]:
    """How often a confidence sequence holds at all snapshots of a stream."""
    true, cells = truths(law), {}
    for statistic, along in instances(law):
        if along or (only is not None and type(statistic).__name__ not in only):
            continue
        outside: dict[str, np.ndarray] = {}
        size = max(1, VALUES // paths)
        for low in range(0, repeats, size):
            count = min(size, repeats - low)
            values = [law.draw(np.random.default_rng(low + k), (paths,)) for k in range(count)]
            x = xr.DataArray(np.stack(values, -1), dims=("path", "repeat"), name="x")
            missed: dict[str, np.ndarray] = {}
            with warnings.catch_warnings(), mz.backend("synchronous"):
                warnings.simplefilter("ignore")
                for snapshot in mz.stream(seen_by(statistic, x), statistic):
                    for name, misses in _missed(snapshot.dataset, true).items():
                        missed[name] = missed.get(name, False) | misses
            for name, misses in missed.items():
                outside[name] = np.concatenate([outside.get(name, np.zeros(0, bool)), misses])
        for name, misses in outside.items():
            cell = Cell(name, "sequence", law.name, paths, len(misses), int((~misses).sum()),
                        continuous=False)  # fmt: skip
            cell.reason = reason_of(cell)
            cells[name] = cell
    return list(cells.values())


def _missed(ds: xr.Dataset, true: dict[str, Any]) -> dict[str, np.ndarray]:
    out = {}
    for name, result in ds.data_vars.items():
        base = str(name).removeprefix("x_")
        if f"{name}_cs_low" not in ds or base not in true:
            continue
        truth = true[base](result) if callable(true[base]) else true[base]
        low, high = (
            ds[f"{name}_cs_{end}"].transpose(..., "repeat").values for end in ("low", "high")
        )
        wanted = np.asarray(truth, float)
        wanted = wanted.reshape(*wanted.shape, *(1,) * (low.ndim - wanted.ndim))
        labels = _labels(base, result) if low.ndim == 2 else [base]
        slack = 4e-16 * np.abs(wanted)
        bad = (low - slack > wanted) | (high + slack < wanted)
        out |= dict(zip(labels, bad.reshape(-1, bad.shape[-1]), strict=False))
    return out


# Tables.


def table(cells: list[Cell]) -> str:
    """A Markdown table: a row for each result and claim, a column for each law and size."""
    sizes = sorted({cell.n for cell in cells})
    rows: dict[tuple[str, str, str], dict[int, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.result, cell.claim, cell.law), {})[cell.n] = cell
    head = ["result", "claim", "law", *(f"n = {n:,}" for n in sizes), "reason"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "--:|" * len(sizes) + "---|"]
    for key, found in rows.items():
        shown = [_shown(found[n]) if n in found else "" for n in sizes]
        texts = {c.reason for c in found.values() if c.verdict == c.reason and c.reason}
        lines.append("| " + " | ".join([*key, *shown, "; ".join(sorted(texts))]) + " |")
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    if cell.verdict == "none" or cell.reason.startswith("no true"):
        return "–"
    text = f"{100 * cell.coverage:.1f}"
    return {"pass": text, "too low": f"**{text}** too low", "too high": f"**{text}** too high"}.get(
        cell.verdict, f"({text})"
    )


def summary(cells: list[Cell]) -> str:
    """How many claims hold, do not, and why."""
    known = [c for c in cells if c.verdict != "none" and not c.reason.startswith("no true")]
    bad = [c for c in known if c.verdict in ("too low", "too high")]
    reasoned = [c for c in known if c.verdict not in ("pass", "too low", "too high")]
    held = len(known) - len(bad) - len(reasoned)
    return (
        f"{len(known)} claims: {held} hold, {len(reasoned)} do not for a reason given,"
        f" {len(bad)} do not."
    )


def report(sizes: dict[int, int], runs: dict[str, int], only: Any, laws: Any) -> str:
    """Both tables, with what was counted."""
    chosen = [law for law in LAWS if not laws or law.name in laws]
    began, cells, at_all_times = time.perf_counter(), [], []
    for law in chosen:
        for n, repeats in sizes.items():
            cells += coverage(law, n, repeats, only)
        if runs["repeats"]:
            at_all_times += sequences(law, runs["repeats"], runs["paths"], only)
    counted = ", ".join(f"{r:,} of {n:,}" for n, r in sizes.items())
    print(f"{time.perf_counter() - began:.0f} s")
    parts = [
        f"Samples (number of them, of how many paths): {counted}. {summary(cells)}",
        table(cells),
    ]
    if at_all_times:
        parts += [
            f"Confidence sequences: how many of {runs['repeats']} streams of {runs['paths']:,}"
            f" paths held at every snapshot, in %. {summary(at_all_times)}",
            table(at_all_times),
        ]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the tables into the docs")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--statistic", nargs="*", help="names of classes, such as Mean")
    parser.add_argument("--law", nargs="*", help="names of laws")
    chosen = parser.parse_args()
    share = 10 if chosen.quick else 1
    sizes = {n: max(1, repeats // share) for n, repeats in REPEATS.items()}
    runs = {**SEQUENCES, "repeats": SEQUENCES["repeats"] // share}
    text = report(sizes, runs, chosen.statistic, chosen.law)
    print(text)
    if chosen.docs:
        write_between(PAGE, "calibration", text)


if __name__ == "__main__":
    main()
