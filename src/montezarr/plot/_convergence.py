"""`convergence`: an estimate and its intervals against the number of paths."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from montezarr.core.checks import check_real, type_error, value_error
from montezarr.plot._figure import (
    BLUE,
    ORANGE,
    count_in_thousands,
    label_of,
    shade,
)
from montezarr.plot._parameters import AxesOptions, describe_shared
from montezarr.plot._trace import Trace
from montezarr.reduction.streaming import Snapshot, Stream

SETTLED = 4
"""From this multiple of the first snapshot's paths on, the bands are shown whole."""


@describe_shared
def convergence(
    stream: Any,
    name: str | None = None,
    *,
    target: float | None = None,
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
        The result, such as ``"payoff_mean"``, one number with a standard error; required if
        there are several.
    target : float, optional
        A known value to draw a line at.
    {ax_and_texts}

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `stream` gives no snapshots, or `name` is no result of one number.
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
    level = None if target is None else check_real("target", target)
    trace, chosen = _trace(stream, name)
    ax = options.axes()
    draw_trace(ax, trace, chosen, level)
    units = {"units": trace.units[chosen]} if chosen in trace.units else {}
    text = label_of(chosen.replace("_", " "), units)
    return options.finish(ax, xlabel="number of paths", ylabel=text)


def draw_trace(ax: Any, trace: Trace, name: str, target: float | None = None) -> None:
    """Draw the bands, the estimate, and the target over them."""
    paths, estimate = trace.paths, trace.estimate(name)
    low, high = trace.cs_low(name), trace.cs_high(name)
    # Opaque bands, the wider one below, so that the legend shows the visible colours.
    ax.fill_between(
        paths, low, high, color=shade(0.16), linewidth=0, label="95% confidence sequence"
    )
    ax.fill_between(
        paths, trace.low(name), trace.high(name), color=shade(0.42), linewidth=0,
        label="95% interval",
    )  # fmt: skip
    marker = "o" if len(paths) == 1 else None
    ax.plot(paths, estimate, color=BLUE, linewidth=2.0, marker=marker, label="estimate")
    if target is not None:
        ax.axhline(
            target, color=ORANGE, linewidth=1.4, linestyle=(0, (4, 2)), label=f"target {target:.6g}"
        )
    ax.set_xscale("log")
    if len(paths) > 1:
        ax.set_xlim(paths[0], paths[-1])
        if paths[-1] < 10 * paths[0]:  # labels within one power of ten would overlap
            ax.set_xticks(paths[[0, -1]])
            ax.set_xticks([], minor=True)
            count_in_thousands(ax.xaxis)
        _limit(ax, paths, low, high, estimate, target)
    # On white: with few snapshots the bands reach under the legend.
    ax.legend(loc="upper right", facecolor="white", edgecolor="none", framealpha=0.9)


def _limit(ax: Any, paths: Any, low: Any, high: Any, estimate: Any, target: float | None) -> None:
    """Limit the height to that of later bands: those of the first few paths are far wider."""
    later = paths >= min(SETTLED * paths[0], paths[-1])
    ends = [estimate, low[later], high[later], [estimate[-1] if target is None else target]]
    values = np.concatenate(ends)
    values = values[np.isfinite(values)]
    if values.size and values.min() < values.max():
        margin = 0.05 * (values.max() - values.min())
        ax.set_ylim(values.min() - margin, values.max() + margin)


def _trace(stream: Any, name: Any) -> tuple[Trace, str]:
    """Return the trace of a stream and the checked name of the result to draw."""
    if isinstance(stream, Trace):
        if not len(stream):
            raise value_error("stream", "a trace of one snapshot or more", 0)
        return stream, stream.choose(name)
    if isinstance(stream, Snapshot):
        stream = [stream]
    expected = "snapshots: mz.stream(...), a list of them, or a Trace"
    if isinstance(stream, (str, bytes)) or not isinstance(stream, Iterable):
        raise type_error("stream", expected, stream)
    trace, chosen = Trace(), None
    try:
        for snapshot in stream:
            if not isinstance(snapshot, Snapshot):
                raise type_error("stream", expected, snapshot)
            trace.add(snapshot)
            if chosen is None:
                chosen = trace.choose(name)
    finally:
        if isinstance(stream, (Generator, Stream)):  # a wrong name leaves it unfinished
            stream.close()
    if chosen is None:
        raise value_error("stream", "one snapshot or more", 0)
    return trace, chosen
