"""`convergence`: an estimate and its intervals against the number of paths."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_real, type_error, value_error
from montezarr.plot._facets import Drawing, Facets, Legend
from montezarr.plot._figure import (
    BLUE,
    GREY,
    ORANGE,
    count_in_thousands,
    label_of,
    shade,
)
from montezarr.plot._hue import BAND_OPACITY, Hue, band_entry, line_entry
from montezarr.plot._parameters import AxesOptions, describe_shared
from montezarr.plot._trace import Trace
from montezarr.reduction.streaming import Snapshot, Stream

SETTLED = 4
"""From this multiple of the first snapshot's paths on, the bands are shown whole."""

APART = 3
"""Ratio of numbers of paths whose labels do not overlap."""

SEQUENCE, INTERVAL = "95% confidence sequence", "95% interval"

TARGET = {"linewidth": 1.4, "linestyle": (0, (4, 2))}
"""Style of the line at a known value."""


@describe_shared
def convergence(
    stream: Any,
    name: str | None = None,
    *,
    target: Any = None,
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
    """Draw an estimate against the number of paths, with the 95 % interval and sequence.

    The darker band is the interval at that number of paths alone: that of the statistic if it has
    one, else estimate ± 1.96 standard errors. The lighter band is the confidence sequence, which
    holds at all numbers of paths at once, and so also if the run is stopped after a look at it;
    see `montezarr.Snapshot`.

    Parameters
    ----------
    stream : iterator of Snapshot, sequence of Snapshot, or Trace
        ``mz.stream(...)``, which is run to its end, keeping only a `Trace`; or existing
        snapshots.
    name : str, optional
        The result, such as ``"payoff_mean"``, one number with a standard error, for each entry of
        `hue`, `col` and `row`; required if there are several.
    target : float, or DataArray with some of the further dimensions, optional
        A known value to draw a line at.
    {hue}
        A `Trace` has it if it was made with ``Trace(dims=[...])``.
    {facets}
    {ax_and_texts}

    Returns
    -------
    {axes}

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `stream` gives no snapshots, or `name` is no result of one number per entry.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=16_384, T=4, seed=1)
    >>> ax = mz.plot.convergence(mz.stream(ds.x.isel(time=-1), "mean"), target=0.0)
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'x mean')
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    level = _check_target(target)

    def facets_of(found: Any) -> Facets:
        return Facets.of(
            found, options, hue=hue, col=col, row=row, col_wrap=col_wrap, sharey=sharey
        )  # fmt: skip

    trace, chosen, facets = _trace(stream, name, facets_of)
    array = trace.entries(chosen)
    _check_target_dims(level, array)
    units = {"units": trace.units[chosen]} if chosen in trace.units else {}
    labels = "number of paths", label_of(chosen.replace("_", " "), units)

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        if hue is None:
            legend = _draw_one(ax, trace, chosen, at, _target_at(level, at))
            places = [at]
        else:
            places = [{**at, hue.dim: i} for i, _ in enumerate(hue.colours)]
            legend = _draw_entries(ax, trace, chosen, places, level, hue)
        _set_paths(ax, trace.paths)
        return Drawing(*labels, legend, _height(trace, chosen, places, level))

    return facets.draw(options, array, draw)


def _check_target(target: Any) -> Any:
    if target is None or isinstance(target, xr.DataArray):
        return target
    return xr.DataArray(check_real("target", target))


def _check_target_dims(target: xr.DataArray | None, array: xr.DataArray) -> None:
    """Raise unless a target has the dimensions, and the lengths, of a result."""
    if target is None:
        return
    for dim, length in target.sizes.items():
        if array.sizes.get(dim) != length:
            raise value_error("target", f"a number for each of {dict(array.sizes)}",
                              dict(target.sizes))  # fmt: skip


def _target_at(target: xr.DataArray | None, at: Mapping[str, int]) -> float | None:
    return None if target is None else float(target.isel(at, missing_dims="ignore"))


Field = Callable[[str], NDArray[np.float64]]


def _at(trace: Trace, name: str, at: Mapping[str, int]) -> Field:
    """Return a function from the name of a field to its values in one entry, (snapshots,)."""
    index = (slice(None), *(at[dim] for dim in trace.dims))
    return lambda field: getattr(trace, field)(name)[index]


def _draw_one(
    ax: Any, trace: Trace, name: str, at: Mapping[str, int], target: float | None
) -> Legend:
    """Draw the bands, the estimate, and the target over them."""
    paths, of = trace.paths, _at(trace, name, at)
    # Opaque bands, the wider one below, so that the legend shows the visible colours.
    ax.fill_between(
        paths, of("cs_low"), of("cs_high"), color=shade(0.16), linewidth=0, label=SEQUENCE
    )
    ax.fill_between(paths, of("low"), of("high"), color=shade(0.42), linewidth=0, label=INTERVAL)
    marker = "o" if len(paths) == 1 else None
    ax.plot(paths, of("estimate"), color=BLUE, linewidth=2.0, marker=marker, label="estimate")
    if target is not None:
        # Of several Axes the legend is one.
        label = "target" if at else f"target {target:.6g}"
        ax.axhline(target, color=ORANGE, label=label, **TARGET)
    # On white: with few snapshots the bands reach under the legend.
    style = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9}
    return Legend("upper right", style=style)


def _draw_entries(
    ax: Any, trace: Trace, name: str, places: Sequence[Mapping[str, int]],
    target: xr.DataArray | None, hue: Hue,
) -> Legend:  # fmt: skip
    """Draw the bands, estimate and target of each entry in its colour."""
    paths = trace.paths
    for at, colour in zip(places, hue.colours, strict=True):
        of = _at(trace, name, at)
        for low, high in (("cs_low", "cs_high"), ("low", "high")):
            ax.fill_between(
                paths, of(low), of(high), color=colour, linewidth=0, alpha=2 * BAND_OPACITY
            )
    for at, colour in zip(places, hue.colours, strict=True):
        marker = "o" if len(paths) == 1 else None
        ax.plot(paths, _at(trace, name, at)("estimate"), color=colour, linewidth=2.0, marker=marker)
        level = _target_at(target, at)
        if level is not None:
            ax.axhline(
                level, color=colour if target is not None and target.ndim else GREY, **TARGET
            )
    others = [
        band_entry(SEQUENCE, 2 * BAND_OPACITY),
        band_entry(INTERVAL, 1 - (1 - 2 * BAND_OPACITY) ** 2),
    ]
    if target is not None:
        others.append(line_entry("target", **TARGET))
    beside = {"bbox_to_anchor": (1.0, 1.0)}  # over the Axes it would hide where lines end
    return Legend("upper left", [*hue.entries(), *others], hue.title, style=beside)


def _set_paths(ax: Any, paths: NDArray[np.int64]) -> None:
    """Set the axis of the numbers of paths."""
    ax.set_xscale("log")
    if len(paths) > 1:
        ax.set_xlim(paths[0], paths[-1])
        if paths[-1] < 100 * paths[0]:  # labels between powers of ten would overlap
            between = 10 ** np.arange(19)
            is_apart = (between >= APART * paths[0]) & (between <= paths[-1] / APART)
            ax.set_xticks([paths[0], *between[is_apart], paths[-1]])
            ax.set_xticks([], minor=True)
            count_in_thousands(ax.xaxis)


def _height(
    trace: Trace, name: str, places: Sequence[Mapping[str, int]], target: xr.DataArray | None
) -> tuple[float | None, float | None]:
    """Return the ends of later bands: those of the first few paths are far wider."""
    paths = trace.paths
    if len(paths) < 2:
        return None, None
    later = paths >= min(SETTLED * paths[0], paths[-1])
    ends = []
    for at in places:
        of, level = _at(trace, name, at), _target_at(target, at)
        values = of("estimate")
        ends += [values, of("cs_low")[later], of("cs_high")[later]]
        ends.append(values[-1:] if level is None else np.array([level]))
    found = np.concatenate(ends)
    found = found[np.isfinite(found)]
    if not found.size or not found.min() < found.max():
        return None, None
    margin = 0.05 * (found.max() - found.min())
    return float(found.min() - margin), float(found.max() + margin)


def _trace(stream: Any, name: Any, facets_of: Callable[[Any], Facets]) -> tuple[Trace, str, Facets]:
    """Return the trace of a stream, the checked name of the result to draw, and its places."""
    if isinstance(stream, Trace):
        if not len(stream):
            raise value_error("stream", "a trace of one snapshot or more", 0)
        chosen = stream.choose(name)
        facets = facets_of(stream.entries(chosen))
        _check_dims(stream, facets)
        return stream, chosen, facets
    if isinstance(stream, Snapshot):
        stream = [stream]
    expected = "snapshots: mz.stream(...), a list of them, or a Trace"
    if isinstance(stream, (str, bytes)) or not isinstance(stream, Iterable):
        raise type_error("stream", expected, stream)
    found: tuple[Trace, str, Facets] | None = None
    try:
        for snapshot in stream:
            if not isinstance(snapshot, Snapshot):
                raise type_error("stream", expected, snapshot)
            if found is None:
                facets = facets_of(snapshot)
                trace = Trace(facets.dims)
                trace.add(snapshot)
                found = trace, trace.choose(name), facets
                facets.check(trace.entries(found[1]))
            else:
                found[0].add(snapshot)
    finally:
        if isinstance(stream, (Generator, Stream)):  # a wrong name leaves it unfinished
            stream.close()
    if found is None:
        raise value_error("stream", "one snapshot or more", 0)
    return found


def _check_dims(trace: Trace, facets: Facets) -> None:
    """Raise unless the entries of a trace are all drawn."""
    if set(trace.dims) != set(facets.dims):
        raise value_error(
            "stream", f"a Trace with dims {facets.dims}, those of hue, col and row", trace.dims
        )
