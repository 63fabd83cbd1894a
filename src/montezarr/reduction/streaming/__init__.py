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
from montezarr.reduction.passes._prepare import prepare_reduction
from montezarr.reduction.sources import PATH, DrawnBlocks
from montezarr.reduction.streaming._run import StreamRun
from montezarr.reduction.streaming._snapshot import Snapshot
from montezarr.reduction.streaming._state import load_state
from montezarr.reduction.streaming._stream import Stream
from montezarr.reduction.streaming._until import (
    PathCount,
    Seconds,
    StandardError,
    Until,
    check_until,
)

__all__ = ["PathCount", "Seconds", "Snapshot", "StandardError", "Stream", "Until", "stream"]


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
    observe: Callable[[xr.Dataset], Any] | None = None,
) -> Stream:
    """Return the snapshots of statistics while paths are drawn, until a rule or their end is met.

    Snapshots come at path counts that are fixed in advance: four times while the number of paths
    doubles, from 1024 on, or at the multiples of `every`. The rule is asked there and nowhere
    else, so where it stops, and the bits at that point, depend neither on the backend nor on the
    number of workers. A run with ``simulate(n_paths=None)`` has no end but the rule, and
    `Stream.stop`: a stop by hand has no reproducible path count, but the bits at that count are
    those of any run of so many paths.

    Parameters
    ----------
    obj : DataArray or Dataset
        As for `montezarr.reduce`.
    statistics : Statistic, str, or sequence of them
        As for `montezarr.reduce`; without those that take further passes, as exact quantiles do.
    until : Until, optional
        ``mz.StandardError(abs, rel)``, ``mz.PathCount(n)`` or ``mz.Seconds(s)``, or several,
        combined with ``|`` (either) and ``&`` (both). None goes on to the last path.
    dim, by, transform, observe
        As for `montezarr.reduce`.
    every : int, optional
        Paths between two snapshots, rounded up to whole blocks of 1024; exact for code of your own
        that draws one path at a time.
    progress : bool
        Show paths per second and time left on standard error.
    resume_from : str or path, optional
        File of `Snapshot.save`: the stream goes on from there, with the bits of one that was never
        interrupted. The other arguments have to be those of the first call.

    Returns
    -------
    Stream
        Iterator of `Snapshot`: results of all paths so far, with standard errors and confidence
        sequences; speed, time left, predicted number of paths still needed. The last one says why
        it is the last. ``stop()`` ends it from another thread or a signal handler.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, MemoryBudgetError
        For arguments out of these terms, at the call.
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
    transform = renamed_argument("observe", observe, "transform", transform)
    rule = check_until(until)
    show = check_bool("progress", progress)
    step = None if every is None else check_int("every", every, minimum=1)
    block_source, layout = prepare_reduction(obj, statistics, dim, by, transform)
    if step is not None:
        step = -(-step // block_source.grain) * block_source.grain
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
            "until",
            "a rule, since the number of paths is None",
            None,
            "Such as mz.PathCount(10**6).",
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
        else load_state(resume_from, header, layout.accumulator, layout.dataset)
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
