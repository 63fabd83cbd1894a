"""`compare`: two runs in one picture, with their difference in standard errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import type_error, value_error
from montezarr.plot import _data as given
from montezarr.plot._bins import edges_for, first_ends
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
from montezarr.plot._histogram import Counted, counted_in
from montezarr.plot._hue import BAND_OPACITY, Hue, hue_dim, hue_of, line_entry
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
    counted: list[Counted] | None = None


@describe_shared
def compare(
    a: Any,
    b: Any,
    *,
    labels: Sequence[str] = ("a", "b"),
    quantiles: Sequence[float] = COMPARED_LEVELS,
    hue: str | None = None,
    ax: Any = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> Any:
    """Draw two runs together: bands and medians over time, or histograms of one value per path.

    The title of the legend is the largest difference of their quantiles, in standard errors of a
    difference of independent runs: "none" if all are equal, "not known" if no two that differ have
    a standard error. Two samples of one distribution differ in a given quantile by more than 2 in
    5 % of all cases, and in one of many quantiles more often: 3 is not unusual. Runs of one seed
    differ less.

    Parameters
    ----------
    a, b : DataArray (path, time) or (path,), Dataset with one such variable, or Snapshot
        Paths, lazy or not, at the same times, with `hue` of one dimension more; numbers of paths
        may differ. Or results of
        `montezarr.stream` or `montezarr.reduce` with one ``<variable>_quantile`` (time, quantile).
    labels : (str, str)
        Names of the runs.
    {quantiles}
        A band lies between the outermost two; in histograms they are lines.
    {hue}
        Both runs have it, at the same coordinates; lines of `b` are dashed.
    {ax_and_texts}

    Returns
    -------
    matplotlib Axes

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
    dim = hue_dim(a, hue)
    further = () if dim is None else (dim,)
    dims = (*_dims(a, further), *further)
    arrays: list[xr.DataArray | None] = []
    for name, data in (("a", a), ("b", b)):
        is_result = given.is_results(data)
        if is_result and TIME not in dims:
            raise value_error(name, "one value per path, as a has", data)
        if is_result:
            given.results_in(data, "quantile", (TIME, "quantile", *further), name)
            arrays.append(None)
        else:
            array = given.paths_of(data, dims, name, takes_hue=True)
            given.check_not_labels(array, name)
            arrays.append(array)
    if TIME not in dims:
        sides = _sides_at_once([x for x in arrays if x is not None], levels, dim)
    else:
        sides = [_side(*pair, levels, further) for pair in zip((a, b), arrays, strict=True)]
        first, second = (side.table[TIME].values for side in sides)
        if not np.array_equal(first, second):
            raise value_error("b", f"the {len(first)} times of a", second.tolist())
    colours = None if hue is None or dim is None else _same_entries(sides, hue, dim)
    ax = options.axes()
    draw = _bands if TIME in dims else _histograms
    defaults = draw(ax, sides, names, colours)
    note = f"largest difference: {difference(*sides)}"
    where = "upper left" if TIME in dims else "upper right"
    if colours is None:
        ax.legend(frameon=False, loc=where, title=note, alignment="left")
    else:
        others = [
            line_entry(name, linestyle=dashes, linewidth=1.6)
            for name, (_, dashes) in zip(names, STYLES, strict=True)
        ]
        colours.legend(ax, others, loc=where, title=f"{note}\n{colours.title}")
    return options.finish(ax, **defaults)


def _same_entries(sides: Sequence[Side], hue: str, dim: str) -> Hue:
    """Return the colours of the entries, which both runs have."""
    first, second = (side.table for side in sides)
    if not np.array_equal(_labels(first, hue, dim), _labels(second, hue, dim)):
        wanted = _labels(first, hue, dim).tolist()
        got = _labels(second, hue, dim).tolist()
        raise value_error("b", f"the entries along {dim!r} of a, {wanted}", got)
    return hue_of(first, hue, dim)


def _labels(table: xr.DataArray, hue: str, dim: str) -> NDArray[Any]:
    return np.asarray(table[hue].values if hue in table.coords else np.arange(table.sizes[dim]))


