"""`histogram`: the distribution of one value per path, with its closed form if known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_bool, type_error, value_error
from montezarr.core.tunables.limits import PLOT_SUMMED_INTEGERS_MAX
from montezarr.plot import _data as given
from montezarr.plot._bins import check_range, edges_for
from montezarr.plot._closed_form import ClosedForm, closed_form_of
from montezarr.plot._facets import Drawing, Facets, Legend
from montezarr.plot._figure import (
    ORANGE,
    count_in_thousands,
    label_of,
    per,
    shade,
)
from montezarr.plot._hue import Hue, line_entry
from montezarr.plot._parameters import AxesOptions, check_bins, describe_shared
from montezarr.reduction.sources import PATH, TIME
from montezarr.reduction.streaming import Snapshot
from montezarr.statistics import Histogram

FINE = 512
"""Points at which a closed form is drawn."""


CLOSED_FORM = "closed form"
POINTS = {"linestyle": "", "marker": "o", "markersize": 3.5}
DASHES = {"linewidth": 1.0, "linestyle": (0, (4, 2))}
"""Styles of a closed form: of probabilities; of a density over outlines of several colours."""

HEADROOM = 1.2
"""Height of the Axes relative to the highest bar; the legend stands above that."""


class Counted(NamedTuple):
    """Counts in bins: edges (bins + 1,), counts (bins,), and the total, with values outside."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    total: int

    def heights(self, density: bool) -> NDArray[np.float64]:
        """Return densities, which integrate to the share inside the bins, or counts."""
        if not density:
            return self.counts.astype(np.float64)
        return self.counts / (max(1, self.total) * np.diff(self.edges))


