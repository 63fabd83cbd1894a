"""`density`: the distribution of paths at each time, as a map over time and value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_bool, type_error
from montezarr.core.optional import import_optional
from montezarr.plot import _data as given
from montezarr.plot._bins import check_range, edges_for
from montezarr.plot._facets import Drawing, Facets
from montezarr.plot._figure import edges_of, label_of, per
from montezarr.plot._hue import Hue
from montezarr.plot._parameters import AxesOptions, check_bins, describe_shared
from montezarr.statistics import Histogram

COLOURS = "Blues"
"""Colour map from light to dark: safe for the colour-blind, and in print."""

DARKEST = 0.8
"""Share of the times whose peak is within the colour scale; early times may be far higher."""

DECADES = 5
"""Powers of ten of a logarithmic colour scale."""


@describe_shared
def density(
    data: Any,
    *,
    bins: int = 60,
    range: Any = None,
    log: bool = False,
    col: str | None = None,
    row: str | None = None,
    col_wrap: int | None = None,
    sharey: bool = True,
    ax: Any = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> Any:
    """Draw a map of the density of the values at each time.

    All paths are counted in one pass, in the same bins at all times. At each time the density
    integrates to the share of the paths inside the bins.

    Parameters
    ----------
    data : DataArray (path, time), Dataset with one such variable, or Snapshot
        Paths, lazy or not, also with the dimensions of `col` and `row`; or results of
        `montezarr.stream` or `montezarr.reduce` with one ``<variable>_histogram`` (time, bin),
        whose bins are used instead of `bins` and `range`.
    {bins}
    {range}
    log : bool
        Whether the colour scale is logarithmic, which shows the tails.
    {facets}
    {ax_and_texts}

    Returns
    -------
    {axes}
        They have one colour bar. Without `log`, the colour scale ends at a density that at most a
        fifth of the times exceed, since all paths start at one value.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `data` lacks the dims path and time, or other arguments are not as described.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=12, dt=1 / 12, seed=42)
    >>> ax = mz.plot.density(ds, bins=40, range=(-3, 3))
    >>> ax.collections[0].get_array().shape  # bins by times
    (40, 13)
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    count = check_bins(bins)
    ends = check_range(range)
    is_log = check_bool("log", log)
    facets = Facets.of(data, options, col=col, row=row, col_wrap=col_wrap, sharey=sharey)
    is_discrete = False
    if given.is_results(data):
        values = given.results_in(data, "density", ("time", "bin", *facets.dims))
        facets.check(values)
        # Attributes of the value do not apply to its density.
        source = values.drop_attrs(deep=False)
        times, time_attrs = _times_of(source)
    else:
        source = given.paths_of(data, (*given.BOTH, *facets.dims), places=given.PLACES[1:])
        facets.check(source)
        times, time_attrs = _times_of(source)
        edges = edges_for(source, count, ends)
        values = given.reduced(source, [Histogram(tuple(edges.tolist()))])["x_density"]
        is_discrete = source.dtype.kind in "iub"
    text = "probability" if is_discrete else label_of("probability density", per(source.attrs))
    labels = label_of("time", time_attrs), label_of(given.display_name(source), source.attrs)
    scale, extend = _scale_of(values, is_log)
    look = {"label": text, "extend": extend, "pad": 0.02}

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        mesh = _draw_map(ax, times, values.isel(at), scale)
        given.name_states(ax.yaxis, source)
        return Drawing(*labels, colours=(mesh, look))

    return facets.draw(options, values, draw)


def _times_of(array: xr.DataArray) -> tuple[Any, dict[str, Any]]:
    """Return times as numbers or dates, so that the cells of the map have widths."""
    times, attrs = given.times_of(array)
    if times.dtype.kind not in "iufMO":
        raise type_error("data", "times that are numbers or dates", times.dtype)
    return times, attrs


def _scale_of(values: xr.DataArray, is_log: bool) -> tuple[Any, str]:
    """Return the scale of colours of all maps, and the ends at which the bar goes on."""
    colors = import_optional("matplotlib.colors", extra="plot", purpose="A plot")
    shown, peaks = _shown(values.values), values.max("bin").values
    top = float(peaks.max(initial=0.0))
    if not top > 0:
        top = 1.0
    if is_log:
        least = top * 10.0**-DECADES
        if shown.count():  # otherwise no path is inside the bins
            least = max(least, float(shown.min()))
        return colors.LogNorm(least, top), "neither"
    dark = float(np.quantile(peaks, DARKEST)) or top
    return colors.Normalize(0.0, dark), "max" if top > dark else "neither"


def _shown(table: NDArray[Any]) -> Any:
    """Return densities of which cells without paths are masked."""
    return np.ma.masked_less_equal(np.nan_to_num(table), 0.0)


def _draw_map(ax: Any, times: Any, values: xr.DataArray, scale: Any) -> Any:
    """Draw a map, whose cells without paths stay white."""
    table = values.transpose("bin", "time").values
    edges = np.append(values["bin_left"].values, values["bin_right"].values[-1])
    mesh = ax.pcolormesh(
        edges_of(times), edges, _shown(table), cmap=COLOURS, norm=scale, linewidth=0
    )
    mesh.set_rasterized(True)  # thousands of cells would make a large vector file
    return mesh
