"""Differences to a reference scenario, with the standard error of the paired difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import did_you_mean, type_error, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import INTERVAL, Estimate, Sample, Source, Statistic
from montezarr.statistics._cells import Axis, part_of
from montezarr.statistics._moments import (
    CentralSums,
    mean_of,
    merge_sums,
    powers_of,
    standard_error_of,
)
from montezarr.statistics._per_path import Array
from montezarr.statistics._student import student

EXPECTED = "a label of the reference scenario, or a dict of labels by dimension"
STEPS = "time"
"""The dimension that a label without a name is not of."""


def _label(name: str, value: Any) -> bool | int | float | str:
    """Return a label as a number or text; a date as its text."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    elif isinstance(value, np.datetime64) or hasattr(value, "isoformat"):
        value = str(np.datetime64(value))
    if not isinstance(value, (bool, int, float, str)):
        raise type_error(name, EXPECTED, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise value_error(name, "a finite label", value)
    return value


def _reference(name: str, value: Any) -> Any:
    """Return the reference as a label, or as pairs of a dimension and a label, by name."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, (Mapping, list, tuple)):
        return _label(name, value)
    pairs = list(value.items()) if isinstance(value, Mapping) else list(value)
    if not pairs:
        raise value_error(name, EXPECTED, value)
    for pair in pairs:
        is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not is_pair or not isinstance(pair[0], str):
            raise type_error(name, EXPECTED, value)
    found = {dim: _label(name, label) for dim, label in pairs}
    return tuple(sorted(found.items()))


@final
@dataclass(frozen=True, slots=True)
class Contrast(Statistic):
    r"""The mean difference of every scenario to a reference scenario, path by path.

    Path k of all scenarios of a run on common noise has the same noise, so the difference
    :math:`d_k = x_k - x_k^{\mathrm{ref}}` of two scenarios varies far less than both. The estimate
    is its mean :math:`\bar d`, with the standard error :math:`s_d / \sqrt n` of the paired
    difference; the 95 % interval uses Student's quantile. A path counts where it has a value in
    both scenarios (and is in the group, with ``by=``). It is the mean of ``x - x.sel(to)``, taken
    beside other statistics of x in one pass.

    For booleans, and for numbers that are only 0 and 1 where `Mean` is taken beside, the interval
    is the adjusted one of Bonett and Price, which is valid for few pairs that differ, and for none.

    Results: ``<variable>_contrast``, ``_contrast_se``, ``_contrast_low`` and ``_contrast_high``, in
    the units of the variable, with all dimensions of the scenarios; the reference is exactly 0.

    Parameters
    ----------
    to : dict of str to label, or label
        The reference, as `xarray.DataArray.sel` takes it: ``{"sigma": 0.2}``. Dimensions that are
        not named keep their own reference: each mu is compared with sigma = 0.2 at that mu. A
        label alone is that of the only dimension beside path and time. Where a dimension has no
        coordinate, a label is a position.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a label that the dimension does not have, with the nearest; for an unknown dimension; if
        there are no scenarios, or several dimensions for one label.

    References
    ----------
    Glasserman, Monte Carlo Methods in Financial Engineering, 2003, sections 4.1 and 7.1,
    doi:10.1007/978-0-387-21617-1. Bonett and Price, "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data", Journal of Educational and Behavioral
    Statistics 37 (2012), doi:10.3102/1076998611411915.

    Examples
    --------
    >>> import montezarr as mz
    >>> import xarray as xr
    >>> gbm, sigma = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2), [0.19, 0.2, 0.21]
    >>> vary = {"sigma": xr.DataArray(sigma, dims="sigma", coords={"sigma": sigma})}
    >>> ds = mz.simulate(gbm, n_paths=100_000, T=1, x0=100.0, dt=1.0, seed=1, vary=vary)
    >>> call = (ds.x.isel(time=-1) - 100).clip(min=0).rename("call")
    >>> found = mz.reduce(call, ["mean", mz.Contrast(to={"sigma": 0.2})])
    >>> found.call_contrast.round(3).values  # exact: -0.397, 0, 0.397
    array([-0.4  ,  0.   ,  0.399])
    >>> found.call_contrast_se.round(3).values, found.call_mean_se.round(3).values
    (array([0.002, 0.   , 0.002]), array([0.039, 0.042, 0.044]))
    """

    to: Any = field(metadata=checked(_reference))

    State: ClassVar[type] = CentralSums
    order: ClassVar[int] = 2
    takes_axes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.check_fields()

    def __repr__(self) -> str:
        return f"Contrast(to={dict(self.to) if isinstance(self.to, tuple) else self.to!r})"

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(to=2), cls(to={"scenario": 5})

    def check(self, source: Source) -> None:
        """Raise if the variable has no such scenario."""
        self.chosen(source.axes)

    def chosen(self, axes: tuple[Axis, ...]) -> dict[str, int]:
        """Return the positions of the reference, by dimension.

        Raises
        ------
        ArgumentValueError
            If there is none.
        """
        known = {axis.name: axis for axis in axes}
        if isinstance(self.to, tuple):
            named = dict(self.to)
            unknown = next((dim for dim in named if dim not in known), None)
            if unknown is not None:
                expected = f"dimensions of the variable beside path, {list(known)}"
                raise value_error("to", expected, unknown, did_you_mean(unknown, known))
        else:
            dims = [dim for dim in known if dim != STEPS]
            if not dims:
                raise value_error(
                    "to", "a variable with scenarios", self.to,
                    "It has no dimension beside path and time: give simulate scenarios by vary=.",
                )  # fmt: skip
            if len(dims) > 1:
                raise value_error(
                    "to", f"a dict of labels of some of the dimensions {dims}", self.to
                )
            named = {dims[0]: self.to}
        return {dim: known[dim].position("to", label) for dim, label in named.items()}

    def state_bytes(self, cells: int, source: Source, length: int | None = None) -> int:
        """Return the bytes of a count, a mean and a sum per cell."""
        return 24 * cells

    def terms(self, sample: Sample) -> Array:
        """Return the difference of each path to its reference; see `Statistic.terms`."""
        if not sample.values.size:  # also of fewer cells, to learn what the results are
            return sample.values
        axes = sample.source.axes
        whole, reference = part_of(sample.values, axes, self.chosen(axes))
        with np.errstate(over="ignore", invalid="ignore"):
            return (whole - reference).reshape(sample.values.shape)

    def chunk(self, sample: Sample) -> CentralSums:
        """Return the sums of each block."""
        return sample.terms_of(self).central(2)

    def merge(self, a: CentralSums, b: CentralSums) -> CentralSums:
        """Return the sums of both."""
        return merge_sums(a, b)

    def finalize(self, state: CentralSums, source: Source) -> dict[str, Estimate]:
        """Return mean difference, standard error and interval."""
        mean, error = mean_of(state), standard_error_of(state)
        if source.is_boolean:
            low, high = _interval_of_pairs(state, self._is_reference(state, source))
        else:
            half = INTERVAL * student(np.maximum(state.n - 1.0, 2.0)) * error
            low, high = mean - half, mean + half
        named = self.to if isinstance(self.to, tuple) else ()
        told = ", ".join(f"{dim}={label!r}" for dim, label in named) or repr(self.to)
        attrs = {"long_name": f"mean difference to {told}", "cell_methods": "path: mean"}
        return {
            "contrast": Estimate(mean, attrs=attrs),
            "contrast_se": Estimate(error),
            "contrast_low": Estimate(low),
            "contrast_high": Estimate(high),
        }

    def hits(self, state: CentralSums, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of pairs that differ, and of all pairs, of booleans."""
        if not source.is_boolean:
            return {}
        differing = np.where(self._is_reference(state, source), np.nan, np.add(*_pairs(state)))
        return {"contrast": (differing, state.n)}

    def sequences(self, state: CentralSums, source: Source) -> dict[str, tuple[Any, Any]]:
        """Return 0 for the reference, and no claim beside that of a mean for the other ones."""
        is_known = self._is_reference(state, source) & (state.n > 0)
        ends = np.where(is_known, mean_of(state), np.nan)
        return {"contrast": (ends, ends)}

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails of the differences; see `Statistic.powers`."""
        return {"contrast": powers_of(state, 1, source.is_boolean)}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        shape = [axis.length for axis in source.axes]
        cells = np.arange(len(values)).reshape(shape)
        for i, axis in enumerate(source.axes):
            if axis.name in (chosen := self.chosen(source.axes)):
                cells = np.take(cells, [chosen[axis.name]], i)
        difference = values - values[np.broadcast_to(cells, shape).ravel()]
        n = np.isfinite(difference).sum(axis=-1)
        return {
            "contrast": np.nanmean(difference, axis=-1),
            "contrast_se": np.nanstd(difference, axis=-1, ddof=1) / np.sqrt(n),
        }

    def _is_reference(self, state: CentralSums, source: Source) -> NDArray[np.bool_]:
        """Return which cells are the reference of others."""
        if math.prod(axis.length for axis in source.axes) != len(state.n):
            return np.zeros(len(state.n), np.bool_)
        marks = np.zeros(len(state.n))
        part_of(marks, source.axes, self.chosen(source.axes))[1][...] = 1.0
        return marks > 0


def _pairs(state: CentralSums) -> tuple[Array, Array]:
    """Return the numbers of pairs with the differences 1 and -1, of booleans."""
    total = np.rint(state.n * state.mean)
    differing = np.rint(state.sums[0] + state.n * state.mean**2)
    return (differing + total) / 2, (differing - total) / 2


def _interval_of_pairs(state: CentralSums, exact: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the interval of Bonett and Price for booleans; 0 where it is `exact`."""
    more, less = ((count + 1) / (state.n + 2) for count in _pairs(state))
    middle = more - less
    half = INTERVAL * np.sqrt(np.maximum(more + less - middle**2, 0.0) / (state.n + 2))
    mean = mean_of(state)
    low, high = np.fmax(middle - half, -1.0), np.fmin(middle + half, 1.0)
    low, high = np.minimum(low, mean), np.maximum(high, mean)  # NaN without values
    return np.where(exact, mean, low), np.where(exact, mean, high)
