"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.statistics._base import Estimate as Estimate
from montezarr.statistics._base import Sample as Sample
from montezarr.statistics._base import Source as Source
from montezarr.statistics._base import Statistic as Statistic
from montezarr.statistics._sums import tree_sum as tree_sum
from montezarr.statistics.autocorrelation import Autocorrelation as Autocorrelation
from montezarr.statistics.contrast import Contrast as Contrast
from montezarr.statistics.count import Count as Count
from montezarr.statistics.covariance import Covariance as Covariance
from montezarr.statistics.drawdown import Drawdown as Drawdown
from montezarr.statistics.exceedance import Exceedance as Exceedance
from montezarr.statistics.expected_shortfall import ExpectedShortfall as ExpectedShortfall
from montezarr.statistics.extrema import Extrema as Extrema
from montezarr.statistics.first_passage import FirstPassage as FirstPassage
from montezarr.statistics.histogram import Histogram as Histogram
from montezarr.statistics.mean import Mean as Mean
from montezarr.statistics.moments import Moments as Moments
from montezarr.statistics.proportion import Proportion as Proportion
from montezarr.statistics.quantile import Quantile as Quantile
from montezarr.statistics.sobol_indices import SobolIndices as SobolIndices
from montezarr.statistics.standard_deviation import StandardDeviation as StandardDeviation
from montezarr.statistics.time_average import TimeAverage as TimeAverage
from montezarr.statistics.variance import Variance as Variance
from montezarr.statistics.variance_shares import VarianceShares as VarianceShares
