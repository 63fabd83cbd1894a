"""`simulate`: the run as an xarray Dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr import chunk_policy, lazy
from montezarr._checks import (
    MAX_INDEX,
    check_bool,
    check_choice,
    check_int,
    type_error,
    value_error,
)
from montezarr.backends import configured, cores
from montezarr.errors import ArgumentTypeError
from montezarr.initial import per_path, plain_scalars
from montezarr.parameters import MOST, references
from montezarr.processes import Process, is_users
from montezarr.recipe import RECIPE_KEYS, formats_of, recipe_of
from montezarr.samplers import EVENT_TIME, RETRIES, Sampler, bind, choose
from montezarr.samplers.arguments import (
    ARGUMENTS,
    check_coords,
    check_dims,
    check_dtypes,
    check_keep,
    check_labels,
    unknown_argument,
)
from montezarr.samplers.choose import check_no_parameter
from montezarr.samplers.resolution import check_resolution
from montezarr.samplers.schema import PATH, TIME, Asked
from montezarr.seeding import BLOCK, as_root_seed

ATTRIBUTE = "montezarr"
"""Name of the Dataset attribute that holds the recipe as JSON."""

LABELS = "labels"
"""Entry of the encoding of a variable whose values are codes: code and label of each state."""


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _asks_for_paths(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return `simulate` with a typed error where n_paths is not there, such as for a slip of it."""

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if len(args) < 2 and "n_paths" not in kwargs:
            unknown = next((key for key in kwargs if key not in ARGUMENTS), None)
            if unknown is not None:
                raise unknown_argument(unknown, kwargs[unknown])
            raise ArgumentTypeError(
                "n_paths: expected a number of paths, or None, got none at all."
            )
        return function(*args, **kwargs)

    return checked


