"""Check the arguments of `simulate` and make the fields of a run of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from montezarr.core.checks import MAX_INDEX, check_bool, check_choice, check_int, value_error
from montezarr.core.tunables.scheduling import SLOW_PATH_SECONDS
from montezarr.execute import configured, cores
from montezarr.random.seeding import BLOCK, as_root_seed
from montezarr.run import chunk_policy
from montezarr.run._first_scenario import (
    FirstScenario,
    check_no_argument,
    check_parameters,
    first_scenario,
    telling_of_arrays,
)
from montezarr.run._inputs import with_arrays
from montezarr.run._max_events import S, check_max_events, with_measured
from montezarr.run._policies import Policies, check_policies
from montezarr.run._recipe import recipe_of
from montezarr.run._scenarios import check_resolutions, check_varied, varied_sampler
from montezarr.run._stopping import stop_to_recipe
from montezarr.run._vary_argument import check_vary
from montezarr.run._x0 import PathStates, first_block, per_path, plain_scalars
from montezarr.run.first_path import keep_seconds
from montezarr.samplers import Sampler, bind, choose_sampler
from montezarr.samplers.arguments import (
    check_coords,
    check_dims,
    check_dtypes,
    check_keep,
    check_labels,
)
from montezarr.samplers.binding import check_no_parameter
from montezarr.samplers.resolution import check_resolution
from montezarr.samplers.schema import EVENT, Asked
from montezarr.samplers.stopped import with_rule

ENDLESS_CHUNK = 2**30
"""Paths per chunk of a run without end: a graph of a thousand chunks, of which none is drawn."""


def bind_arguments(
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
    dims: Mapping[str, Any] | None = None,
    coords: Mapping[str, Any] | None = None,
    vary: Any = None,
    noise: str = "common",
    max_events: Any = None,
    on_overflow: str = "raise",
    until: Any = None,
    after_stop: str = "hold",
    names: tuple[str, ...] = (),
    policies: Policies,
    legacy_global_rng: bool = False,
    options: Mapping[str, Any] | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of the `Run` for arguments of `simulate`.

    Parameters
    ----------
    policies : Policies
        Replaces the arguments on_error, on_nonfinite and retries.
    names : tuple of str
        Names of the variables, if a recipe records them.
    recorded : mapping, optional
        A recipe to draw again, by the rules of the version that wrote it.
    """
    check_policies(policies)
    check_bool("legacy_global_rng", legacy_global_rng)
    given = {} if options is None else options
    n_paths, chunks = check_paths(n_paths, chunks)
    rooms = check_max_events(max_events)
    cuts = check_choice("on_overflow", on_overflow, ("raise", "truncate")) == "truncate"
    _check_after_stop(until, after_stop)
    varying = check_vary(vary, noise, n_paths)
    check_no_argument(varying, process)
    own, known = {**given, **dict.fromkeys(varying.own_names)}, (recorded or {}).get("sampler")
    chosen, kind = choose_sampler(process, legacy_global_rng, own, known)
    interface = chosen.interfaces[kind]
    if recorded is None:  # a recipe older than these arguments keeps its rule
        check_no_parameter(process, interface)
    root = as_root_seed(seed, stream)
    chunk_policy.check_steps_fit(T, at_once=interface.unit)
    x0 = plain_scalars(x0)
    arguments = {"x0": x0, "dt": dt, "times": times}
    check_parameters(varying, process, interface, given, arguments)
    first = first_scenario(varying, process, given, arguments, root, interface.unit)
    states = per_path(process, interface, x0, n_paths)
    asked = _asked(dtype, labels, dims, coords, names, rooms, cuts, states, first, recorded)
    with telling_of_arrays(varying, interface.unit):
        sampler = bind(
            first.process, chosen, kind, T=T, dt=first.dt, times=times, x0=first.x0, seed=root,
            asked=asked, on_nonfinite=_first_on_nonfinite(policies, until),
            options=first.options, recorded=recorded,
        )  # fmt: skip
    _check_events(sampler, rooms, cuts)
    if until is not None:
        sampler = with_rule(sampler, until, after_stop, asked.first_x0)
    inputs, kept = states.array, states.given
    sampler = replace(sampler, keep=check_keep(keep, sampler.grid.T))
    is_new = recorded is None  # a stored run is drawn again without new checks
    if varying.names:
        chunk_policy.check_scenarios_fit(n_paths, sampler.path_bytes, varying.count)
        varied = varied_sampler(varying, sampler, process, given, x0, root)
        if is_new:
            check_resolutions(varied, varying, states.array, states.is_lazy)
        inputs, kept = with_arrays(varying, inputs, kept)
        varied = _with_room(varied, rooms, inputs, is_lazy=kept is None)
        if varying.by_path and first.is_tried:
            check_varied(varied, first_block(inputs, is_lazy=kept is None))
        sampler = varied
    else:
        sampler = _with_room(sampler, rooms, inputs, is_lazy=states.is_lazy)
        if is_new and not sampler.has_events:
            check_resolution(sampler, states.array, states.is_lazy)
    sampler = policies.on(sampler)
    told = varying.to_recipe() | stop_to_recipe(until, after_stop)
    recipe = recipe_of(sampler, states.digest) | told
    return {
        "sampler": sampler,
        "n_paths": n_paths,
        "recipe": recipe,
        "inputs": inputs,
        "given_inputs": kept,
        **_chunks(sampler, recipe, varying.count, asked.took, n_paths, chunks),
    }