def difference(a: Side, b: Side) -> str:
    """Return the largest difference of quantiles in standard errors of a difference, as text.

    Quantiles without a standard error, such as those of one path or of a constant, are left out.
    """
    gap = np.abs(a.table.values - b.table.values)
    if (gap == 0).all():
        return "none"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = gap / np.hypot(a.error.values, b.error.values)
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
        both = (given.levels_in(x, levels, any_will_do=False) for x in (found, error))
        return Side(*(x.transpose(*dims) for x in both))
    ds = given.reduced(array, [Quantile(tuple(levels.tolist()))])
    table = given.named_as(array, ds["x_quantile"])
    return Side(table.transpose(*dims), ds["x_quantile_se"].transpose(*dims))


def _sides_at_once(
    arrays: list[xr.DataArray], levels: NDArray[np.float64], dim: str | None
) -> list[Side]:
    """Return quantiles and counts of one value per path, in the same bins for both."""
    lows, highs = zip(*(first_ends(array) for array in arrays), strict=True)
    # Use bins of integers only if both are integers.
    widest = next((array for array in arrays if array.dtype.kind == "f"), arrays[0])
    edges = edges_for(widest, BINS, (min(lows), max(highs)))
    out = []
    for array in arrays:
        statistics = [Quantile(tuple(levels.tolist())), Histogram(tuple(edges.tolist()))]
        ds = given.reduced(array, statistics)
        dims = ("quantile",) if dim is None else (dim, "quantile")
        table = given.named_as(array, ds["x_quantile"]).transpose(*dims)
        counted = counted_in(ds, ds["x_histogram"].rename("x"), dim)
        out.append(Side(table, ds["x_quantile_se"].transpose(*dims), counted))
    return out


def _bands(
    ax: Any, sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> dict[str, str]:
    """Draw bands and medians over time; return the labels of the axes."""
    times, time_attrs = given.times_of(sides[0].table)
    levels = sides[0].table["quantile"].values
    share = f"{100 * (levels[-1] - levels[0]):.4g}%"
    for colour, _, name, side, i in _entries(sides, names, hue) if len(levels) > 1 else ():
        table = _of(side.table, i, hue).transpose("quantile", TIME).values
        ax.fill_between(
            times, table[0], table[-1], color=colour, alpha=0.2 if hue is None else BAND_OPACITY,
            linewidth=0, label=f"{name}: {share} of paths",
        )  # fmt: skip
    for colour, dashes, name, side, i in _entries(sides, names, hue):
        table = _of(side.table, i, hue).transpose("quantile", TIME).values
        for level, row in enumerate(table):
            is_median = 2 * level + 1 == len(levels)
            label = f"{name}: median" if is_median else "_quantile"
            ax.plot(times, row, color=colour, linestyle=dashes, label=label,
                    linewidth=2.0 if is_median else 0.8)  # fmt: skip
    limit_times(ax, times)
    return {"xlabel": label_of(TIME, time_attrs), "ylabel": quantity(sides[0].table)}


def _histograms(
    ax: Any, sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> dict[str, str]:
    """Draw a filled histogram and an outlined one, with lines at the quantiles.

    In colours of a further dimension both are outlines.
    """
    for k, (colour, dashes, name, side, i) in enumerate(_entries(sides, names, hue)):
        assert side.counted is not None
        counted = side.counted[i]
        lines = {"color": colour, "linewidth": 1.6}
        if hue is not None:
            lines["linestyle"] = dashes
        elif k == 0:
            lines = {"fill": True, "color": shade(0.3, colour)}
        ax.stairs(counted.heights(True), counted.edges, label=name, **lines)
        levels = _of(side.table, i, hue).values
        ax.vlines(levels, 0.0, 1.0, transform=ax.get_xaxis_transform(), color=colour,
                  linestyle=dashes, linewidth=1.0 if hue is None else 0.6,
                  label=f"{name}: quantiles")  # fmt: skip
        ax.set_xlim(counted.edges[0], counted.edges[-1])
    ax.set_ylim(bottom=0)
    attrs = sides[0].table.attrs
    text = label_of("probability density", per(attrs))
    return {"xlabel": quantity(sides[0].table), "ylabel": text}


def _entries(
    sides: Sequence[Side], names: tuple[str, str], hue: Hue | None
) -> Iterator[tuple[Any, Any, str, Side, int]]:
    """Yield colour, dashes, name, side and position of all that is drawn of the runs."""
    for (own, dashes), name, side in zip(STYLES, names, sides, strict=True):
        for i, colour in enumerate((own,) if hue is None else hue.colours):
            yield colour, dashes, name, side, i


def _of(table: xr.DataArray, position: int, hue: Hue | None) -> xr.DataArray:
    return table if hue is None else table.isel({hue.dim: position})
