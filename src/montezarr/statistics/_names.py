"""Look up statistics by simple names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from montezarr.core.checks import did_you_mean, type_error, value_error
from montezarr.statistics._base import Statistic
from montezarr.statistics.count import Count
from montezarr.statistics.extrema import Extrema
from montezarr.statistics.mean import Mean
from montezarr.statistics.moments import Moments
from montezarr.statistics.quantile import Quantile
from montezarr.statistics.standard_deviation import StandardDeviation
from montezarr.statistics.variance import Variance

NAMES: dict[str, Statistic] = {
    "count": Count(),
    "mean": Mean(),
    "std": StandardDeviation(),
    "variance": Variance(),
    "var": Variance(),
    "skewness": Moments(),
    "kurtosis": Moments(),
    "min": Extrema(),
    "max": Extrema(),
}


def statistics_of(value: Any) -> tuple[Statistic, ...]:
    """Return statistics for statistics and names; names of quantiles become one statistic.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an entry is neither, or there is none.
    """
    expected = "a statistic such as mz.Mean(), a name such as 'mean' or 'q05', or several of them"
    entries = [value] if isinstance(value, (str, Statistic, type)) else value
    if not isinstance(entries, Sequence):
        raise type_error("statistics", expected, value)
    out: list[Statistic] = []
    levels: list[float] = []
    for entry in entries:
        if isinstance(entry, type) and issubclass(entry, Statistic):
            raise type_error("statistics", expected, entry, f"Call it: {entry.__name__}().")
        if isinstance(entry, Statistic):
            if entry not in out:
                out.append(entry)
        elif not isinstance(entry, str):
            raise type_error("statistics", expected, entry)
        elif entry == "median" or re.fullmatch(r"q(?!100)\d+", entry):
            levels.append(0.5 if entry == "median" else float(f"0.{entry[1:]}"))
        elif entry not in NAMES:
            names = ", ".join(repr(name) for name in [*NAMES, "median"])
            raise value_error(
                "statistics",
                f"one of {names}, or 'q' and digits, such as 'q05', 'q95', 'q995'",
                entry,
                did_you_mean(entry, [*NAMES, "median"]),
            )
        elif NAMES[entry] not in out:
            out.append(NAMES[entry])
    if levels:
        out.append(Quantile(tuple(sorted(set(levels)))))
    if not out:
        raise value_error("statistics", expected, value)
    return tuple(out)
