"""Find sums of runs in an expression that are driven by the same random numbers.

Common random numbers make differences exact and sums wrong. The graph of a lazy expression has its
operations: a sum is found where two runs meet in an operation with the same sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr
from dask.base import is_dask_collection
from dask.highlevelgraph import HighLevelGraph

from montezarr.core.checks import show
from montezarr.core.compat.dask import Alias, DataNode, as_tasks
from montezarr.core.errors import CommonNoiseWarning
from montezarr.core.notices import level_outside, warn
from montezarr.core.tunables.scheduling import NOISE_BLOCKS_INSPECTED
from montezarr.reduction.sources._tasks import evaluate_terms, layer_of
from montezarr.reduction.sources._terms import Model, Terms, constant, made_of
from montezarr.run._origins import Origin
from montezarr.run._texts import process_name
from montezarr.samplers.schema import PATH


def noise_of(origins: Mapping[str, Origin]) -> str:
    """Describe how the noises of several runs are related; empty for one run."""
    runs = {origin.identity: origin for origin in origins.values()}
    if len(runs) < 2:
        return ""
    noises = [origin.noise for origin in runs.values()]
    shared = sum(noises.count(noise) > 1 for noise in noises)
    if shared == 0:
        return f"{len(runs)} runs on independent noise"
    if shared < len(runs):
        return f"{shared} of {len(runs)} runs on common noise, the others independent"
    if len(set(noises)) > 1:
        return f"{len(runs)} runs on common noise, in {len(set(noises))} independent groups"
    return f"{len(runs)} runs on common noise: one seed and stream"


def warn_of_sums(variables: Mapping[str, xr.Variable], origins: Mapping[str, Origin]) -> None:
    """Warn where a lazy expression adds variables of different runs on one seed and stream."""
    if len(origins) < 2:
        return
    models: dict[str, set[str]] = {}
    for origin in origins.values():
        models.setdefault(origin.noise, set()).add(origin.model)
    if all(len(several) < 2 for several in models.values()):
        return
    for name, array in variables.items():
        added = _added(array, origins)
        if added:
            message = CommonNoiseWarning(_message(name or "the expression", added, origins))
            warn(message, stacklevel=level_outside("montezarr"))
            return


def _added(array: xr.Variable, origins: Mapping[str, Origin]) -> frozenset[Model]:
    """Return two runs on the same noise that an array adds, or nothing."""
    data = array.data
    if not is_dask_collection(data) or not isinstance(data.dask, HighLevelGraph):
        return frozenset()
    try:
        terms = _terms(data, _first_keys(array), origins)
    except Exception:  # another version of Dask may have other graphs; results are the same
        return frozenset()
    for term in terms:
        for pair in term.added:
            if not {model.noise for model in pair} & term.contrasts:
                return pair
    return frozenset()


def _first_keys(array: xr.Variable) -> list[tuple[Any, ...]]:
    """Return the keys of the blocks of the first paths."""
    keys: list[tuple[Any, ...]] = [(array.data.name,)]
    for dim, count in zip(array.dims, array.data.numblocks, strict=True):
        span = range(1) if dim == PATH else range(count)
        keys = [(*key, i) for key in keys for i in span][:NOISE_BLOCKS_INSPECTED]
    return keys


def _terms(data: Any, keys: list[tuple[Any, ...]], origins: Mapping[str, Origin]) -> list[Terms]:
    """Return the terms of each block."""
    tasks: dict[Any, Any] = as_tasks(dict(data.dask.cull(set(keys))))
    known: dict[Any, Terms] = {}

    def leaf(key: Any, task: Any) -> tuple[Terms] | None:
        origin = origins.get(layer_of(key))
        if origin is not None:
            source = Model(origin.noise, origin.model)
            return (Terms({source: 1}, starts_alike=origin.starts_alike),)
        return (constant(task.value),) if isinstance(task, DataNode) else None

    def made(key: Any, task: Any) -> Terms:
        return known[task.target] if isinstance(task, Alias) else made_of(task, known)

    evaluate_terms(keys, tasks, known, leaf, made)
    return [known[key] for key in keys]


def _message(name: str, added: Iterable[Model], origins: Mapping[str, Origin]) -> str:
    descriptions = {Model(o.noise, o.model): _described(o.recipe) for o in origins.values()}
    both = " and ".join(sorted(descriptions[model] for model in added))
    return (
        f"{name} adds variables of two runs on one seed and stream, {both}:"
        " path i of both is driven by the same random numbers, so they are not independent, and"
        " variance, quantiles and errors of their sum are those of dependent variables. For"
        " independent ones pass another stream to one of them, simulate(..., stream='a name')."
        " Where one noise is what you want: warnings.filterwarnings('ignore',"
        " category=montezarr.CommonNoiseWarning)."
    )


def _described(recipe: Mapping[str, Any]) -> str:
    """Return a short description of process and initial state of a run."""
    process = recipe.get("process")
    parameters = process if isinstance(process, Mapping) else {}
    listed = ", ".join(f"{k}={show(v, 20)}" for k, v in parameters.items() if k != "name")
    x0 = recipe.get("x0")
    start = "" if x0 is None else f" from {show(x0, 40)}"
    return f"{process_name(process)}{f'({_short(listed)})' if listed else ''}{start}"


def _short(text: str) -> str:
    """Return at most 60 characters of a text."""
    return text if len(text) <= 60 else text[:57] + "..."
