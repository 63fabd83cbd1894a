"""Rules that code of the user's keeps, tried at the call: same stream same path, alone or not."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from montezarr.errors import SamplerError
from montezarr.sampling import batch, private, sample_range
from montezarr.sampling._base import Rows, Sampling
from montezarr.seeding import BLOCK

TRIAL_PATHS = 17
"""Paths of the trial of a user's coefficients: as many as no model has variables or noises."""

PIECE = 64
"""Paths of two blocks that are compared at once."""


def first_rows(sampling: Sampling, first_x0: Any, n: int) -> Rows:
    """Return the rows of the first paths, drawn as a worker draws them."""
    count = n if first_x0 is None else min(n, first_x0.shape[-1])
    return sample_range(sampling, 0, count, None if first_x0 is None else first_x0[..., :count])


def check_repeats(sampling: Sampling, rows: Rows, again: Rows) -> None:
    """Raise where one path came out in two ways: then no chunking gives the same numbers."""
    if not np.array_equal(rows, again, equal_nan=rows.dtype.kind == "f"):
        message = (
            "returned two different paths from one and the same stream, so it keeps state from"
            " call to call, or draws from elsewhere than the stream that it gets."
        )
        raise sampling.failure(0, sampling.x0, message)


def check_alone(sampling: Sampling, first_x0: Any) -> None:
    """Raise where a path comes out otherwise among others than alone, or beside other ones.

    Then it would depend on chunks, and `replay` would show another one. The two parts tell apart
    what couples all paths (a mean, an order) from what looks at the first of the range.
    """
    try:
        rows = first_rows(sampling, first_x0, TRIAL_PATHS)
        n = rows.shape[-1]
        for low, high in ((0, 1), (1, n)) if n > 1 else ():
            x0 = None if first_x0 is None else first_x0[..., low:high]
            part = sample_range(sampling, low, high, x0)
            differs = ~_same(rows[..., low:high], part).all(axis=(0, 1))
            if differs.any():
                break
        else:
            return
    except SamplerError:
        # One that path 0 has alone is none of a later path, which is a matter of the run's policy.
        sample_range(sampling, 0, 1, None if first_x0 is None else first_x0[..., :1])
        return
    path = low + int(differs.argmax())
    message = _gap(rows[..., path], part[..., path - low])
    raise sampling.failure(path, sampling.state_at_start(first_x0, path), message)


def _same(a: Rows, b: Rows) -> Any:
    return (a == b) | ((a != a) & (b != b))


def _gap(among: Rows, alone: Rows) -> str:
    """Return the message about a path that differs, and what it is that differs."""
    message = (
        "comes out otherwise among other paths than without them, so it would depend on chunks."
        " Each path may use its own state and draws alone: no mean, order or difference of paths."
    )
    if among.dtype.kind == "f" and np.allclose(among, alone, rtol=1e-6, equal_nan=True):
        message += (
            " It is a matter of rounding here: a product by @ or einsum, or a sum over variables,"
            " adds in another order for another number of paths. Add term by term, as in"
            " sum(A[:, [j]] * x[j] for j in range(len(x)))."
        )
    return message


def check_block(sampling: Sampling, states: Mapping[str, Any], first_x0: Any) -> None:
    """Raise where a block comes out otherwise when it is drawn again, or is transposed."""
    rows = first_rows(sampling, first_x0, BLOCK)
    x0 = sampling.state_at_start(first_x0, 0)
    for low in range(0, rows.shape[-1], PIECE):  # a block of long paths is large
        inside = slice(low, min(low + PIECE, rows.shape[-1]))
        part = {name: array[inside] for name, array in states.items()}
        first = batch.arrange(sampling, part, low, sampling.state_at_start(first_x0, low))
        check_repeats(sampling, first, rows[..., inside])
    if sampling.grid.T + 1 != BLOCK:
        return
    # As many times as paths: which is which is told by a block of another size.
    given = None if first_x0 is None else first_x0[..., :TRIAL_PATHS]
    count = TRIAL_PATHS if given is None else given.shape[-1]
    try:
        few = batch.given_x0(sampling, given)
        value = batch.parts_of(private(sampling), 0, count, few)
    except Exception:  # it is made for blocks of one size
        return
    wrong = (BLOCK, count)
    if any(np.shape(part) == wrong for part in value.values()):
        message = (
            f"sample_paths returned shape {wrong} for {count} paths, expected"
            f" {wrong[::-1]}, the paths first."
        )
        raise sampling.failure(0, x0, message)


@contextmanager
def no_global_stream(sampling: Sampling) -> Iterator[None]:
    """Raise where the sampler moves the global random state, which no seed of the run reaches."""
    before = _random_states()
    try:
        yield
    except SamplerError:
        if _random_states() == before:
            raise  # else it is the global state that made two paths of one
    if _random_states() != before:
        message = (
            "drew from the global state of np.random or random, which the seed does not reach, so"
            " its paths could not be repeated. Draw from the rng that is passed, or run a"
            " sample_path on np.random with legacy_global_rng=True."
        )
        raise sampling.failure(0, sampling.x0, message) from None


def _random_states() -> tuple[Any, ...]:
    return pickle.dumps(np.random.get_state(legacy=False)), random.getstate()
