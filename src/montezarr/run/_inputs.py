"""Initial states and parameters that came as arrays, as the inputs of paths, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np

from montezarr.core.parameters import PARAMETER
from montezarr.run._vary import X0, Vary
from montezarr.samplers.inputs import joined_inputs


def with_arrays(vary: Vary, x0: Any, given: Any) -> tuple[Any, Any]:
    """Return initial states and parameters that came as arrays as the inputs of paths.

    Returns
    -------
    inputs : dask array (n_paths,) or None
        Structured, with the parameters; without any, x0 as it was.
    given : mapping of arrays, or None
        All by name, if they are in memory.
    """
    if not vary.arrays:
        return x0, given
    parts = {array.name: array.values for array in vary.arrays}
    are_lazy = any(isinstance(part, da.Array) for part in parts.values())
    columns = {name: da.asarray(part).rechunk({-1: -1}) for name, part in parts.items()}
    lengths = x0.chunks[-1:] if x0 is not None else _chunks_of(parts)
    columns = {name: c.rechunk((*c.shape[:-1], *lengths)) for name, c in columns.items()}
    names = list(columns)
    arrays = ([] if x0 is None else [x0]) + list(columns.values())
    dims = [(*range(10 * i, 10 * i + a.ndim - 1), -1) for i, a in enumerate(arrays)]
    meta = _join(*(np.empty((1,) * a.ndim, a.dtype) for a in arrays), names=names)[:0]
    inputs = da.blockwise(
        _join, (-1,), *(part for pair in zip(arrays, dims, strict=True) for part in pair),
        names=names, concatenate=True, dtype=meta.dtype, meta=meta,
    )  # fmt: skip
    if are_lazy or (x0 is not None and given is None):
        return inputs, None
    inputs = da.from_array(inputs.compute(scheduler="synchronous"), chunks=-1)
    states = {} if given is None else {X0: given}
    if isinstance(given, Mapping):
        states = {f"{X0}.{name}": part for name, part in given.items()}
    return inputs, {**states, **{PARAMETER + name: part for name, part in parts.items()}}


def split_inputs(given: Any) -> tuple[Any, dict[str, Any]]:
    """Return initial states, and the parameters by name, of what `with_arrays` returned."""
    if not isinstance(given, Mapping) or not any(name.startswith(PARAMETER) for name in given):
        return given, {}
    parameters = {
        name.removeprefix(PARAMETER): part
        for name, part in given.items()
        if name.startswith(PARAMETER)
    }
    states = {
        name.removeprefix(f"{X0}."): part
        for name, part in given.items()
        if name.startswith(f"{X0}.")
    }
    return given.get(X0, states or None), parameters


def _join(*arrays: Any, names: list[str]) -> Any:
    """Return the inputs of a range of paths; the initial states come first, if there are any."""
    x0 = arrays[0] if len(arrays) > len(names) else None
    return joined_inputs(x0, dict(zip(names, arrays[-len(names) :], strict=True)))


def _chunks_of(parts: Mapping[str, Any]) -> tuple[Any, ...]:
    lazy = [part for part in parts.values() if isinstance(part, da.Array)]
    return lazy[0].chunks[-1:] if lazy else (next(iter(parts.values())).shape[-1:],)