@describe_shared
def histogram(
    data: Any,
    *,
    bins: int = 80,
    range: Any = None,
    time: Any = None,
    density: bool = True,
    hue: str | None = None,
    col: str | None = None,
    row: str | None = None,
    col_wrap: int | None = None,
    sharey: bool = True,
    ax: Any = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> Any:
    """Draw the histogram of one value per path, and the exact distribution if it is known.

    All paths are counted in one pass. The closed form is drawn over it if the values are those of
    a process at one time, from a common initial state, and the process states their distribution:
    it has a method ``density(x, t, x0)`` or ``probability(k, t, x0)``, as some processes of the
    package have, and yours may. Values count as those
    of the process if they are selected from its paths, not computed from them, and the first ones
    equal what it draws. Paths of a store need the recipe of their Dataset:
    ``mz.open(...).mz.plot.histogram(time=1.0)``. Over more than 100,000 integers no closed form is
    drawn.

    Parameters
    ----------
    data : DataArray (path,), Dataset with one such variable, or Snapshot
        One value per path, such as a payoff or ``ds.x.isel(time=-1)``; with `time` also (path,
        time); also with the dimensions of `hue`, `col`, `row`. Or results of `montezarr.stream`
        or `montezarr.reduce` with one ``<variable>_histogram`` (bin,), whose bins are used
        instead of `bins` and `range`.
    {bins}
    {range}
        The legend says how many values lie outside.
    time : float or date, optional
        The time to take, one of those that `data` has.
    density : bool
        Whether heights are densities, in units of the value to the power -1; otherwise they are
        numbers of paths.
    {hue}
        The histograms have the same bins, and are outlines.
    {facets}
    {ax_and_texts}

    Returns
    -------
    {axes}

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `data` lacks one value per path, or other arguments are not as described.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=10_000, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> ax = mz.plot.histogram(ds.x.isel(time=-1), range=(0, 300))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['10,000 paths', 'closed form']
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    count = check_bins(bins)
    ends = check_range(range)
    as_density = check_bool("density", density)
    facets = Facets.of(data, options, hue=hue, col=col, row=row, col_wrap=col_wrap, sharey=sharey)
    is_result = given.is_results(data)
    if is_result:
        if time is not None:
            raise value_error("time", "None for a result, whose bins have no time", time)
        array = given.results_in(data, "histogram", ("bin", *facets.dims))
        facets.check(array)
        source = data
        counts = array
    else:
        array = values_at(data, time, further=facets.dims, places=given.PLACES)
        facets.check(array)
        source = given.reduced(array, [Histogram(tuple(edges_for(array, count, ends).tolist()))])
        counts = source["x_histogram"].rename("x")

    def of_one(at: Mapping[str, int]) -> tuple[Counted, ClosedForm | None]:
        exact = None if is_result else closed_form_of(data, array.isel(at))
        return counted_in(source, counts, at), exact

    is_discrete = array.dtype.kind in "iub" and not is_result
    text = "probability" if is_discrete else label_of("probability density", per(array.attrs))
    shown = array.drop_attrs() if is_result else array  # a result holds counts
    labels = (
        label_of(given.display_name(shown), shown.attrs), text if as_density else "number of paths"
    )  # fmt: skip

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        if hue is None:
            counted, exact = of_one(at)
            legend = _draw_filled(ax, counted, exact, as_density)
        else:
            entries = [of_one({**at, hue.dim: i}) for i, _ in enumerate(hue.colours)]
            legend = _draw_outlines(ax, entries, as_density, hue)
            counted = entries[0][0]
        ax.set_xlim(counted.edges[0], counted.edges[-1])
        if not is_result:
            given.name_states(ax.xaxis, array)
        if not as_density:
            count_in_thousands(ax.yaxis)
        return Drawing(*labels, legend, (0.0, HEADROOM * ax.dataLim.y1 or None))

    return facets.draw(options, counts if is_result else array, draw)


def _draw_filled(ax: Any, counted: Counted, exact: ClosedForm | None, density: bool) -> Legend:
    ax.stairs(counted.heights(density), counted.edges, fill=True, color=shade(0.42),
              label=legend_of(counted))  # fmt: skip
    if exact is not None:
        _draw_exact(ax, exact, counted, density)
    return Legend("upper right")


def _draw_outlines(
    ax: Any, entries: Sequence[tuple[Counted, ClosedForm | None]], density: bool, hue: Hue
) -> Legend:
    """Draw an outline for each entry, with its closed form as a thin dashed line over it."""
    for (counted, exact), colour in zip(entries, hue.colours, strict=True):
        ax.stairs(counted.heights(density), counted.edges, color=colour, linewidth=1.6)
        if exact is not None:
            style = {} if exact.is_discrete else DASHES
            _draw_exact(ax, exact, counted, density, color=colour, **style)
    counts = [legend_of(counted) for counted, _ in entries]
    labels = [f"{label}: {text}" for label, text in zip(hue.labels, counts, strict=True)]
    forms = [exact for _, exact in entries if exact is not None]
    style = POINTS if any(form.is_discrete for form in forms) else DASHES
    closed = [line_entry(CLOSED_FORM, **style)] if forms else []
    return Legend("upper right", [*hue.entries(labels), *closed], hue.title)


def values_at(
    data: Any, time: Any = None, name: str = "data", *, further: Sequence[str] = (),
    places: Sequence[str] = (),
) -> xr.DataArray:  # fmt: skip
    """Return one value per path, at a time if one is given, and of further dimensions.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the data have other dimensions, or lack that time.
    """
    if time is None:
        return given.paths_of(data, (PATH, *further), name, places=places)
    if set(getattr(data, "dims", ())) == {PATH, *further}:
        raise value_error("time", "None, since data has no times", time)
    array = given.paths_of(data, (*given.BOTH, *further), name, places=places)
    times = array[TIME].values
    is_date = isinstance(time, (np.datetime64, np.timedelta64))
    if np.ndim(time) != 0 or (is_date and times.dtype.kind in "iuf"):
        raise type_error("time", f"one time like {times[0]!r}", time)
    try:
        place = int(np.abs(times - np.asarray(time, times.dtype)).argmin())
        is_close = times[place] == np.asarray(time, times.dtype)
        if times.dtype.kind in "iuf":  # 3 * 0.1 differs from 0.3 by rounding
            is_close = bool(np.isclose(times[place], float(time), rtol=1e-9, atol=1e-12))
    except (TypeError, ValueError) as error:
        raise value_error("time", f"a time like {times[0]!r}", time) from error
    if not is_close:
        raise value_error("time", f"a time of data; the nearest is {times[place]}", time)
    return array.isel({TIME: place})


def counted_in(data: Any, counts: xr.DataArray, at: Mapping[str, int]) -> Counted:
    """Return the counts of a result at a position, with those outside its bins."""
    ds = data.dataset if isinstance(data, Snapshot) else data
    left, right = counts["bin_left"].values, counts["bin_right"].values
    outside = [f"{counts.name}_histogram_{side}" for side in ("below", "above")]
    values = counts.isel(at).values
    beyond = sum(int(ds[name].isel(at)) for name in outside if name in ds)
    return Counted(np.append(left, right[-1:]), values, int(values.sum()) + beyond)


def legend_of(counted: Counted, label: str = "paths") -> str:
    """Return the number of paths and the share outside the bins."""
    outside = counted.total - int(counted.counts.sum())
    text = f"{counted.total:,} {label}"
    return text if outside == 0 else f"{text}, {100 * outside / counted.total:.2g}% outside"


def _draw_exact(
    ax: Any, exact: ClosedForm, counted: Counted, density: bool, **options: Any
) -> None:
    """Draw a density as a line, probabilities as points at the centres of their bins."""
    edges = counted.edges
    if exact.is_discrete and edges[-1] - edges[0] > PLOT_SUMMED_INTEGERS_MAX:
        return
    width = edges[1] - edges[0]  # all bins have this width, or no closed form is drawn
    scale = 1.0 if density else counted.total * width
    if exact.is_discrete:
        values = np.arange(np.ceil(edges[0]), np.floor(edges[-1]) + 1)
        inside, _ = np.histogram(values, edges, weights=exact.function(values))
        heights = scale * inside / width
        style = POINTS
        x = (edges[:-1] + edges[1:]) / 2
        heights = np.where(heights > 0, heights, np.nan)
    else:
        x = np.linspace(edges[0], edges[-1], FINE)
        heights = scale * exact.function(x)
        style = {"linewidth": 1.8}
        if not np.isfinite(heights).all():  # at the initial time, or without noise
            return
    ax.plot(x, heights, **{"color": ORANGE, "label": CLOSED_FORM, **style, **options})
