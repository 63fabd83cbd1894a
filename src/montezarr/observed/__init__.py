"""What statistics are taken of: any xarray object with paths, as tasks that fold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import xarray as xr
from dask.base import is_dask_collection, tokenize

from montezarr import cost
from montezarr._checks import check_callable, value_error
from montezarr.backends import Backend, configured
from montezarr.backends.threads import Threads
from montezarr.choice import backend_of
from montezarr.digests import digest_of
from montezarr.folding import Arrays
from montezarr.observed._computed import ComputedFeed
from montezarr.observed._drawn import DrawnFeed
from montezarr.observed._feed import Cuts, Feed, no_cuts
from montezarr.observed._labels import are_codes, in_state, labels_in_recipe, labels_of
from montezarr.observed._masks import masks_of
from montezarr.observed._memory import MemoryFeed
from montezarr.observed._noise import noise_of, warn_of_sums
from montezarr.observed._observer import Chain, Observer, is_pathwise, observed_schema
from montezarr.observed._paths import PathIndices, path_indices
from montezarr.observed._program import Program, Unlike, program_of
from montezarr.observed._schema import (
    Observed,
    Schema,
    as_dataset,
    check_masks,
    schema_of,
)
from montezarr.observed._times import STEPS, seconds_of
from montezarr.run._arrays import chunk_sizes, name_of
from montezarr.run._behind import is_endless, is_untouched, undrawn_run
from montezarr.run._origins import run_in
from montezarr.run._run import Run
from montezarr.run._variables import variables_of
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import PATH, TIME
from montezarr.seeding import BLOCK

__all__ = [
    "PATH",
    "STEPS",
    "TIME",
    "Cuts",
    "DrawnFeed",
    "Feed",
    "Observed",
    "PathIndices",
    "Schema",
    "are_codes",
    "as_dataset",
    "feed_of",
    "in_state",
    "labels_in_recipe",
    "labels_of",
    "no_cuts",
    "noise_of",
    "path_indices",
    "schema_of",
    "seconds_of",
    "warn_of_sums",
]

TRIAL = 2 * BLOCK
"""Paths on which an expression is tried; four where they are drawn one at a time."""

TRIAL_BYTES = 2**25
"""Bytes of such paths, at most."""


def feed_of(ds: xr.Dataset, observe: Callable[[xr.Dataset], Any] | None = None) -> Feed:
    """Return the paths of a Dataset, of which every variable has paths, as a feed.

    Simulated paths are drawn in any range, and what an expression makes of them is computed there,
    where the expression treats all chunks alike. Others are computed in the chunks that they have.

    Parameters
    ----------
    ds : Dataset
        Lazy or not.
    observe : callable, optional
        From a Dataset in memory to what statistics see in its place.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `observe` is no such function.
    SamplerError
        If the sampler fails on its first paths.

    Warns
    -----
    CommonNoiseWarning
        If an expression adds variables of different runs on one seed and stream.
    """
    if observe is not None:
        check_callable("observe", observe, "(Dataset in memory)")
    schema = schema_of(ds)
    behind = run_in(ds)
    if behind is not None:  # an array has no recipe, but the graph of a lazy one tells
        schema = replace(schema, run_times=behind.sampler.times)
    lazies = [is_dask_collection(variable.data) for variable in variables_of(ds).values()]
    if not any(lazies):
        check_masks(schema)
        observer, schema = _observer(observe, schema, lambda: _first(ds, BLOCK))
        return MemoryFeed(
            ds, schema, _somewhere(), observe=observer, how="in memory",
            key=lambda: _key(tokenize(ds), observe),
        )  # fmt: skip
    warn_of_sums(ds)
    reason = "some variables are in memory"
    run = undrawn_run(ds) if all(lazies) else None
    if run is None and is_endless(ds):
        raise value_error("obj", "one run without end", "several", "Pass n_paths= to simulate.")
    if all(lazies) and run is None:
        reason = "not of one simulation in this process"
    if run is not None:
        try:
            return _drawn(ds, run, schema, observe)
        except Unlike as error:
            reason = str(error)
            if run.is_endless:
                raise value_error(
                    "obj", "an expression that treats every path alike, since there is no end",
                    reason, "Pass n_paths= to simulate.",
                ) from error  # fmt: skip
    if not all(lazies):
        ds = ds.chunk({PATH: _common_chunks(ds)})
    check_masks(schema)
    backend = _somewhere() if run is None else backend_of(run)
    observer, schema = _observer(observe, schema, lambda: _first(ds, 8))
    names = [variable.data.name for variable in variables_of(ds).values()]

    def key() -> str:  # names of Dask's arrays tell functions by their names alone
        return _key(tokenize(names, feed.code()), observe)

    feed = ComputedFeed(
        ds,
        schema,
        backend,
        observe=observer,
        how=f"chunk by chunk ({reason})",
        key=key,
        drawn_bytes=0 if run is None else run.path_bytes,
        masks=masks_of(behind),
    )
    return feed


def _drawn(ds: xr.Dataset, run: Run, schema: Schema, observe: Any) -> DrawnFeed:
    """Return the feed of a run, or raise Unlike."""
    program: Any = None if _is_plain(ds, run) else _program(ds, run)
    token = program.token if program is not None else str
    policies = f"{run.sampler.on_error}-{run.sampler.on_nonfinite}"
    if program is not None or observe is not None:
        most = max(4, TRIAL_BYTES // max(1, run.path_bytes))
        n = min(TRIAL if run.sampler.interface.is_vectorised else 4, most, run.length)
        drawn = cost.first_paths(run, n)
        arrays = _tried(program, drawn)
        observer, schema = _observer(observe, schema, lambda: arrays, is_drawn=True)
        if observer is not None:
            program = Chain(program, observer)
    made = "" if program is None else ", with what is made of them"
    return DrawnFeed(
        run, schema, backend_of(run), program=program,
        how=f"block by block (paths are drawn in any range{made})",
        key=lambda: _key(f"{run.fingerprint}-{policies}-{token()}", observe),
    )  # fmt: skip


def _tried(program: Program | None, drawn: PathArrays) -> Arrays:
    """Return what a program makes of a few paths, or raise Unlike if it is not for any range."""
    if program is None:
        return list(drawn.values())
    try:
        arrays = program(drawn)
        alike = program.keeps_paths(drawn) and is_pathwise(program, drawn, arrays)
    except Exception as error:
        raise Unlike(f"it cannot be computed in parts: {type(error).__name__}") from error
    if not alike:
        raise Unlike("what it makes of a path depends on others")
    return arrays


def _program(ds: xr.Dataset, run: Run) -> Program:
    arrays = [(v.data, v.dims.index(PATH)) for v in variables_of(ds).values()]
    try:
        return program_of(arrays, name_of(run), chunk_sizes(run))
    except Unlike:
        raise
    except Exception as error:  # another version of Dask may have other graphs
        raise Unlike(f"its graph is not understood: {type(error).__name__}") from error


def _is_plain(ds: xr.Dataset, run: Run) -> bool:
    """Return whether the variables are those that a run draws, in their order."""
    known = {variable.name: (PATH, *variable.dims) for variable in run.sampler.variables}
    names = list(known)
    if [v.dims for v in variables_of(ds).values()] != list(known.values()):
        return False  # the dimensions may have other names than they had
    if list(ds.data_vars) == names and is_untouched(ds, run):
        return True
    first = next(iter(ds.data_vars.values()))
    is_array = len(names) == 1 and len(ds.data_vars) == 1
    return is_array and first.data.name == name_of(run)


def _observer(
    observe: Any, schema: Schema, first: Callable[[], Arrays], *, is_drawn: bool = False
) -> tuple[Observer | None, Schema]:
    if observe is None:
        return None, schema
    observer = Observer(observe, schema)
    return observer, observed_schema(observer, first(), is_drawn=is_drawn)


def _first(ds: xr.Dataset, n: int) -> Arrays:
    part = ds.isel({PATH: slice(0, n)}).compute()
    return [v.transpose(..., PATH).values for v in variables_of(part).values()]


def _common_chunks(ds: xr.Dataset) -> tuple[int, ...]:
    """Return the chunks of the paths of the variable that has them."""
    for variable in variables_of(ds).values():
        if is_dask_collection(variable.data):
            return tuple(variable.data.chunks[variable.dims.index(PATH)])
    raise AssertionError


def _somewhere() -> Backend:
    return configured() or Threads(reason="auto: what releases the GIL, mostly")


def _key(token: str, observe: Any) -> str:
    return token if observe is None else f"{token}-{digest_of(observe, 'observe')}"
