"""`live`: a stream that one watches, in a notebook or a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from montezarr.core.checks import check_real, type_error, value_error
from montezarr.execute.progress import kernel
from montezarr.monitor.display._interrupt import interrupt_calls
from montezarr.monitor.display._notebook import Notebook
from montezarr.monitor.display._terminal import Terminal
from montezarr.monitor.display._view import LiveView
from montezarr.monitor.display._watched import Watched
from montezarr.reduction.streaming import Snapshot, Stream

__all__ = ["live"]


def live(stream: Stream, *, name: str | None = None, every: float = 0.5) -> Iterator[Snapshot]:
    """Yield the snapshots of a stream, and show meanwhile how far it is.

    In a notebook it is one figure, drawn again in its place: the estimate against the number of
    paths with its 95 % interval and confidence sequence, as `montezarr.plot.convergence` has it,
    and the histogram if the stream has one; below it speed, time left and what will stop it, and a
    button that stops it now. In a terminal it is a line of text, written again in its place, or a
    line every few seconds where the output goes to a file.

    The button, and Ctrl-C or the interrupt button of the notebook, call `Stream.stop`: the loop
    ends with the snapshot of all paths drawn so far. Interrupting a second time raises
    KeyboardInterrupt, as ever. The button works while the cell runs where the kernel answers
    messages in a subshell, that is with ipykernel 7 and JupyterLab 4.4 or newer.

    Parameters
    ----------
    stream : Stream
        What `montezarr.stream` returned.
    name : str, optional
        The result to show, such as ``"payoff_mean"``: one number with a standard error. By default
        the first one that there is.
    every : float
        Seconds between two pictures at least, > 0; more where drawing them would take more than a
        tenth of one processor.

    Yields
    ------
    Snapshot
        Those of the stream, all of them.

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
    return _watch(stream, name, pause)


def _watch(stream: Stream, name: str | None, every: float) -> Iterator[Snapshot]:
    watched = Watched(stream._run, name)
    where: Any = kernel()
    view: LiveView = Terminal(watched, every)
    if where is not None:
        view = Notebook(watched, every, where, stream.stop)
    with interrupt_calls(stream.stop), view:
        for snapshot in stream:
            watched.add(snapshot)
            view.update(is_last=snapshot.stopped is not None)
            yield snapshot