def _with_room(sampler: S, rooms: Mapping[str, int | None], inputs: Any, *, is_lazy: bool) -> S:
    """Return the sampler with room for the events of its paths, if these have any."""
    if not sampler.has_events:
        return sampler
    return with_measured(sampler, rooms, first_block(inputs, is_lazy=is_lazy))


def _asked(
    dtype: Any, labels: Any, dims: Any, coords: Any, names: tuple[str, ...],
    rooms: Mapping[str, int | None], cuts: bool, states: PathStates, first: FirstScenario,
    recorded: Mapping[str, Any] | None,
) -> Asked:  # fmt: skip
    """Return what the caller says of the variables, checked."""
    return Asked(
        dtype=check_dtypes(dtype),
        labels=check_labels(labels),
        dims=check_dims(dims),
        coords=check_coords(coords),
        names=names,
        max_events=rooms,
        cuts=cuts,
        per_path=states.array is not None or not first.has_x0,
        # Built-in processes need no trial, so a lazy x0 is not computed for them.
        first_x0=states.first() if first.is_tried or not states.is_lazy else None,
        # In an older recipe a dimension of this name is as any other.
        events=frozenset({*rooms, *([] if recorded else [EVENT])}),
    )


def _chunks(
    sampler: Sampler, recipe: Mapping[str, Any], scenarios: int, took: Sequence[float],
    n_paths: int | None, chunks: int | None,
) -> dict[str, int]:  # fmt: skip
    """Return the paths of a chunk, the requested ones if they are more, and those in a store.

    The last differ where a block of paths takes too long: a chunk is a part of one then. What a
    path took is kept. That of a fast path is mostly the call, of which many take less.
    """
    chunk, asked = _chunk(sampler, n_paths, chunks)
    found = {"chunk": chunk, "asked": asked, "whole": 0}
    if not sampler.draws_single_paths:
        return found
    alone = min(took, default=0.0)
    kept = keep_seconds(recipe, scenarios * alone if alone >= SLOW_PATH_SECONDS else 0.0)
    if n_paths is None or chunks is not None or kept < SLOW_PATH_SECONDS:
        return found
    part = chunk_policy.paths_of_part(kept, n_paths, _workers())
    return found if part is None else {"chunk": part, "asked": asked, "whole": chunk}


def _check_after_stop(until: Any, after_stop: Any) -> None:
    check_choice("after_stop", after_stop, ("hold", "nan"))
    if until is None and after_stop != "hold":
        expected = "'hold', unless until= says when paths stop"
        raise value_error("after_stop", expected, after_stop)


def _first_on_nonfinite(policies: Policies, until: Any) -> Literal["raise", "keep"]:
    """Return the policy of the trial: a path may leave the range of numbers after its stop."""
    is_kept = policies.on_nonfinite in ("keep", "mask") or until is not None
    return "keep" if is_kept else "raise"


def _check_events(sampler: Sampler, rooms: Mapping[str, Any], cuts: bool) -> None:
    """Raise for arguments about events of a process whose paths have none."""
    if sampler.has_events:
        return
    for name, value in (("max_events", rooms or None), ("on_overflow", "truncate" if cuts else "")):
        if value:
            raise value_error(
                name, "none, for a process whose paths have no events", value,
                "dims={'name': ('event',)} says that an array differs in length.",
            )  # fmt: skip


def _workers() -> int:
    backend = configured()
    return cores() if backend is None else backend.workers


def check_paths(n_paths: Any, chunks: Any) -> tuple[int | None, int | None]:
    """Return the number of paths, None for endless, and the requested paths per chunk.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If they are not valid numbers.
    """
    if n_paths is not None:
        n_paths = check_int("n_paths", n_paths, minimum=1, maximum=MAX_INDEX)
    elif chunks is not None:
        raise value_error("chunks", "None where n_paths is None", chunks)
    return n_paths, None if chunks is None else chunk_policy.check_asked(chunks)


def _chunk(sampler: Sampler, n_paths: int | None, chunks: int | None) -> tuple[int, int]:
    """Return the paths per chunk, and the requested ones if they are more."""
    if n_paths is None:
        return ENDLESS_CHUNK, 0
    backend, workers = configured(), _workers()
    chunk = chunk_policy.choose_chunk(
        n_paths,
        sampler.path_bytes,
        chunks,
        workers,
        work_bytes=sampler.whole_path_bytes,
        is_loop=not sampler.interface.is_vectorised,
        local_workers=workers if backend is None or backend.is_local else 1,
        least_paths=sampler.interface.unit,
        worker_bytes=None if backend is None else backend.worker_bytes,
        scenarios=max(variable.scenarios for variable in sampler.variables),
    )
    asked = 0 if chunks is None else -(-chunks // BLOCK) * BLOCK
    return chunk, asked if asked > chunk else 0
