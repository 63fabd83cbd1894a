"""Hypothesis strategies for arguments that paths depend on, and for those they must not.

Each strategy shrinks towards the simplest case: one path, one chunk, the first range, seed 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from montezarr.processes import Process
from montezarr.random.seeding import BLOCK
from montezarr.testing.processes import built_in_examples

__all__ = [
    "chunk_sizes",
    "keeps",
    "path_indices",
    "path_selections",
    "processes",
    "schedulers",
    "seeds",
]


def processes() -> st.SearchStrategy[Process]:
    """Return a strategy for the examples of every built-in process."""
    return st.sampled_from(built_in_examples())


def seeds() -> st.SearchStrategy[Any]:
    """Return a strategy for all types of seeds of `simulate`, except None."""
    word = st.one_of(st.integers(0, 2**32), st.integers(0, 2**200))
    words = st.lists(word, min_size=1, max_size=4)
    sequence = st.builds(
        np.random.SeedSequence,
        word,
        spawn_key=st.lists(st.integers(0, 2**40), max_size=2).map(tuple),
        pool_size=st.sampled_from((4, 8)),
    )
    return st.one_of(word, words, words.map(tuple), sequence)


def chunk_sizes(n_paths: int) -> st.SearchStrategy[int]:
    """Return a strategy for ``chunks=``, whole blocks or not, larger than the run or not."""
    return st.one_of(
        st.integers(1, n_paths + BLOCK),
        st.integers(1, 1 + n_paths // BLOCK).map(lambda blocks: blocks * BLOCK),
    )


def path_indices() -> st.SearchStrategy[int]:
    """Return a strategy for path indices, near 0, at the edges of blocks and words, and far away.

    None lies in the last block below 2**63, which `replay` does not serve.
    """
    edges = st.sampled_from((BLOCK, 2**32, 2**40, 2**62))
    near_edges = st.tuples(edges, st.integers(-2, 2)).map(sum)
    return st.one_of(st.integers(0, 5000), near_edges, st.integers(0, 2**63 - 1 - 2 * BLOCK))


def path_selections(n_paths: int) -> st.SearchStrategy[slice | list[int]]:
    """Return a strategy for arguments of ``isel(path=...)``: slices with steps, and lists."""
    fancy = st.lists(st.integers(0, n_paths - 1), min_size=1, max_size=6)
    return st.one_of(st.slices(n_paths), fancy)


def keeps(T: int) -> st.SearchStrategy[int | list[int]]:
    """Return a strategy for ``keep=``: a step, or increasing positions, also from the end."""
    positions = st.sets(st.integers(0, T), min_size=1).map(sorted)
    mirrored = st.tuples(positions, st.integers(0, 2**16)).map(
        lambda pair: [k - T - 1 if pair[1] >> (k % 16) & 1 else k for k in pair[0]]
    )
    return st.one_of(st.integers(1, max(T, 1)), mirrored)


def schedulers() -> st.SearchStrategy[str]:
    """Return a strategy for the schedulers of Dask without worker processes."""
    return st.sampled_from(("synchronous", "threads"))
