"""`reduce`: many statistics of any number of paths, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool, value_error
from montezarr.core.deprecated import renamed_argument
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.reduction.passes._layout import Layout, layout_of
from montezarr.reduction.passes._lazily import lazily
from montezarr.reduction.passes._passes import run_all
from montezarr.reduction.passes._prepare import memory_of, planned, prepare_reduction
from montezarr.reduction.sources import PATH
from montezarr.statistics._spans import shared_orders

__all__ = ["Layout", "layout_of", "memory_of", "prepare_reduction", "reduce"]


def reduce(
    obj: Any,
    statistics: Any,
    dim: str = PATH,
    *,
    by: Any = None,
    transform: Callable[[xr.Dataset], Any] | None = None,
    compute: bool = True,
    show_progress: bool = False,
    observe: Callable[[xr.Dataset], Any] | None = None,
) -> xr.Dataset:
    """Return statistics over all paths, taken in one pass of bounded memory.

    The result is the same, bit for bit, whatever the chunks, the backend and the number of workers
    are: blocks of 1024 paths are folded one by one, and merged along one fixed tree.

    Paths of `simulate` are drawn when needed, a few blocks at a time in each worker; so are xarray
    expressions of them that treat all paths alike. Other lazy arrays are computed chunk by chunk
    (`plan` says which). Sums over other dimensions in such an expression are NumPy's, whose last
    bits depend on the layout of a chunk; `transform` always gets the same layout.

    The reduction runs on the backend of the enclosing ``with`` block, or on the one that suits the
    sampler.

    Parameters
    ----------
    obj : DataArray or Dataset
        Simulated, opened from a store, computed from either by xarray, or in memory. Variables
        without paths are left out.
    statistics : Statistic, str, sequence of them, or mapping of str to any of these
        Such as ``[mz.Mean(), mz.Quantile([0.05, 0.95])]`` or ``["mean", "std", "q05"]``, of every
        variable; or of some by name, ``{"payoff": ["mean", "q99"], "x": "mean"}``. Names:
        count, mean, std, variance (or var), skewness, kurtosis, min, max, median, and q with the
        digits after "0.": q05 is the 0.05-quantile.
    dim : str
        The dimension of the paths.
    by : str or DataArray, optional
        The variable with the group of each path, or of each path and time: integers, labels or
        booleans. The result gets a dimension of its name. Memory and time grow with the
        number of groups.
    transform : function, optional
        Applied before the statistics: a function from a Dataset in memory, with some of the paths
        of `obj`, to a Dataset or DataArray of the same paths. It must treat every path alike.
        In its variables ``path`` is the first dimension, before those of scenarios.
    compute : bool
        False returns the result as lazy arrays, computed together when one of them is.
    show_progress : bool
        Show paths per second and time left on standard error.
    observe : function, optional
        The earlier name of `transform`; deprecated.

    Returns
    -------
    Dataset
        ``<variable>_<statistic>`` and ``<variable>_<statistic>_se`` for each variable and
        statistic (see there), and ``<variable>_nonfinite``, the number of values that are not
        finite or masked, which are left out. Further dimensions such as ``quantile`` keep their
        name where all statistics agree on the coordinate; else they become
        ``<variable>_<statistic>_<dimension>``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that are not as described here.
    MemoryBudgetError
        If the states of the statistics do not fit into memory.
    SamplerError
        If the sampler fails; the error is that of the lowest failing path.

    Warns
    -----
    MontezarrWarning
        If values are not finite.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=100_000, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    >>> found = mz.reduce(payoff, ["mean", "q95"])
    >>> round(found.payoff_mean.item(), 2), round(found.payoff_mean_se.item(), 3)
    (8.43, 0.044)
    """
    transform = renamed_argument("observe", observe, "transform", transform)
    check_bool("compute", compute)
    show = check_bool("show_progress", show_progress)
    prepared = prepare_reduction(obj, statistics, dim, by, transform)
    if not compute:
        return lazily(*prepared)
    block_source, layout = prepared
    if block_source.n_paths is None:
        raise value_error(
            "obj", "a Dataset with a number of paths", None,
            "It was simulated with n_paths=None: use montezarr.stream, which stops by itself.",
        )  # fmt: skip
    with RunMonitor("reduce", Progress("reduce", enabled=show)) as monitor:
        monitor.process = block_source.process
        monitor.planned = partial(planned, block_source, layout)
        partial_state, found = run_all(block_source, layout, monitor)
        with shared_orders():
            results, heavy = layout.dataset(partial_state, found), layout.heavy(partial_state)
        monitor.estimate(lambda: results, now=True)
    layout.warn(partial_state, 3, heavy)
    return results
