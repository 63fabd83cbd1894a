"""Pictures of paths and statistics. They need matplotlib: ``pip install "montezarr[plot]"``.

No picture loads all paths. Bands, counts and means are computed in one pass by montezarr's own
statistics, in the memory that ``mz.plan(data, statistics)`` states; single paths are drawn, or
read, one by one.
"""

from montezarr.plot._compare import compare
from montezarr.plot._convergence import convergence
from montezarr.plot._density import density
from montezarr.plot._fan import BANDS as BANDS
from montezarr.plot._fan import fan, save_fan
from montezarr.plot._figure import figure, require
from montezarr.plot._histogram import histogram
from montezarr.plot._paths import paths
from montezarr.plot._trace import Trace

__all__ = [
    "Trace",
    "compare",
    "convergence",
    "density",
    "fan",
    "figure",
    "histogram",
    "paths",
    "require",
    "save_fan",
]
