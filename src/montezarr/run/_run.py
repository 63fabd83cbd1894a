"""The run: everything that determines the values of paths, and in which chunks they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from montezarr.core.checks import type_error, value_error
from montezarr.core.errors import ReplayError
from montezarr.core.json import parse_json
from montezarr.core.tunables.memory import CHUNK_WORKING_COPIES
from montezarr.random.seeding import BLOCK
from montezarr.run._arguments import ENDLESS_CHUNK, bind_arguments, check_paths
from montezarr.run._attributes import Carried, check_parts, check_recipe, recipe_told
from montezarr.run._policies import Policies, check_policies
from montezarr.run._provenance import Provenance
from montezarr.run._recipe import fingerprint
from montezarr.run._recorded import arguments_in, parameters_of
from montezarr.run._several import (
    RUNS,
    differing,
    is_of_several,
    recipe_of_several,
    states_of_several,
)
from montezarr.run._stored_states import stored_states
from montezarr.run._tasks_alive import run_of_recipe
from montezarr.run.chunk_policy import check_number
from montezarr.samplers import Sampler
from montezarr.samplers.joint import JointSampler

ENDLESS_ARRAY_PATHS = 2**40
"""Paths of the lazy arrays of a run without end, which Dask wants a number of."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Everything that determines the values of paths, and how they are chunked.

    Runs are equal if recipe, number of paths, chunks and policies are: the sampler may hold values
    that can neither be hashed nor compared, such as arrays.

    Attributes
    ----------
    sampler : Sampler
        The sampler that workers run, with its failure policies.
    n_paths : int or None
        Number of paths; None for an endless run, which is streamed until something stops it.
    chunk : int
        Paths per chunk of the lazy arrays: whole blocks, or a part of one where paths are slow.
    recipe : dict
        Everything that determines the values, as JSON.
    inputs : dask array (n_paths,) or (variables, n_paths), or None
        What differs from path to path and came as arrays: initial states; with parameters, a
        structured array of both, see `samplers.inputs`.
    asked : int
        Requested paths per chunk, whole blocks, or 0: a run of fewer paths has a smaller single
        chunk, but its store, which may grow, uses the requested size.
    whole : int
        Paths per chunk of a store, whole blocks, if the chunk is a part of a block; else 0.
    given_inputs : array, mapping of arrays and values, or None
        The same as the user gave it, if in memory: a store keeps it.
    together : tuple of Run
        The runs that an expression is made of, if this is a run of several; see `of_several`.
    """

    sampler: Sampler
    n_paths: int | None
    chunk: int
    recipe: Mapping[str, Any]
    inputs: Any = None
    asked: int = 0
    whole: int = 0
    given_inputs: Any = field(default=None, repr=False)
    together: tuple[Run, ...] = field(default=(), repr=False)
    # Shared by all copies that `replace` makes: the recipe is digested once.
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.fingerprint, self.n_paths, self.chunk, self.asked, self.policies

    @classmethod
    def of(
        cls, process: Any, n_paths: int | None, T: int | None = None, x0: Any = None,
        *, policies: Policies | None = None, **arguments: Any,
    ) -> Run:  # fmt: skip
        """Return the run for arguments of `simulate`.

        Parameters
        ----------
        policies : Policies, optional
            Replaces the arguments on_error, on_nonfinite and retries of `simulate`.
        **arguments
            As for `simulate`; but ``options``, those for the sampler, are a mapping.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError, MemoryBudgetError, SamplerError
            As from `simulate`.
        """
        chosen = Policies() if policies is None else policies
        return cls(**bind_arguments(process, n_paths, T, x0, policies=chosen, **arguments))

    @classmethod
    def of_several(cls, runs: Sequence[Run]) -> Run:
        """Return the run whose path i is path i of each of several runs; one is returned itself.

        Raises
        ------
        ArgumentValueError
            If they differ in what all paths must share, with both values; see `differing`.
        """
        if len(runs) == 1:
            return runs[0]
        first, found = runs[0], differing(runs)
        if found is not None:
            raise value_error("obj", *found)
        chunk = min(run.chunk for run in runs)
        whole = min(run.whole or run.chunk for run in runs)
        asked = min(run.store_chunk for run in runs)
        return cls(
            sampler=JointSampler.of([run.sampler for run in runs]),
            n_paths=first.n_paths,
            chunk=chunk,
            recipe=recipe_of_several([run.recipe for run in runs]),
            inputs=states_of_several([run.inputs for run in runs]),
            asked=asked if asked > whole else 0,
            whole=whole if whole > chunk else 0,
            together=tuple(runs),
        )

    @classmethod
    def from_recipe(
        cls, recipe: Any, process: Any = None, n_paths: int | None = None,
        *, x0: Any = None, chunks: int | None = None, policies: Policies | None = None,
    ) -> Run:  # fmt: skip
        """Return the run of a recipe with a number of paths: from a live run, or a new one.

        Parameters
        ----------
        recipe : mapping or str
            The recipe, as in ``attrs["montezarr"]`` of a Dataset.
        process : object, optional
            The sampler, if it is the user's own code.
        n_paths : int, optional
            Number of paths; a recipe has none.
        x0 : array or mapping of arrays, optional
            The initial states of the paths, if the recipe has only their digest. By default those
            of a store that was opened here; then their number is `n_paths`.
        chunks : int, optional
            Paths per chunk.
        policies : Policies, optional
            The failure policies. By default those of the live run; without one, nonfinite paths
            pass, since existing paths may be nonfinite.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it is no recipe, or `n_paths`, `chunks` or `policies` are not valid.
        ReplayError
            If the sampler is neither alive in this process, nor built in, nor given as `process`;
            or if the given `process` is another one.
        StoreError
            If a large parameter of the recipe, or initial states in a store, are lost.
        """
        n_paths, chunks = check_paths(n_paths, chunks)
        if policies is not None:
            check_policies(policies)
        if isinstance(recipe, str):
            try:
                recipe = parse_json(recipe, most=None)
            except ValueError as error:
                raise value_error("recipe", "a recipe as JSON", recipe) from error
        if not isinstance(recipe, Mapping):
            raise type_error("recipe", "a mapping, or JSON", recipe)
        return cls._recorded(
            check_recipe(dict(recipe)), process, n_paths, x0=x0, chunks=chunks, policies=policies
        )

    @classmethod
    def _recorded(
        cls, recipe: dict[str, Any], process: Any, n_paths: int | None,
        *, x0: Any = None, chunks: int | None = None, policies: Policies | None = None,
    ) -> Run:  # fmt: skip
        """Return the run of a recipe that was checked; see `from_recipe`."""
        if is_of_several(recipe):
            each = [check_recipe(dict(one)) for one in recipe[RUNS]]
            if process is not None:
                raise value_error("process", "None, for the recipe of several runs", process)
            return cls.of_several(
                [
                    cls._recorded(one, None, n_paths, chunks=chunks, policies=policies)
                    for one in each
                ]
            )
        check_parts(recipe)
        given = parameters_of(recipe, process)  # keeps the parameters registered until the end
        key = fingerprint(recipe)
        live = None if process is not None else run_of_recipe(key)
        if live is not None:
            found: Run = live if policies is None else live.under(policies)
            return found._as_long_as(n_paths, chunks)
        if policies is None:
            policies = Policies(on_nonfinite="keep")
        stored = stored_states(recipe) if x0 is None else None
        if stored is not None:  # as many paths as there are states
            x0, n_paths = stored
        arguments = arguments_in(recipe, process, x0)
        run = cls.of(**arguments, n_paths=n_paths, chunks=chunks, policies=policies)
        if run.fingerprint != key:
            raise ReplayError("process: not the sampler that this Dataset was simulated with.")
        del given
        return run

    @classmethod
    def behind(cls, obj: Any, process: Any = None) -> Run:
        """Return the run behind an object.

        A live run of this process whose arrays the lazy variables are made of comes first. Else
        the run is made from the recipe in the attributes of a Dataset, or of the store that lazy
        variables are read from.

        Parameters
        ----------
        obj : Dataset, DataArray, SimulationResult or Snapshot
            Made by montezarr, or derived from such an object.
        process : object, optional
            The sampler, if it is the user's own code: then a new run is made.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If there is no run behind the object.
        ReplayError, StoreError
            As from `from_recipe`.
        """
        told = getattr(type(obj), "_run_behind", None)
        if told is None:
            return cls.made_of(Provenance.of(obj), process)
        found: Run = told(obj, process)
        return found

    @classmethod
    def made_of(cls, made: Provenance, process: Any = None) -> Run:
        """Return the run behind an object of which the provenance is known; see `behind`."""
        live: list[Run] = made.runs
        if process is None and made.is_lazy and len(live) == 1:
            return live[0]
        if process is None and len(live) > 1:  # take the one whose recipe is in the attributes
            told = recipe_told(made.obj.attrs)
            mine = [run for run in live if told and run.fingerprint == fingerprint(told)]
            if mine:
                return mine[0]
            if not told and len(live) == len(made.origins):
                return cls.of_several(live)
        recipe = made.recipe
        policies = None if made.carried is None else made.carried.policies
        return cls._recorded(recipe, process, made.n_paths, chunks=made.asked, policies=policies)

    def in_chunks(self, chunk: int) -> Run:
        """Return the run with other chunks, of whole blocks."""
        return replace(self, chunk=chunk, whole=0)

    def under(self, policies: Policies) -> Run:
        """Return the run with other failure policies."""
        return replace(self, sampler=policies.on(self.sampler))

    def _as_long_as(self, n_paths: int | None, chunks: int | None) -> Run:
        """Return the run with another length, which its inputs limit."""
        if self.inputs is not None:
            return self
        if n_paths is None:
            return replace(self, n_paths=None, chunk=ENDLESS_CHUNK, asked=0, whole=0)
        if chunks is None:
            if n_paths == self.n_paths:
                return self
            chunk = (self.whole or self.chunk) if self.n_paths is not None else BLOCK
            check_number(n_paths, chunk, self.path_bytes)
            return replace(self.in_chunks(chunk), n_paths=n_paths)
        asked, blocks = (-(-count // BLOCK) * BLOCK for count in (chunks, n_paths))
        chunk = min(asked, blocks)
        check_number(n_paths, chunk, self.path_bytes)
        asked = asked if asked > chunk else 0
        return replace(self.in_chunks(chunk), n_paths=n_paths, asked=asked)

    @property
    def parts(self) -> tuple[Run, ...]:
        """The runs that it is made of: itself, unless it is one of several."""
        return self.together or (self,)

    @property
    def policies(self) -> Policies:
        """The failure policies."""
        return Policies.of(self.sampler)

    @property
    def is_endless(self) -> bool:
        """Whether the run has no number of paths: it is streamed until something stops it."""
        return self.n_paths is None

    @property
    def length(self) -> int:
        """Number of paths; that of the placeholder arrays for an endless run."""
        return ENDLESS_ARRAY_PATHS if self.n_paths is None else self.n_paths

    @property
    def carried(self) -> Carried:
        """The part of the run that a Dataset carries beside the recipe."""
        return Carried(self.policies, self.asked, self.is_endless)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the recipe."""
        if self._known.get("recipe") is not self.recipe:
            self._known.update(fingerprint=fingerprint(self.recipe), recipe=self.recipe)
        known: str = self._known["fingerprint"]
        return known

    @property
    def store_chunk(self) -> int:
        """Paths per chunk of a store."""
        return max(self.chunk, self.asked, self.whole)

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.length // self.chunk)

    @property
    def path_bytes(self) -> int:
        """Bytes of one path in memory."""
        return self.sampler.path_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk in memory."""
        return min(self.chunk, self.length) * self.path_bytes

    @property
    def scratch_bytes(self) -> int:
        """Peak bytes of complete paths in memory beside those of the chunk."""
        return self.sampler.scratch_bytes(self.length)

    @property
    def working_bytes(self) -> int:
        """Bytes that one worker needs to draw a chunk and to write or reduce it."""
        return (self.chunk_bytes + self.scratch_bytes) * CHUNK_WORKING_COPIES

    def range_of(self, chunk: int) -> tuple[int, int]:
        """Return the path range (start, stop) of a chunk."""
        return chunk * self.chunk, min((chunk + 1) * self.chunk, self.length)
