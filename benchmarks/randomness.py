"""Distribution, moments and correlations of the draws on many values, in bounded memory.

    python benchmarks/randomness.py [--values 1e9] [--seed 1]

For each distribution and precision, over `--values` numbers: Kolmogorov-Smirnov and chi-square on
bins of equal probability, the first four moments, the tails, and correlations (also of squares)
between neighbouring paths, steps, slots and seeds. Every test gives a z-score or a p-value; the
last lines say whether all of them are within what chance gives for that many tests.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from scipy import special, stats

from montezarr import Draws

BINS = 1 << 16  # for Kolmogorov-Smirnov
COARSE = 1 << 12  # for chi-square: wide against the spacing of float32 numbers
STEPS, PATHS, SLOTS = 128, 512, 2  # a tile; two seeds of each
LEVEL = 1e-4  # chance that a perfect generator fails any of the tests
PAIRS = ("path", "step", "slot", "seed")


@dataclass(frozen=True)
class Law:
    """What is known of a distribution: E x**k for k = 0 ... 8, and tails as (text, chance)."""

    moments: tuple[float, ...]
    tails: tuple[tuple[str, float], ...]

    @property
    def mean(self) -> float:
        return self.moments[1]

    @property
    def deviation(self) -> float:
        return math.sqrt(self.moments[2] - self.mean**2)

    @property
    def kurtosis(self) -> float:
        """E z**4 of the standardised value, so that E (z**2 - 1)**2 is one less."""
        m, (_, m1, m2, m3, m4, *_) = self.mean, self.moments
        return (m4 - 4 * m * m3 + 6 * m * m * m2 - 4 * m**3 * m1 + m**4) / self.deviation**4


LAWS = {
    "uniform": Law(
        tuple(1 / (k + 1) for k in range(9)), (("x<2^-20", 2.0**-20), ("x>=1-2^-20", 2.0**-20))
    ),
    "normal": Law(
        (1, 0, 1, 0, 3, 0, 15, 0, 105),
        (("|x|>4", math.erfc(4 / math.sqrt(2))), ("|x|>5", math.erfc(5 / math.sqrt(2)))),
    ),
    "exponential": Law(
        tuple(float(math.factorial(k)) for k in range(9)),
        (("x>10", math.exp(-10)), ("x>15", math.exp(-15))),
    ),
}
CODES = {kind: code for code, kind in enumerate(LAWS)}


@njit(error_model="numpy")
def count(kind, x, bins, tails):
    """Add the values to the bins of equal probability and to the tails."""
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = np.float64(x[k, j])
            if kind == 0:
                u = value
                tails[0] += value < 2.0**-20
                tails[1] += value >= 1 - 2.0**-20
            elif kind == 1:
                u = 0.5 * math.erfc(-value * math.sqrt(0.5))
                tails[0] += abs(value) > 4
                tails[1] += abs(value) > 5
            else:
                u = -math.expm1(-value)
                tails[0] += value > 10
                tails[1] += value > 15
            bins[min(np.int64(u * BINS), BINS - 1)] += 1


@njit(error_model="numpy", fastmath=True)
def standardise(x, mean, deviation, kurtosis, z, q, sums):
    """Add powers of the values to `sums`; fill `z` and its standardised square `q`."""
    m1, m2, m3, m4 = 0.0, 0.0, 0.0, 0.0
    scale, square = 1 / deviation, 1 / math.sqrt(kurtosis - 1)
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = np.float64(x[k, j])
            v2 = value * value
            m1, m2, m3, m4 = m1 + value, m2 + v2, m3 + v2 * value, m4 + v2 * v2
            standard = (value - mean) * scale
            z[k, j] = standard
            q[k, j] = (standard * standard - 1) * square
    sums[0] += m1
    sums[1] += m2
    sums[2] += m3
    sums[3] += m4


@njit(error_model="numpy", fastmath=True)
def product(a, b):
    """Return the sum of a * b."""
    total = 0.0
    for k in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[k, j] * b[k, j]
    return total


@dataclass
class DrawSums:
    """What is kept of the values of one distribution in one precision."""

    values: int = 0
    bins: Any = field(default_factory=lambda: np.zeros(BINS, np.int64))
    tails: Any = field(default_factory=lambda: np.zeros(2, np.int64))
    sums: Any = field(default_factory=lambda: np.zeros(4))
    products: dict[str, float] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)

    def add_product(self, name: str, a: Any, b: Any) -> None:
        self.products[name] = self.products.get(name, 0.0) + product(a, b)
        self.pairs[name] = self.pairs.get(name, 0) + a.size


def draw_sums(kind: str, dtype: str, seed: int, values: int) -> DrawSums:
    """Draw at least `values` numbers, tile by tile, and keep only sums and counts."""
    law, out = LAWS[kind], DrawSums()
    rows = np.empty((STEPS, PATHS), dtype)
    z = np.empty((2, SLOTS, STEPS, PATHS))
    q = np.empty_like(z)
    start = 0
    while out.values < values:
        for number in range(2):
            draws = Draws.of(seed + number, start=start, n=PATHS, dtype=dtype)
            for slot in range(SLOTS):
                draws.fill(kind, 0, rows, slot)
                count(CODES[kind], rows, out.bins, out.tails)
                standardise(rows, law.mean, law.deviation, law.kurtosis,
                            z[number, slot], q[number, slot], out.sums)  # fmt: skip
                out.values += rows.size
        for name, x in (("", z), (" squared", q)):
            for number in range(2):
                for slot in range(SLOTS):
                    tile = x[number, slot]
                    out.add_product("path" + name, tile[:, :-1], tile[:, 1:])
                    out.add_product("step" + name, tile[:-1], tile[1:])
                out.add_product("slot" + name, x[number, 0], x[number, 1])
            for slot in range(SLOTS):
                out.add_product("seed" + name, x[0, slot], x[1, slot])
        start += PATHS
    return out


def report(kind: str, dtype: str, seed: int, found: DrawSums) -> dict[str, float]:
    """Print what was found, and return the p-value of every test by its name."""
    law, n = LAWS[kind], found.values
    p: dict[str, float] = {}

    def score(name: str, z: float) -> str:
        p[name] = math.erfc(abs(z) / math.sqrt(2))
        return f"{name} {z:+.2f}"

    difference = np.cumsum(found.bins) / n - np.arange(1, BINS + 1) / BINS
    distance = float(np.abs(difference).max())
    p["KS"] = float(special.kolmogorov(distance * math.sqrt(n)))
    coarse = found.bins.reshape(COARSE, -1).sum(axis=1)
    statistic = float(((coarse - n / COARSE) ** 2).sum() * COARSE / n)
    p["chi2"] = float(stats.chi2.sf(statistic, COARSE - 1))
    moments = []
    for k, total in enumerate(found.sums, start=1):
        error = math.sqrt((law.moments[2 * k] - law.moments[k] ** 2) / n)
        moments.append(score(f"m{k}", (total / n - law.moments[k]) / error))
    tails = [
        score(name, (seen - n * chance) / math.sqrt(n * chance)) + f" ({seen})"
        for (name, chance), seen in zip(law.tails, found.tails, strict=True)
    ]
    print(f"{kind}, {dtype}, {n:,} values, seeds {seed} and {seed + 1}")
    print(f"  KS D = {distance:.3g}, p = {p['KS']:.3f}; chi-square over {COARSE} bins, "
          f"p = {p['chi2']:.3f}")  # fmt: skip
    print("  moments, z:          " + "  ".join(moments))
    print("  tails, z (count):    " + "  ".join(tails))
    for suffix, title in (("", "correlations, z:     "), (" squared", "  of squares, z:     ")):
        scores = [
            score(name + suffix, found.products[name + suffix] / math.sqrt(found.pairs[name]))
            for name in PAIRS
        ]
        # The number of pairs is the variance of the sum: standardised products have variance 1.
        print(f"  {title}" + "  ".join(text.replace(suffix, "") for text in scores), flush=True)
    return p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=float, default=1e9, help="numbers per table")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    print(f"tiles of {STEPS} steps, {PATHS} paths, {SLOTS} slots, 2 seeds of its own per table\n")
    p: dict[str, float] = {}
    for number, (dtype, kind) in enumerate(itertools.product(("float64", "float32"), LAWS)):
        seed = options.seed + 2 * number
        one = report(kind, dtype, seed, draw_sums(kind, dtype, seed, int(options.values)))
        p |= {f"{kind} {dtype} {name}": value for name, value in one.items()}
    bound = LEVEL / len(p)
    worst = min(p, key=lambda name: p[name])
    z = special.ndtri(1 - bound / 2)
    print(f"\n{len(p)} tests in {time.monotonic() - began:.0f} s. At level {LEVEL:g} for all "
          f"together, each may have |z| up to {z:.2f} (p down to {bound:.2g}).")  # fmt: skip
    print(f"least p: {p[worst]:.2g} ({worst}); expected of that many: about {1 / len(p):.2g}")
    print("all within chance" if p[worst] >= bound else "NOT within chance")


if __name__ == "__main__":
    main()
