"""`compare`: two runs in one picture, with their difference in standard errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import type_error, value_error
from montezarr.plot import _data as given
from montezarr.plot._bins import edges_for, first_ends
from montezarr.plot._facets import Drawing, Facets, Legend
from montezarr.plot._fan import quantity
from montezarr.plot._figure import (
    BLUE,
    ORANGE,
    check_texts,
    label_of,
    limit_times,
    per,
    shade,
)
from montezarr.plot._histogram import counted_in
from montezarr.plot._hue import BAND_OPACITY, Hue, line_entry, values_along
from montezarr.plot._parameters import AxesOptions, describe_shared
from montezarr.reduction.sources import PATH, TIME
from montezarr.statistics import Histogram, Quantile

COMPARED_LEVELS = (0.05, 0.5, 0.95)
BINS = 80
STYLES = ((BLUE, "-"), (ORANGE, (0, (4, 2))))
"""Colour and line of each run; the second is dashed, so that it is visible on the first."""


class Side(NamedTuple):
    """The drawn results of a run: quantiles, standard errors, counts of one value per path."""

    table: xr.DataArray
    error: xr.DataArray
    counts: xr.Dataset | None = None

    def at(self, position: Mapping[str, int]) -> Side:
        """Return the results of one entry."""
        counts = None if self.counts is None else self.counts.isel(position)
        return Side(self.table.isel(position), self.error.isel(position), counts)


@describe_shared
def compare(
    a: Any,
    b: Any,
    *,
    labels: Sequence[str] = ("a", "b"),
    quantiles: Sequence[float] = COMPARED_LEVELS,
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
    """Draw two runs together: bands and medians over time, or histograms of one value per path.

    The title of the legend, or a note on each of several Axes, is the largest difference of their
    quantiles, in standard errors of a
    difference of independent runs: "none" if all are equal, "not known" if no two that differ have
    a standard error. Two samples of one distribution differ in a given quantile by more than 2 in
    5 % of all cases, and in one of many quantiles more often: 3 is not unusual. Runs of one seed
    differ less.

    Parameters
    ----------
    a, b : DataArray (path, time) or (path,), Dataset with one such variable, or Snapshot
        Paths, lazy or not, at the same times, also with the dimensions of `hue`, `col` and `row`;
        numbers of paths may differ. Or results of `montezarr.stream` or `montezarr.reduce` with one
        ``<variable>_quantile`` (time, quantile).
    labels : (str, str)
        Names of the runs.
    {quantiles}
        A band lies between the outermost two; in histograms they are lines.
    {hue}
        Both runs have it, at the same coordinates; lines of `b` are dashed.
    {facets}
        Both runs have these dimensions, at the same coordinates.
    {ax_and_texts}

    Returns
    -------
    {axes}

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If one has other dims than (path, time) or (path,), or holds codes of labels, if their times
        differ, or other arguments are not as described.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> low = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=8, seed=1)
    >>> high = mz.simulate(mz.BrownianMotion(mu=0.1), n_paths=10_000, T=8, seed=2)
    >>> ax = mz.plot.compare(low, high, labels=["no drift", "drift 0.1"])
    >>> ax.get_legend().get_title().get_text()
    'largest difference: 17 standard errors'
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    levels = given.check_band_levels("quantiles", quantiles)
    names = _check_labels(labels)
    facets = Facets.of(a, options, hue=hue, col=col, row=row, col_wrap=col_wrap, sharey=sharey)
    further = facets.dims
    dims = (*_dims(a, further), *further)
    arrays: list[xr.DataArray | None] = []
    for name, data in (("a", a), ("b", b)):
        is_result = given.is_results(data)
        if is_result and TIME not in dims:
            raise value_error(name, "one value per path, as a has", data)
        if is_result:
            found = given.results_in(data, "quantile", (TIME, "quantile", *further), name)
            arrays.append(None)
        else:
            found = given.paths_of(data, dims, name, places=given.PLACES)
            given.check_not_labels(found, name)
            arrays.append(found)
        facets.check(found)
    if TIME not in dims:
        sides = _sides_at_once([x for x in arrays if x is not None], levels)
    else:
        sides = [_side(*pair, levels, further) for pair in zip((a, b), arrays, strict=True)]
        first, second = (side.table[TIME].values for side in sides)
        if not np.array_equal(first, second):
            raise value_error("b", f"the {len(first)} times of a", second.tolist())
    for entry in facets.entries:
        _check_same_entries(sides, *entry)

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        return _draw_both(ax, [side.at(at) for side in sides], names, hue)

    return facets.draw(options, sides[0].table, draw)


def _check_same_entries(sides: Sequence[Side], name: str, dim: str) -> None:
    """Raise unless both runs have the same entries along a dimension."""
    first, second = (values_along(side.table, name, dim) for side in sides)
    if not np.array_equal(first, second):
        raise value_error("b", f"the entries along {dim!r} of a, {first.tolist()}", second.tolist())


def difference(a: Side, b: Side) -> str:
    """Return the largest difference of quantiles in standard errors of a difference, as text.

    Quantiles without a standard error, such as those of one path or of a constant, are left out.
    """
    order = a.table.dims
    gap = np.abs(a.table.values - b.table.transpose(*order).values)
    if (gap == 0).all():
        return "none"
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (side.error.transpose(*order).values for side in (a, b))
        ratio = gap / np.hypot(*errors)
    known = ratio[(gap > 0) & np.isfinite(ratio)]
    return f"{known.max():.2g} standard errors" if known.size else "not known"


