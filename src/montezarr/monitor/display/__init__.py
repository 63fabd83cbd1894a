"""`live`: show the progress of a stream in a notebook or a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from montezarr.core.checks import check_real, type_error, value_error
from montezarr.execute.progress import kernel
from montezarr.monitor.display._interrupt import interrupt_calls
from montezarr.monitor.display._notebook import Notebook
from montezarr.monitor.display._progress import StreamProgress
from montezarr.monitor.display._terminal import Terminal
from montezarr.monitor.display._view import LiveView
from montezarr.reduction.streaming import Snapshot, Stream

__all__ = ["live"]


def live(stream: Stream, *, name: str | None = None, every: float = 0.5) -> Iterator[Snapshot]:
    """Yield the snapshots of a stream, and show its progress.

    In a notebook, one figure is redrawn in place: the estimate against the number of paths with
    its 95 % interval and confidence sequence, as `montezarr.plot.convergence` draws them, and the
    histogram if the stream has one. Below it are the speed, the time left, the stopping rule, and
    a button that stops the stream. In a terminal, one line of text is rewritten in place; if the
    output goes to a file, a line is written every few seconds.

    The button, and Ctrl-C or the interrupt button of the notebook, call `Stream.stop`: the loop
    ends with the snapshot of all paths drawn so far. A second interrupt raises KeyboardInterrupt as
    usual. The button works while the cell runs if the kernel answers messages in a subshell: with
    ipykernel 7 and JupyterLab 4.4 or newer.

    Parameters
    ----------
    stream : Stream
        What `montezarr.stream` returned.
    name : str, optional
        The result to show, such as ``"payoff_mean"``: one number with a standard error. By default
        the first such result.
    every : float
        Minimum seconds between two pictures, > 0; more if drawing them would take more than a tenth
        of one processor.

    Yields
    ------
    Snapshot
        All snapshots of the stream.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `stream` is no stream, or `name` no such result.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=None, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    >>> stream = mz.stream(payoff, [mz.Mean(), mz.Histogram()], until=mz.StandardError(abs=0.05))
    >>> for snapshot in mz.live(stream):
    ...     pass
    >>> snapshot.paths, snapshot.stopped
    (81920, 'standard errors within 0.05')
    """
    if not isinstance(stream, Stream):
        raise type_error("stream", "what mz.stream(...) returns", stream)
    if name is not None:
        known = stream._run.names
        if not isinstance(name, str):
            raise type_error("name", "the name of a result", name)
        if name not in known:
            raise value_error("name", f"one of {', '.join(known)}", name)
    pause = check_real("every", every, above=0)
    return _show(stream, name, pause)


def _show(stream: Stream, name: str | None, every: float) -> Iterator[Snapshot]:
    progress = StreamProgress(stream._run, name)
    where: Any = kernel()
    view: LiveView = Terminal(progress, every)
    if where is not None:
        view = Notebook(progress, every, where, stream.stop)
    with interrupt_calls(stream.stop), view:
        for snapshot in stream:
            progress.add(snapshot)
            view.update(is_last=snapshot.stopped is not None)
            yield snapshot