@_asks_for_paths
def simulate(
    process: Any,
    n_paths: int | None,
    T: int | None = None,
    x0: Any = None,
    *,
    dt: float | None = None,
    times: Any = None,
    seed: Any = None,
    stream: str | None = None,
    dtype: Any = None,
    chunks: int | None = None,
    keep: Any = None,
    labels: Sequence[str | int] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Any] | None = None,
    on_error: str = "raise",
    on_nonfinite: str = "raise",
    retries: int = RETRIES,
    legacy_global_rng: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Return the paths of a process as a lazy Dataset; nothing is drawn until it is computed.

    Path i is a function of the process, the grid, its x0, the seed, the stream, the dtype and i:
    not of n_paths, chunks, scheduler or order.

    Parameters
    ----------
    process : object
        The first of these that it offers is used: ``sample(draws, grid, x0)`` as the built-in
        processes; ``sample_paths(n, T, x0, rng)``; ``sample_path(T, x0, rng)`` or with ``seed``;
        being a function with a parameter ``rng`` or ``seed`` (and ``T`` and ``x0`` if it likes).
        An object of yours is copied as it is now. Code of yours is tried at the call, twice on the
        first path (or block): where the two differ, or the global random state moves, it is
        refused, since no seed reaches it. So is a ``sample`` whose paths come out otherwise alone
        than among others.
    n_paths : int or None
        Number of paths, from 1 to 2**63 - 1. None for `montezarr.stream` and `batches`, which draw
        until something stops them: the Dataset then has 2**40 paths and cannot be computed.
    T : int, optional
        Number of steps, up to 2**32: the horizon is T dt, and a path has T+1 states. None with
        `times`, or for a function without a parameter ``T``, which fixes the length itself.
    x0 : scalar, label, mapping by variable, or array (n_paths,), optional
        Initial state, of all paths or of each one; a Dask array stays lazy. Of several variables
        it is a mapping of these, a table of them, or an array (variables, n_paths). A function
        gets of a mapping with arrays its own entry of each, as a mapping. Entries go to the paths
        in order; masked ones are refused. The default is the process's own.
    dt : float, optional
        Step length, > 0; 1 by default.
    times : array (T+1,), optional
        An increasing grid in place of T and dt.
    seed : int, sequence of int, SeedSequence, mapping or None
        Root entropy; None draws 128 fresh bits. The recipe records it, and ``seed=`` takes what
        it records, ``ds.mz.recipe["seed"]``, so that the run can be repeated. One seed is one
        noise for every process: two runs on it are not independent, path by path. That is wanted
        where they are compared (common random numbers), and wrong where they are added.
    stream : str, optional
        A name: runs on one seed with other names, or none, are independent. It is in the recipe,
        with the seed.
    dtype : str, dtype or mapping by variable, optional
        float64 or float32 for real states, an integer type for counts and labels; the process's
        own by default, for code of yours that of the arrays in its first path. One plain Python
        number per path is float64, since it may be whole by chance. Paths of different dtypes have
        different draws. A mapping is for code that returns several variables.
    chunks : int, optional
        Paths per chunk, rounded up to whole blocks of 1024. A store keeps to it also where there
        are fewer paths: its chunk is filled up, so that it can grow.
    keep : int or sequence of int, optional
        Times to keep: every `keep`-th and the first, or these positions of the grid, increasing;
        negative ones count from the end. What is dropped is simulated and never stored.
    labels : sequence, optional
        All labels of a sampler that returns labels, where it offers no ``state_space.states``; or
        of one that returns integers, to have them stored as codes.
    dims : mapping of str to sequence of str, optional
        By variable, the dimensions of what code of yours returns for a path, such as
        ``{"x": ("time", "asset")}``. An axis as long as there are times is the time, and further
        ones are called ``x_dim_0`` and so on, unless this says otherwise.
    coords : mapping of str to sequence, optional
        By dimension, numbers or text along it, such as ``{"asset": ["A", "B"]}``.
    on_error : {"raise", "mask", "retry"}
        What to do about a path on which the sampler fails. "mask" sets it to NaN, or in an integer
        variable to the number in its attribute ``masked_value``; averages over the rest are then
        biased if failing depends on the path. "retry" draws it again from the same stream, for
        what may pass, such as a server that does not answer. The first path must not fail.
    on_nonfinite : {"raise", "keep", "mask", "retry"}
        The same for paths with NaN or infinities; "keep" lets them pass.
    retries : int
        How often a path is drawn again under "retry", until its failure is raised.
    legacy_global_rng : bool
        Run a ``sample_path`` that draws from the global ``np.random`` state, seeded for each path
        and restored after.
    **options
        Further keyword arguments for the sampler.

    Returns
    -------
    Dataset
        One variable (path, time) per component (``x`` where there is one), the coordinate
        ``time`` (T+1,), and the recipe as JSON in ``attrs["montezarr"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments out of these terms.
    MemoryBudgetError
        If one chunk cannot fit into memory. Computing more of the paths at once than fits is not
        refused here or later; inside of a `backend` block it warns. See `plan`.
    SamplerError
        If the sampler fails on its first path, or draws from elsewhere than its stream.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=10**8, T=252, x0=100.0, dt=1 / 252, seed=42)
    >>> ds.sizes["path"], ds.sizes["time"]
    (100000000, 253)
    """
    run = make_run(
        process, n_paths, T, x0, dt=dt, times=times, seed=seed, dtype=dtype, chunks=chunks,
        keep=keep, labels=labels, dims=dims, coords=coords, on_error=on_error,
        on_nonfinite=on_nonfinite, retries=retries, legacy_global_rng=legacy_global_rng,
        stream=stream, options=options,
    )  # fmt: skip
    return to_dataset(run)


def make_run(
    process: Any,
    n_paths: int | None,
    T: int | None,
    x0: Any,
    *,
    dt: float | None,
    times: Any,
    seed: Any,
    dtype: Any,
    chunks: int | None,
    keep: Any,
    labels: Sequence[str | int] | None,
    legacy_global_rng: bool,
    on_error: str = "raise",
    on_nonfinite: str = "raise",
    retries: int = RETRIES,
    dims: Mapping[str, Any] | None = None,
    coords: Mapping[str, Any] | None = None,
    stream: str | None = None,
    options: Mapping[str, Any] | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> lazy.Run:
    """Return the run that `simulate` makes a Dataset of; what a recipe recorded is drawn so."""
    legacy = check_bool("legacy_global_rng", legacy_global_rng)
    rule = None if recorded is None else recorded.get("sampler")
    chosen, kind = choose(process, legacy, options, rule)
    interface, is_endless = chosen.interfaces[kind], n_paths is None
    count = check_int(
        "n_paths", lazy.ENDLESS if n_paths is None else n_paths, minimum=1, maximum=MAX_INDEX
    )
    if is_endless and chunks is not None:
        raise value_error("chunks", "None where n_paths is None", chunks)
    if recorded is None:  # what was recorded before there were these arguments keeps its rule
        check_no_parameter(process, interface)
    root = as_root_seed(seed, stream)
    on_error = check_choice("on_error", on_error, ("raise", "mask", "retry"))
    choice = check_choice("on_nonfinite", on_nonfinite, ("raise", "keep", "mask", "retry"))
    again = check_int("retries", retries, maximum=1000)
    chunk_policy.check_steps(T, at_once=interface.unit)
    x0 = plain_scalars(x0)
    digest, own_x0, is_lazy = per_path(process, x0, count)
    # Built-in processes need no trial, so that a lazy x0 is left alone here.
    needs_first = not (is_lazy and isinstance(process, Process)) or is_users(process)
    first_x0 = None
    if own_x0 is not None and needs_first:
        # What is in memory is not worth a way to a cluster.
        first_x0 = own_x0[..., :BLOCK].compute(**({} if is_lazy else {"scheduler": "synchronous"}))
    sampling = bind(
        process,
        T=T,
        dt=dt,
        times=times,
        x0=x0,
        seed=root,
        asked=Asked(
            dtype=check_dtypes(dtype),
            labels=check_labels(labels),
            dims=check_dims(dims),
            coords=check_coords(coords),
            per_path=own_x0 is not None,
            first_x0=first_x0,
        ),
        on_nonfinite="keep" if choice in ("keep", "mask") else "raise",
        options={} if options is None else options,
        legacy=legacy,
        recorded=recorded,
    )
    if recorded is None:  # what was stored is drawn again as it is
        check_resolution(sampling, own_x0, is_lazy)
    sampling = replace(
        sampling,
        keep=check_keep(keep, sampling.grid.T),
        on_error=on_error,  # type: ignore[arg-type]
        on_nonfinite=choice,  # type: ignore[arg-type]
        retries=again,
    )
    recipe = recipe_of(sampling, digest)
    backend = configured()
    workers = cores() if backend is None else backend.workers
    chunk = (
        lazy.ENDLESS_CHUNK
        if is_endless
        else chunk_policy.choose_chunk(
            count,
            sampling.path_bytes,
            chunks,
            workers,
            work_bytes=sampling.whole_path_bytes,
            is_loop=not interface.is_vectorised,
            local_workers=workers if backend is None or backend.is_local else 1,
            least_paths=interface.unit,
            worker_bytes=None if backend is None else backend.worker_bytes,
        )
    )
    asked = 0 if chunks is None or is_endless else -(-int(chunks) // BLOCK) * BLOCK
    return lazy.Run(sampling, count, chunk, recipe, own_x0, asked if asked > chunk else 0)


def to_dataset(run: lazy.Run) -> xr.Dataset:
    """Return a run as a Dataset."""
    coords = coordinates_of(run.sampling)
    arrays = lazy.arrays(run)
    variables = {
        variable.name: (
            (PATH, *variable.dims),
            arrays[variable.name],
            variable_attributes(variable) | masked_attribute(variable, run.sampling),
            label_encoding(variable) | masked_attribute(variable, run.sampling),
        )
        for variable in run.sampling.variables
    }
    return xr.Dataset(variables, coords, {ATTRIBUTE: json.dumps(dict(run.recipe))})


def coordinates_of(sampler: Sampler) -> dict[str, Any]:
    """Return the coordinates of the variables of a run: the times, and the labels of others."""
    found: dict[str, Any] = {dim: (dim, list(labels)) for dim, labels in sampler.coords.items()}
    if any(TIME in variable.dims for variable in sampler.variables):
        attributes = {"axis": "T", "long_name": "time"}
        found = {TIME: (TIME, sampler.times, attributes), **found}
    return found


def variable_attributes(variable: Any) -> dict[str, Any]:
    """Return the attributes of a variable: those of CF, and what its sampler said of it."""
    if variable.name == EVENT_TIME:
        return {"long_name": "time of the event"}
    if variable.labels is None:
        return dict(variable.attrs)
    codes = np.arange(len(variable.labels), dtype=variable.dtype)
    return {"flag_values": own_flags(codes), "flag_meanings": flag_meanings(variable.labels)}


def flag_meanings(labels: Iterable[Any]) -> str:
    """Return labels as CF has them for other programs: words, so that blanks are lost."""
    return " ".join(str(label).replace(" ", "_") for label in labels)


def own_flags(codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes as the flag_values of a run: read-only, which those of others are not.

    Arithmetic of xarray keeps attributes and drops the encoding. Where it has been at work, these
    flags are there without the labels of `label_encoding`, and no flags of what it made.
    """
    codes.setflags(write=False)
    return codes


