"""``reduce(compute=False)``: the same tasks and the same tree as a Dask graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed, delayed

from montezarr.core.checks import value_error
from montezarr.core.tunables.scheduling import LAZY_MERGE_STATES
from montezarr.reduction.accumulate import Accumulator, PartialState
from montezarr.reduction.passes._layout import Layout
from montezarr.reduction.sources import BlockSource
from montezarr.run.execution import FailureLog


def lazily(block_source: BlockSource, layout: Layout) -> xr.Dataset:
    """Return the results as lazy arrays, computed together in one pass.

    Raises
    ------
    ArgumentValueError
        For statistics that need further passes, or whose coordinates come from the data, as those
        of groups without labels do; and for runs without a number of paths.
    """
    for reduced in layout.accumulator.reduced_variables:
        for statistic in reduced.statistics:
            if not statistic.is_one_pass:
                raise value_error(
                    "compute", "True for statistics of several passes, such as exact quantiles",
                    False, f"{statistic} is one.",
                )  # fmt: skip
            if statistic.adapts_to_data(reduced.source):
                raise value_error(
                    "compute", f"True for {type(statistic).__name__} with coordinates of its own",
                    False, "Give edges, or states.",
                )  # fmt: skip
    if block_source.n_paths is None:
        raise value_error("obj", "a Dataset with a number of paths", None, "Use montezarr.stream.")
    if layout.by is not None and layout.by.labels is None:
        raise value_error(
            "compute", "True for groups without labels, which are known only from the paths", False,
            "Give the variable of the groups the attributes flag_values and flag_meanings.",
        )  # fmt: skip
    size = block_source.graph_size()
    token = tokenize(block_source.key(), layout.identity(), block_source.n_paths, size)
    task = block_source.task(layout.accumulator)
    shared = delayed(_Keep(task), name=f"recipe-reduce-{token}", traverse=False)
    parts: list[Delayed] = []
    for item in block_source.items(0, block_source.n_paths, size):
        key = f"{task.__name__}-{token}-{len(parts)}"
        parts.append(_call(_fold, key, shared, _Keep(item), *_futures(item)))
    accumulator = delayed(_Keep(layout.accumulator), name=f"recipe-merge-{token}", traverse=False)
    level = 0
    while len(parts) > 1:
        groups = [parts[i : i + LAZY_MERGE_STATES] for i in range(0, len(parts), LAZY_MERGE_STATES)]
        parts = [
            _call(_merge, f"merge-{token}-{level}-{i}", accumulator, group)
            for i, group in enumerate(groups)
        ]
        level += 1
    shared_layout = delayed(_Keep(layout), name=f"recipe-finalize-{token}", traverse=False)
    result = _call(_finalize, f"finalize-{token}", shared_layout, parts[0], block_source.n_paths)
    template = layout.dataset(PartialState())
    variables = {
        name: (
            variable.dims,
            da.from_delayed(
                _call(_pick, f"pick-{token}-{name}", result, str(name)),
                variable.shape, variable.dtype, name=f"{name}-{token}",
            ),
            variable.attrs,
        )
        for name, variable in template.data_vars.items()
    }  # fmt: skip
    return xr.Dataset(
        variables, template.coords, {**template.attrs, "n_paths": block_source.n_paths}
    )


class _Keep:
    """Wraps a value that Dask must not traverse."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


def _futures(item: Any) -> list[Any]:
    """Return the futures of an item, which Dask has to see."""
    return list(item[4]) if len(item) > 4 else []


def _call(function: Any, key: str, *args: Any) -> Delayed:
    made: Delayed = delayed(function, pure=True)(*args, dask_key_name=key)
    return made


def _fold(task: _Keep, item: _Keep, *futures: Any) -> tuple[list[PartialState], FailureLog]:
    arguments = item.value if not futures else (*item.value[:4], list(futures))
    parts, report = task.value(arguments)
    failure_log = FailureLog()
    failure_log.add(report)
    return [partial_state for _, partial_state in parts], failure_log


def _merge(accumulator: _Keep, parts: Sequence[Any]) -> tuple[list[PartialState], FailureLog]:
    failure_log = FailureLog()
    for _, more in parts:
        failure_log.join(more)
    return [
        _joined(accumulator.value, [partial_state for group, _ in parts for partial_state in group])
    ], failure_log


def _joined(accumulator: Accumulator, parts: Sequence[PartialState]) -> PartialState:
    total = PartialState()
    for part in parts:
        # Copy: a task may run again on the same input, and joining changes it.
        accumulator.join(total, part.copy())
    return total


def _finalize(layout: _Keep, part: Any, stop: int) -> xr.Dataset:
    total = _joined(layout.value.accumulator, part[0])
    layout.value.accumulator.finish(total, stop)
    part[1].warn(stop, 3)
    layout.value.warn(total, 2)
    return layout.value.dataset(total)  # type: ignore[no-any-return]


def _pick(result: xr.Dataset, name: str) -> Any:
    return result[name].values
