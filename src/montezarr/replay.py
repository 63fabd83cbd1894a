"""`replay`: what a Dataset's recipe can tell, and one path of it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from montezarr import lazy
from montezarr._checks import MAX_INDEX, check_int
from montezarr.core.compat.dask import Blockwise
from montezarr.dataset import (
    ATTRIBUTE,
    coordinates_of,
    label_encoding,
    make_run,
    recipe_in,
    variable_attributes,
    variables_of,
)
from montezarr.errors import ReplayError, StoreError
from montezarr.parameters import references, shortened, whole
from montezarr.processes import BUILT_IN, Process, check_parameter_names, process_from_dict
from montezarr.recipe import fingerprint
from montezarr.samplers import EVENT_TIME, Sampler, recorded_interface, sample_range
from montezarr.seeding import BLOCK, RootSeed


def run_of(ds: Any, process: Any = None) -> lazy.Run:
    """Return the run behind a Dataset: the live one, or one made anew from its recipe.

    Raises
    ------
    ReplayError
        If the sampler is neither alive in this process, nor built in, nor given as `process`; or
        if the `process` given is another one.
    """
    recipe = recipe_in(ds)
    described, beside = recipe["process"], references(recipe)
    if beside and "code" not in recipe and (kind := BUILT_IN.get(str(described.get("name")))):
        check_parameter_names(kind, described)  # before what it refers to is read
    # Held until the end: what a process that is given has is not looked for elsewhere.
    is_given = isinstance(process, Process) and bool(beside)
    given = shortened({"process": process.to_dict()}) if is_given else None
    layers = [
        name
        for variable in (variables_of(ds).values() if isinstance(ds, xr.Dataset) else ())
        for name in getattr(_graph(variable), "layers", ())
    ]
    live = (
        None
        if process is not None
        else lazy.recall(fingerprint(recipe), layers, ds.sizes.get("path"))
    )
    if live is not None:
        return live
    target = process
    if target is None:
        if "code" in recipe or described.get("name") not in BUILT_IN:
            raise ReplayError(
                f"ds: its sampler {described.get('name')!r} is code of yours, which is not in this"
                " process and is never loaded from a Dataset. Pass it as process=."
            )
        target = process_from_dict(whole(recipe)["process"])
    x0 = recipe["x0"]
    if isinstance(x0, dict) and set(x0) == {"digest"}:
        raise ReplayError("ds: its x0 is an array or object, which a recipe does not hold.")
    if "options" in recipe:
        raise ReplayError("ds: its sampler got options, which a recipe does not hold.")
    grid, variables = recipe["grid"], recipe["variables"]
    names = [variable["name"] for variable in variables]
    # As recorded: what the first path would declare may be another rule than it was then.
    dtypes: Any = {v["name"]: v["dtype"] for v in variables if v["name"] != EVENT_TIME}
    if recorded_interface(recipe).takes_ranges and len(set(dtypes.values())) == 1:
        dtypes = variables[0]["dtype"]
    # As the arrays were made, so that they have the same names; data alone may hold anything.
    simulated = [name for name in layers if name.startswith("simulate-")]
    policies: dict[str, Any] = _policies(simulated[0]) if simulated else {"on_nonfinite": "keep"}
    run = make_run(
        target,
        _number_of_paths(ds),
        grid.get("T"),
        x0,
        # A given dt would say that the times of the paths do not matter.
        dt=None if EVENT_TIME in names else grid.get("dt"),
        times=grid.get("times"),
        seed=RootSeed.from_dict(recipe["seed"]),
        dtype=dtypes,
        chunks=None if _number_of_paths(ds) is None else _asked(simulated) or _chunk_of(ds),
        keep=recipe.get("keep"),
        **policies,
        labels=None
        if isinstance(target, Process)
        else next((v["labels"] for v in variables if "labels" in v), None),
        legacy_global_rng=recorded_interface(recipe).uses_global_state,
        dims={v["name"]: v["dims"] for v in variables if "dims" in v},
        coords=recipe.get("coords"),
        recorded=recipe,
    )
    if run.fingerprint != fingerprint(recipe):
        raise ReplayError("process: not the sampler that this Dataset was simulated with.")
    del given
    return run


def is_untouched(ds: Any, run: lazy.Run) -> bool:
    """Return whether `ds` holds just the arrays of a run, so that its data are what was drawn."""
    arrays = lazy.arrays(run)
    if not isinstance(ds, xr.Dataset) or set(ds.data_vars) != set(arrays):
        return False
    variables = variables_of(ds)
    return all(
        _graph(variables[name]) is not None
        and variables[name].data.name == array.name
        and variables[name].shape == array.shape
        for name, array in arrays.items()
    )


def _graph(variable: xr.Variable) -> Any:
    """Return the graph of a lazy variable, or None; what lies on a disk is not loaded for that."""
    return variable.data.dask if variable.chunks is not None else None


def undrawn_run(ds: xr.Dataset) -> lazy.Run | None:
    """Return the run whose lazy paths a Dataset holds as they are, or None where it has others."""
    graphs = [_graph(variable) for variable in variables_of(ds).values()]
    layers = [layer for graph in graphs for layer in getattr(graph, "layers", {}).values()]
    if ATTRIBUTE not in ds.attrs or not any(isinstance(layer, Blockwise) for layer in layers):
        return None
    try:
        run = run_of(ds)
    except (ReplayError, StoreError):  # a parameter that lies beside the recipe may be lost
        return None
    return run if is_untouched(ds, run) else None


def _policies(name: str) -> dict[str, Any]:
    """Return what the name of an array tells about failures; see `lazy.arrays`."""
    parts = [part.split(":") for part in name.split("-") if ":" in part]
    return {part[0]: part[1] for part in parts if part[0] in ("on_error", "on_nonfinite")}


def _asked(names: list[str]) -> int | None:
    """Return the chunks that were asked for, where the name of an array tells: `lazy.name_of`."""
    found = [part[7:] for name in names for part in name.split("-") if part.startswith("chunks:")]
    return int(found[0]) if found and found[0].isdecimal() else None


def _number_of_paths(ds: xr.Dataset) -> int | None:
    count = max(1, ds.sizes.get("path", 1))
    return None if count == lazy.ENDLESS else count


def _chunk_of(ds: xr.Dataset) -> int | None:
    """Return the paths per chunk of a lazy Dataset that came without its run, such as unpickled."""
    for variable in variables_of(ds).values():
        chunks = dict(zip(variable.dims, variable.chunks or (), strict=False)).get("path")
        if chunks and chunks[0] % BLOCK == 0:
            return int(chunks[0])
    return None


def replay(ds: xr.Dataset, path: int, *, process: Any = None) -> xr.Dataset:
    """Draw one path again, alone, in a time that does not depend on its index.

    Where the sampler raises, so does `replay`: the same exception, here, under your debugger.

    Parameters
    ----------
    ds : Dataset
        From `simulate`, computed or not, or read back.
    path : int
        Path index in the run, >= 0, whatever part of the run `ds` holds: of
        ``ds.isel(path=slice(1024, 2048))`` the first path is 1024, and no position is meant. It may
        lie beyond the paths of `ds` where x0 is common.
    process : object, optional
        The sampler, where it is your own code and not alive in this process.

    Returns
    -------
    Dataset
        The path with dims (time,), equal to ``ds.isel(path=path)`` of the whole run, in memory.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is not an index, or `ds` does not come from `simulate`.
    ReplayError
        If the sampler is not at hand.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=10**9, T=4, seed=1)
    >>> mz.replay(ds, 987_654_321).x.values
    array([ 0, -1,  0, -1, -2])
    """
    index = check_int("path", path, maximum=MAX_INDEX - BLOCK)
    run = run_of(ds, process)
    bare = replace(run.sampling, on_error="raise", on_nonfinite="keep", foreground=True)
    return replay_run(run, index, bare)


def replay_run(run: lazy.Run, index: int, sampling: Sampler) -> xr.Dataset:
    """Draw one path of a run again, under the policies of `sampling`; see `replay`."""
    low, high, x0 = index, index + 1, None
    if run.x0 is not None:
        check_int("path", index, maximum=run.n_paths - 1)
        # Paths of a block may depend on the x0 of the whole of it.
        low, high = sampling.interface.drawn_with(index, run.n_paths)
        x0 = np.asarray(run.x0[..., low:high])
    arrays = sample_range(sampling, low, high, x0)
    variables = {
        variable.name: (
            variable.dims,
            arrays[variable.name][..., index - low].copy(),
            variable_attributes(variable),
            label_encoding(variable),
        )
        for variable in sampling.variables
    }
    return xr.Dataset(variables, coordinates_of(sampling), {"path": index})
