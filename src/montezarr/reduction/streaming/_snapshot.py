"""Snapshots of a stream: the results so far, with confidence sequences."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import local_path, type_error, value_error
from montezarr.reduction.streaming._shown import as_card, as_text
from montezarr.reduction.streaming._state import save
from montezarr.run import Run
from montezarr.statistics._binomial import ALPHA, MIXTURE_WIDTH

CARRIES = 0.1
"""Share of the largest term in a sum of squares from which on the sequence of a mean says nothing.

Of a rare payoff that are ten hits, of values with a finite variance far less after the first paths.
"""


@dataclass(frozen=True, repr=False, eq=False)
class Snapshot:
    """The results of the paths 0 ... paths - 1.

    Printed, it has a line for each estimate with its standard error and confidence sequence; in a
    notebook, a table of all results. Both show the speed, and the time left or the reason of the
    stop.

    Attributes
    ----------
    paths : int
        Number of paths so far.
    dataset : Dataset
        As `montezarr.reduce` returns it for these paths, and for each estimate with a standard
        error its 95 % confidence sequence, ``<name>_cs_low`` and ``<name>_cs_high``; not for
        groups, whose numbers of paths differ. Those of shares (`Exceedance`, `Proportion`,
        `FirstPassage`, `Histogram`, the mean of booleans, or of numbers that are 0 and 1), of
        `Quantile` and of values at risk are exact at every number of paths; others are for large
        numbers, and reach from -inf to inf while all values are the same, a mean rests on a few of
        them, or there are fewer than 100 values in the tail of a shortfall, or first passages in
        their mean time.
    seconds : float
        Time since the stream began, in this process.
    paths_per_second : float
        Speed since then.
    paths_needed : int or None
        Predicted number of further paths until the rule stops the stream; None where that cannot
        be predicted.
    seconds_left : float or None
        The time that these paths take at this speed.
    stopped : str or None
        Why this is the last snapshot; None if it is not.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=None, T=1, seed=1)
    >>> for snapshot in mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(8192)):
    ...     pass
    >>> snapshot.paths, snapshot["x_mean"].round(2).item()
    (8192, 0.01)
    """

    paths: int
    dataset: xr.Dataset
    seconds: float
    paths_per_second: float
    paths_needed: int | None
    seconds_left: float | None
    stopped: str | None
    _state: Any = None

    def __getitem__(self, name: str) -> xr.DataArray:
        """Return one result."""
        return self.dataset[name]

    def _run_behind(self, process: Any = None) -> Run:
        """Return the run of the paths; see `Run.behind`."""
        header: Mapping[str, Any] = {} if self._state is None else self._state[0]
        if not header.get("recipe"):
            raise value_error("snapshot", "one of paths of a run, drawn block by block", self)
        return Run.from_recipe(header["recipe"], process, self.paths)

    def save(self, path: Any) -> None:
        """Write the state to a file, whole or not at all; ``stream(resume_from=path)`` goes on.

        It goes on after the last whole block of 1024 paths, unless these are all paths of the run:
        of paths that are drawn one at a time, the few beyond it are drawn again. The file holds
        arrays and JSON, as an ``.npz`` file of NumPy, and no code.

        Parameters
        ----------
        path : str or path
            The file; an existing one is replaced.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If `path` is not a path, or not valid on this system.
        OSError
            If it cannot be written.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise type_error("path", "the path of a file", path)
        header, partial_state = self._state
        save(local_path("path", os.fsdecode(path)), header, partial_state)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_card(self).html()


def half_width(paths: int, alpha: float = ALPHA) -> float:
    r"""Return half the width of the asymptotic confidence sequence, in standard errors.

    For a mean of n values with standard deviation :math:`\hat\sigma` it is
    :math:`\hat\sigma \sqrt{\frac{2(n\rho^2+1)}{n^2\rho^2} \log\frac{\sqrt{n\rho^2+1}}{\alpha}}`,
    for all n at once: the stream may stop at any n (Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
    Statistics 52 (2024), doi:10.1214/24-AOS2408; there too the choice of :math:`\rho`, for
    which the sequence is narrowest at a chosen n).
    """
    scale = paths * MIXTURE_WIDTH
    return math.sqrt(2 * (scale + 1) / scale * math.log(math.sqrt(scale + 1) / alpha))


def with_sequences(
    ds: xr.Dataset,
    paths: int,
    sequences: Mapping[str, tuple[Any, ...]] | None = None,
    shares: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return results with the confidence sequences of all estimates that have a standard error.

    Those in `sequences` come from the states, see `Statistic.sequences`. The others follow from a
    theorem on means, which holds asymptotically for estimates that are the mean of their influence
    function, as all are here. It does not apply to values that are all the same, without a standard
    error, or to a mean whose largest value makes up more than `CARRIES` of the sum of squares, by
    `shares`: these have the ends -inf and inf. Of `paths`, values that are not finite do not count.
    """
    found = {str(name): ds.variables[name] for name in ds.data_vars}
    lost = [int(v.max()) for name, v in found.items() if name.endswith("_nonfinite")]
    counted = paths - max(lost, default=0)
    width = half_width(counted) if counted > 0 else math.nan
    ends: dict[str, Any] = {}
    for name, variable in found.items():
        if f"{name}_se" not in found:
            continue
        # Arrays of NumPy: the results are many and small, and arithmetic of xarray costs more.
        value, error = np.asarray(variable), np.asarray(found[f"{name}_se"])
        with np.errstate(over="ignore", invalid="ignore"):
            is_carried = np.greater((shares or {}).get(name, 0.0), CARRIES)
            nothing = np.where(np.isnan(value), np.nan, np.inf)
            half = np.where((error > 0) & ~is_carried, width * error, nothing)
            both = {"low": value - half, "high": value + half}
        units = {"units": variable.attrs["units"]} if "units" in variable.attrs else {}
        for i, (end, array) in enumerate(both.items()):
            if name in (sequences or {}):
                known = sequences[name][i]  # type: ignore[index]
                array = np.where(np.isnan(known), array, known)
            label = f"{end} end of the 95 % confidence sequence, valid whenever one stops"
            ends[f"{name}_cs_{end}"] = (variable.dims, array, {"long_name": label, **units})
    return ds.assign(ends)
