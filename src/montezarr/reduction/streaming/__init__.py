"""`stream`: statistics of a growing number of paths, until they are accurate enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool, check_int, value_error
from montezarr.core.deprecated import renamed_argument
from montezarr.core.parameters import shortened
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import PartialState
from montezarr.reduction.passes._prepare import prepare
from montezarr.reduction.sources import PATH, DrawnBlocks
from montezarr.reduction.streaming._run import StreamRun
from montezarr.reduction.streaming._snapshot import Snapshot
from montezarr.reduction.streaming._state import load
from montezarr.reduction.streaming._stream import Stream
from montezarr.reduction.streaming._until import (
    PathCount,
    Seconds,
    StandardError,
    Until,
    check_until,
)

__all__ = ["PathCount", "Seconds", "Snapshot", "StandardError", "Stream", "Until", "stream"]


@renamed_argument("observe", "transform")
def stream(
    obj: Any,
    statistics: Any,
    until: Until | None = None,
    dim: str = PATH,
    *,
    by: Any = None,
    transform: Callable[[xr.Dataset], Any] | None = None,
    every: int | None = None,
    progress: bool = False,
    resume_from: Any = None,
) -> Stream:
    """Return an iterator of snapshots of statistics while paths are drawn, until a rule is met.

    Snapshots are taken at path counts that are fixed in advance: four per doubling of the number of
    paths, from 1024 on, or multiples of `every`. The rule is evaluated only there, so the path
    count at which it stops, and the bits there, depend neither on the backend nor on the number of
    workers. A run with ``simulate(n_paths=None)`` ends only by the rule or `Stream.stop`: a stop by
    hand has no reproducible path count, but its bits are those of any run of that many paths.

    Parameters
    ----------
    obj : DataArray or Dataset
        As for `montezarr.reduce`.
    statistics : Statistic, str, or sequence of them
        As for `montezarr.reduce`, except those that take further passes, such as exact quantiles.
    until : Until, optional
        ``mz.StandardError(abs, rel)``, ``mz.PathCount(n)`` or ``mz.Seconds(s)``, or several,
        combined with ``|`` (either) and ``&`` (both). None continues to the last path.
    dim, by, transform
        As for `montezarr.reduce`.
    every : int, optional
        Paths between two snapshots, rounded up to whole blocks of 1024.
    progress : bool
        Show paths per second and time left on standard error.
    resume_from : str or path, optional
        File of `Snapshot.save`: the stream continues from there, with the bits of one that was
        never interrupted. The other arguments must be those of the first call.

    Returns
    -------
    Stream
        Iterator of `Snapshot`: results of all paths so far, with standard errors and confidence
        sequences; speed, time left, predicted number of paths still needed. The last one has the
        reason of the stop. ``stop()`` ends it from another thread or a signal handler.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, MemoryBudgetError
        For arguments that are not as described here, at the call.
    SamplerError
        If the sampler fails.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=None, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    >>> for snapshot in mz.stream(payoff, "mean", until=mz.StandardError(abs=0.05)):
    ...     pass
    >>> snapshot.paths, round(snapshot["payoff_mean_se"].item(), 3)
    (81920, 0.049)
    """
    rule = check_until(until)
    show = check_bool("progress", progress)
    step = None if every is None else -(-check_int("every", every, minimum=1) // BLOCK) * BLOCK
    block_source, layout = prepare(obj, statistics, dim, by, transform)
    for reduced in layout.accumulator.reduced_variables:
        for statistic in reduced.statistics:
            if not statistic.is_one_pass:
                raise value_error(
                    "statistics", "statistics of one pass, so no exact quantiles, in a stream",
                    statistic, "Take it of all paths, with montezarr.reduce.",
                )  # fmt: skip
    if rule is not None:
        rule.check([name for name, _ in layout.results()])
    if block_source.n_paths is None and rule is None:
        raise value_error(
            "until", "a rule, since the number of paths is None", None, "Pass mz.PathCount(10**6)."
        )
    header = {
        "recipe": shortened(block_source.run.recipe)[0]
        if isinstance(block_source, DrawnBlocks)
        else {},
        "key": block_source.key(),
        **layout.identity(),
    }
    partial_state = (
        PartialState()
        if resume_from is None
        else load(resume_from, header, layout.accumulator, layout.dataset)
    )
    if partial_state.paths % BLOCK and partial_state.paths != block_source.n_paths:
        raise value_error(
            "resume_from", "a state that ends with a block of 1024 paths", partial_state.paths,
            "It is that of a finished run of another length.",
        )  # fmt: skip
    if block_source.n_paths is not None and partial_state.paths > block_source.n_paths:
        raise value_error(
            "resume_from", f"at most {block_source.n_paths} paths", partial_state.paths
        )
    return Stream(StreamRun(block_source, layout, rule, step, show, header, partial_state))
