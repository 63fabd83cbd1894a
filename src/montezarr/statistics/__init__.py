"""Statistics that fold any number of paths in bounded memory; a new one is one file and a line."""

from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._labels import Labels, label_coordinate
from montezarr.statistics._names import statistics_of
from montezarr.statistics._sums import tree_sum
from montezarr.statistics.autocorrelation import Autocorrelation
from montezarr.statistics.count import Count
from montezarr.statistics.covariance import Covariance
from montezarr.statistics.drawdown import Drawdown
from montezarr.statistics.exceedance import Exceedance
from montezarr.statistics.expected_shortfall import ExpectedShortfall
from montezarr.statistics.extrema import Extrema
from montezarr.statistics.first_passage import FirstPassage
from montezarr.statistics.histogram import Histogram
from montezarr.statistics.mean import Mean
from montezarr.statistics.moments import Moments
from montezarr.statistics.proportion import Proportion
from montezarr.statistics.quantile import Quantile
from montezarr.statistics.standard_deviation import StandardDeviation
from montezarr.statistics.time_average import TimeAverage
from montezarr.statistics.variance import Variance

BUILT_IN: dict[str, type[Statistic]] = {
    kind.__name__: kind
    for kind in (
        Autocorrelation,
        Count,
        Covariance,
        Drawdown,
        Exceedance,
        ExpectedShortfall,
        Extrema,
        FirstPassage,
        Histogram,
        Mean,
        Moments,
        Proportion,
        Quantile,
        StandardDeviation,
        TimeAverage,
        Variance,
    )
}
"""Every built-in statistic by name; saved states may name only these."""

__all__ = [
    "BUILT_IN",
    "Autocorrelation",
    "Count",
    "Covariance",
    "Drawdown",
    "Estimate",
    "Exceedance",
    "ExpectedShortfall",
    "Extrema",
    "FirstPassage",
    "Histogram",
    "Labels",
    "Mean",
    "Moments",
    "Proportion",
    "Quantile",
    "Sample",
    "Source",
    "StandardDeviation",
    "Statistic",
    "TimeAverage",
    "Variance",
    "label_coordinate",
    "statistics_of",
    "tree_sum",
]
