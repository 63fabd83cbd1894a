"""A chunk function: what Dask's graph does with one chunk, run on any range of paths."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from montezarr.core.checks import without_mask
from montezarr.core.compat.dask import Alias, contents_of
from montezarr.reduction.sources._sized_tasks import NoChunkFunction, SizedTask
from montezarr.run._task import as_block
from montezarr.run.digests import digest_of_code
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import count_of, first_paths_of

TRIAL_PATHS_MIN = 4
"""Paths on which it can be tried whether an expression treats all alike."""


@dataclass(frozen=True, slots=True)
class GraphSource:
    """The array of a run in a graph.

    Attributes
    ----------
    name : str
        Its name.
    chunks : tuple of int
        Paths of each of its chunks.
    leads : dict of str to int
        Number of dimensions before that of the paths, by variable of the run.
    names : dict of str to str
        Name of each of these variables among those that are drawn.
    """

    name: str
    chunks: tuple[int, ...]
    leads: Mapping[str, int]
    names: Mapping[str, str]

    def block(self, drawn: PathArrays) -> Any:
        """Return the chunk of drawn paths, in the memory layout of the chunks of the run.

        NumPy's sums depend on that layout.
        """
        return as_block({own: drawn[name] for own, name in self.names.items()}, self.leads)


class ChunkFunction:
    """The tasks of one chunk, run on any range of paths.

    Parameters
    ----------
    steps : list of (key, task)
        In topological order.
    sources : dict of key to GraphSource
        The runs by the keys of their paths, in order.
    outputs : list of (key, int)
        Keys of the results, each with its axis of the paths.
    of_paths : set of key, optional
        Steps that depend on paths, where it is yet to be tested that they keep paths apart.
    """

    def __init__(
        self,
        steps: list[tuple[Any, Any]],
        sources: Mapping[Any, GraphSource],
        outputs: list[tuple[Any, int]],
        of_paths: frozenset[Any] = frozenset(),
    ):
        self.steps, self.sources, self.outputs = steps, dict(sources), outputs
        self.of_paths = of_paths
        kept = {*sources, *(key for key, _ in outputs)}
        last: dict[Any, int] = {}
        for i, (_, step) in enumerate(steps):
            for name in step.dependencies:
                last[name] = i
        self._done: list[list[Any]] = [[] for _ in steps]
        for name, i in last.items():
            if name not in kept:
                self._done[i].append(name)

    def __call__(self, drawn: PathArrays) -> list[NDArray[Any]]:
        """Return the outputs, each with the paths along its last axis."""
        return self._run(drawn, {})

    def tried(self, drawn: PathArrays) -> list[NDArray[Any]]:
        """Return the outputs for a few paths, on which it is tried whether any range will do.

        Raises
        ------
        NoChunkFunction
            If not, with the reason.
        """
        try:
            arrays = self(drawn)
            alike = self.keeps_paths(drawn) and is_pathwise(self, drawn, arrays)
        except Exception as error:
            reason = f"it cannot be computed in parts: {type(error).__name__}"
            raise NoChunkFunction(reason) from error
        if not alike:
            raise NoChunkFunction("what it makes of a path depends on others")
        return arrays

    def keeps_paths(self, drawn: PathArrays) -> bool:
        """Return whether every step has an axis of the length of the paths.

        The tasks of two chunks of one graph show that; with one chunk it is tested.
        """
        n = count_of(drawn)
        if not self.of_paths:
            return True
        if n < TRIAL_PATHS_MIN:
            return False
        fewer = max(TRIAL_PATHS_MIN - 1, n // 2 - 1)
        long: dict[Any, list[tuple[int, ...]]] = {}
        short: dict[Any, list[tuple[int, ...]]] = {}
        self._run(drawn, long)
        self._run(first_paths_of(drawn, fewer), short)
        return all(
            len(long[key]) == len(short[key])
            and all(_follows(a, b, n, fewer) for a, b in zip(long[key], short[key], strict=True))
            for key in self.of_paths
        )

    def _run(
        self, drawn: PathArrays, shapes: dict[Any, list[tuple[int, ...]]]
    ) -> list[NDArray[Any]]:
        """Return the outputs, and record the shapes of the steps in `of_paths`."""
        values = {key: source.block(drawn) for key, source in self.sources.items()}
        n = count_of(drawn)
        for (key, step), done in zip(self.steps, self._done, strict=True):
            task = step.of(n) if isinstance(step, SizedTask) else step
            values[key] = task({name: values[name] for name in task.dependencies})
            if key in self.of_paths:
                shapes[key] = list(_shapes_in(values[key]))
            for name in done:  # no later step needs it
                del values[name]
        return [np.moveaxis(without_mask(values[key]), axis, -1) for key, axis in self.outputs]

    def token(self) -> str:
        """Return a digest of the steps that does not depend on the names of keys."""
        if len(self.sources) > 1:
            return self._token_of_several()
        names = dict.fromkeys(self.sources, "source")
        parts: list[Any] = []
        for i, (key, step) in enumerate(self.steps):
            task = step.of(1) if isinstance(step, SizedTask) else step
            parts.append(_told(task, sorted(task.dependencies, key=str), names))
            names[key] = f"step-{i}"
        return self._digest(parts, names)

    def _token_of_several(self) -> str:
        """Return the digest for several runs, which does not depend on the chunks of either.

        That of one run is older: it has aliases, and takes what a task needs in the order of keys.
        """
        names = {key: f"source-{i}" for i, key in enumerate(self.sources)}
        parts: list[Any] = []
        for key, step in self.steps:
            task = step.of(1) if isinstance(step, SizedTask) else step
            if isinstance(task, Alias):
                names[key] = names[task.target]
                continue
            needed = sorted(task.dependencies, key=names.__getitem__)
            parts.append(_told(task, needed, names))
            names[key] = f"step-{len(parts)}"
        return self._digest(parts, names)

    def _digest(self, parts: list[Any], names: Mapping[Any, str]) -> str:
        code = digest_of_code(f for _, step in self.steps for f in functions_in(step))
        return str(tokenize(parts, code, [(names[key], axis) for key, axis in self.outputs]))


def _told(task: Any, needed: list[Any], names: Mapping[Any, str]) -> tuple[Any, ...]:
    """Return the parts of a task that make a difference, with these names in place of keys."""
    renamed = task.substitute({name: names[name] for name in task.dependencies})
    what = ("func", "args", "kwargs", "value", "target")
    used = [names[name] for name in needed]
    return (used, type(task).__name__, *(getattr(renamed, w, None) for w in what))


def is_pathwise(
    function: Callable[[Any], list[NDArray[Any]]],
    arrays: list[NDArray[Any]] | PathArrays,
    whole: list[NDArray[Any]] | None = None,
) -> bool:
    """Return whether paths alone, in parts and in reverse order give the same as all together.

    `whole` is the result for all paths, if it is known.
    """
    several = arrays if isinstance(arrays, dict) else dict(enumerate(arrays))
    n = next(iter(several.values())).shape[-1]
    if n < 4:
        return True
    whole = function(arrays) if whole is None else whole
    splits = sorted({0, 2, n // 32, n // 2, n})
    parts = [slice(a, b) for a, b in itertools.pairwise(splits) if b - a > 1]
    for part in [*parts, slice(None, None, -1)]:
        some = {name: np.ascontiguousarray(array[..., part]) for name, array in several.items()}
        sample = some if isinstance(arrays, dict) else list(some.values())
        pairs = zip(whole, function(sample), strict=True)
        if not all(np.array_equal(a[..., part], b, equal_nan=True) for a, b in pairs):
            return False
    return True


def functions_in(thing: Any) -> Iterator[Any]:
    """Yield the functions and classes that a task, or a part of one, may call."""
    if isinstance(thing, SizedTask):
        thing = thing.task
    contents = contents_of(thing)
    if contents is not None:
        yield from functions_in(contents)
    elif isinstance(thing, functools.partial):
        yield from functions_in([thing.func, *thing.args, *thing.keywords.values()])
    elif isinstance(thing, dict):
        yield from functions_in(list(thing.values()))
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from functions_in(part)
    elif callable(thing):
        yield thing


def _shapes_in(value: Any) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of the arrays in a value: partial means and the like are dicts of arrays."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _shapes_in(part)
    else:
        yield np.shape(value)


def _follows(long: tuple[int, ...], short: tuple[int, ...], n: int, fewer: int) -> bool:
    """Return whether exactly one axis changes with the number of paths, as a multiple of it."""
    differing = [pair for pair in zip(long, short, strict=False) if pair[0] != pair[1]]
    if len(long) != len(short) or len(differing) != 1:
        return False
    times = differing[0][0] // n
    return differing == [(times * n, times * fewer)]