def _dims(data: Any, further: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions that both need: (path,) if `a` has one value per path.

    `further` are those that are drawn in colours.
    """
    arrays = data.data_vars.values() if isinstance(data, xr.Dataset) else [data]
    known = [getattr(array, "dims", None) for array in arrays]
    of_one = [set(dims or ()) - set(further) for dims in known]
    return (PATH,) if known and all(dims == {PATH} for dims in of_one) else given.BOTH


def _check_labels(labels: Any) -> tuple[str, str]:
    is_pair = isinstance(labels, Sequence) and not isinstance(labels, str)
    if not is_pair or not all(isinstance(label, str) for label in labels):
        raise type_error("labels", "two texts", labels)
    if len(labels) != 2:
        raise value_error("labels", "two texts", labels)
    for label in labels:
        check_texts(labels=label)
    # matplotlib leaves labels that begin with an underscore out of legends.
    first, second = (f" {label}" if label.startswith("_") else label for label in labels)
    return first, second


def _side(
    data: Any, array: xr.DataArray | None, levels: NDArray[np.float64], further: Sequence[str]
) -> Side:
    """Return quantiles over time, and their standard errors."""
    dims = (*further, TIME, "quantile")
    if array is None:
        found = given.results_in(data, "quantile", dims)
        error = given.results_in(data, "quantile_se", dims)
        return Side(*(given.levels_in(x, levels, any_will_do=False) for x in (found, error)))
    ds = given.reduced(array, [Quantile(tuple(levels.tolist()))])
    return Side(given.named_as(array, ds["x_quantile"]), ds["x_quantile_se"])


def _sides_at_once(arrays: list[xr.DataArray], levels: NDArray[np.float64]) -> list[Side]:
    """Return quantiles and counts of one value per path, in the same bins for both."""
    lows, highs = zip(*(first_ends(array) for array in arrays), strict=True)
    # Use bins of integers only if both are integers.
    widest = next((array for array in arrays if array.dtype.kind == "f"), arrays[0])
    edges = edges_for(widest, BINS, (min(lows), max(highs)))
    out = []
    for array in arrays:
        statistics = [Quantile(tuple(levels.tolist())), Histogram(tuple(edges.tolist()))]
        ds = given.reduced(array, statistics)
        table = given.named_as(array, ds["x_quantile"])
        out.append(Side(table, ds["x_quantile_se"], ds))
    return out


def _draw_both(ax: Any, sides: Sequence[Side], names: tuple[str, str], hue: Hue | None) -> Drawing:
    """Draw two runs, or each entry of a hue of both."""
    of_time = TIME in sides[0].table.dims
    labels = (_bands if of_time else _histograms)(ax, sides, names, hue)
    loc, note = (
        "upper left" if of_time else "upper right",
        f"largest difference: {difference(*sides)}",
    )
    height = (None, None) if of_time else (0.0, None)
    if hue is None:
        return Drawing(*labels, Legend(loc, note=note), height)
    styles = [
        line_entry(name, linestyle=dashes, linewidth=1.6)
        for name, (_, dashes) in zip(names, STYLES, strict=True)
    ]
    legend = Legend(loc, [*hue.entries(), *styles], hue.title, note)
    return Drawing(*labels, legend, height)


def _bands(
    ax: Any, sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> tuple[str, str]:
    """Draw bands and medians over time; return the labels of the axes."""
    times, time_attrs = given.times_of(sides[0].table)
    levels = sides[0].table["quantile"].values
    share = f"{100 * (levels[-1] - levels[0]):.4g}%"
    for colour, _, name, side in _entries(sides, names, hue) if len(levels) > 1 else ():
        table = side.table.transpose("quantile", TIME).values
        ax.fill_between(
            times, table[0], table[-1], color=colour, alpha=0.2 if hue is None else BAND_OPACITY,
            linewidth=0, label=f"{name}: {share} of paths",
        )  # fmt: skip
    for colour, dashes, name, side in _entries(sides, names, hue):
        table = side.table.transpose("quantile", TIME).values
        for level, row in enumerate(table):
            is_median = 2 * level + 1 == len(levels)
            label = f"{name}: median" if is_median else "_quantile"
            ax.plot(times, row, color=colour, linestyle=dashes, label=label,
                    linewidth=2.0 if is_median else 0.8)  # fmt: skip
    limit_times(ax, times)
    return label_of(TIME, time_attrs), quantity(sides[0].table)


def _histograms(
    ax: Any, sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> tuple[str, str]:
    """Draw a filled histogram and an outlined one, with lines at the quantiles.

    In colours of a further dimension both are outlines.
    """
    for k, (colour, dashes, name, side) in enumerate(_entries(sides, names, hue)):
        assert side.counts is not None
        counted = counted_in(side.counts, side.counts["x_histogram"].rename("x"), {})
        lines = {"color": colour, "linewidth": 1.6}
        if hue is not None:
            lines["linestyle"] = dashes
        elif k == 0:
            lines = {"fill": True, "color": shade(0.3, colour)}
        ax.stairs(counted.heights(True), counted.edges, label=name, **lines)
        ax.vlines(side.table.values, 0.0, 1.0, transform=ax.get_xaxis_transform(), color=colour,
                  linestyle=dashes, linewidth=1.0 if hue is None else 0.6,
                  label=f"{name}: quantiles")  # fmt: skip
        ax.set_xlim(counted.edges[0], counted.edges[-1])
    text = label_of("probability density", per(sides[0].table.attrs))
    return quantity(sides[0].table), text


def _entries(
    sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> Iterator[tuple[Any, Any, str, Side]]:
    """Yield colour, dashes, name and results of all that is drawn of the runs."""
    for (own, dashes), name, side in zip(STYLES, names, sides, strict=True):
        if hue is None:
            yield own, dashes, name, side
            continue
        for i, colour in enumerate(hue.colours):
            yield colour, dashes, name, side.at({hue.dim: i})