def label_encoding(variable: Any) -> dict[str, Any]:
    """Return the entry of the encoding with code and label of each state, which loses nothing."""
    return {} if variable.labels is None else {LABELS: tuple(enumerate(variable.labels))}


def masked_attribute(variable: Any, sampling: Any) -> dict[str, Any]:
    """Return the attribute that tells the number of masked paths, where it is not NaN.

    It is an entry of the encoding too, which arithmetic drops: only there does it hold for sure.
    """
    is_masked = sampling.may_mask
    is_float = np.dtype(variable.dtype).kind == "f"
    return {"masked_value": variable.masked} if is_masked and not is_float else {}


def variables_of(obj: xr.DataArray | xr.Dataset) -> dict[Any, xr.Variable]:
    """Return the variables of a Dataset by name, or of a DataArray, without their coordinates.

    To give one of k variables its coordinates, xarray looks at all of them: k times that is k².
    """
    if isinstance(obj, xr.DataArray):
        return {obj.name: obj.variable}
    return {name: obj.variables[name] for name in obj.data_vars}


def recipe_in(ds: Any) -> dict[str, Any]:
    """Return the recipe that a Dataset carries; see `montezarr.parameters` for large ones.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not a Dataset, or not one of montezarr.
    """
    if not isinstance(ds, (xr.Dataset, xr.DataArray)):
        hint = "Pass its .dataset." if hasattr(ds, "dataset") else ""
        raise type_error("ds", "a Dataset from montezarr.simulate", ds, hint)
    text = ds.attrs.get(ATTRIBUTE)
    if not isinstance(text, str):
        raise value_error(
            "ds",
            f"a Dataset of montezarr, with attrs[{ATTRIBUTE!r}]",
            list(ds.attrs),
        )
    try:
        recipe = json.loads(text)
    except ValueError as error:
        raise value_error("ds", f"a recipe as JSON in attrs[{ATTRIBUTE!r}]", text) from error
    if not isinstance(recipe, dict) or not recipe.keys() >= RECIPE_KEYS:
        expected = f"a recipe with {', '.join(sorted(RECIPE_KEYS))} in attrs[{ATTRIBUTE!r}]"
        raise value_error("ds", expected, text)
    try:
        references(recipe, MOST)
    except (ValueError, TypeError, LookupError) as error:
        expected = f"a recipe that montezarr wrote in attrs[{ATTRIBUTE!r}]"
        raise value_error("ds", expected, str(error)) from error
    known = formats_of(recipe)
    if recipe["format"] not in known:
        hint = "It was made by another version of montezarr."
        expected = f"a recipe of format {' or '.join(map(str, known))}"
        raise value_error("ds", expected, recipe["format"], hint)
    return recipe
