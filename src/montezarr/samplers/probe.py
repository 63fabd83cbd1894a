"""Checks of user code at the call: one stream gives one path, alone or among others."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from montezarr.core.errors import SamplerError
from montezarr.core.tunables.scheduling import COEFFICIENT_TRIAL_PATHS
from montezarr.samplers._base import Sampler
from montezarr.samplers.drawing import sample_range
from montezarr.samplers.policy import take_paths
from montezarr.samplers.schema import PathArrays, count_of, same_paths


def probe_first_paths(sampler: Sampler, first_x0: Any, n: int) -> PathArrays:
    """Return the first `n` paths, drawn as in a worker."""
    count = n if first_x0 is None else min(n, first_x0.shape[-1])
    return sample_range(sampler, 0, count, None if first_x0 is None else first_x0[..., :count])


def check_repeats(sampler: Sampler, paths: PathArrays, again: PathArrays) -> None:
    """Raise if two draws of the same paths differ, since results would depend on chunks."""
    if not same_paths(paths, again).all():
        message = (
            "returned two different paths from one and the same stream, so it keeps state from"
            " call to call, or draws from elsewhere than the stream that it gets."
        )
        raise sampler.failure(0, sampler.x0, message)


def check_alone(sampler: Sampler, first_x0: Any) -> None:
    """Raise if a path depends on the other paths that are drawn with it.

    Such a path would depend on chunks, and `replay` would draw another one. Splitting the range
    after the first path detects code that couples all paths (a mean, an order) and code that uses
    the first path of a range.
    """
    try:
        paths = probe_first_paths(sampler, first_x0, COEFFICIENT_TRIAL_PATHS)
        n = count_of(paths)
        for low, high in ((0, 1), (1, n)) if n > 1 else ():
            x0 = None if first_x0 is None else first_x0[..., low:high]
            part = sample_range(sampler, low, high, x0)
            differs = ~same_paths(take_paths(paths, low, high), part)
            if differs.any():
                break
        else:
            return
    except SamplerError:
        # Raise a failure of path 0 alone; failures of later paths are left to the run's policy.
        sample_range(sampler, 0, 1, None if first_x0 is None else first_x0[..., :1])
        return
    path = low + int(differs.argmax())
    message = _gap(take_paths(paths, path, path + 1), take_paths(part, path - low, path - low + 1))
    raise sampler.failure(path, sampler.state_at_start(first_x0, path), message)


def _gap(among: PathArrays, alone: PathArrays) -> str:
    """Return the message about a path that differs, with a hint if only rounding differs."""
    message = (
        "comes out otherwise among other paths than without them, so it would depend on chunks."
        " Each path may use its own state and draws alone: no mean, order or difference of paths."
    )
    is_rounding = all(
        np.allclose(array, alone[name], rtol=1e-6, equal_nan=True)
        if array.dtype.kind == "f"
        else np.array_equal(array, alone[name])
        for name, array in among.items()
    )
    if is_rounding:
        message += (
            " It is a matter of rounding here: a product by @ or einsum, or a sum over variables,"
            " adds in another order for another number of paths. Add term by term, as in"
            " sum(A[:, [j]] * x[j] for j in range(len(x)))."
        )
    return message


@contextmanager
def no_global_stream(sampler: Sampler) -> Iterator[None]:
    """Raise if the sampler advances the global random state, which the run's seed does not set."""
    before = _random_states()
    try:
        yield
    except SamplerError:
        if _random_states() == before:
            raise  # else the global state is the cause of the failure
    if _random_states() != before:
        message = (
            "drew from the global state of np.random or random, which the seed does not reach, so"
            " its paths could not be repeated. Draw from the rng that is passed, or run a"
            " sample_path on np.random with legacy_global_rng=True."
        )
        raise sampler.failure(0, sampler.x0, message) from None


def _random_states() -> tuple[Any, ...]:
    return pickle.dumps(np.random.get_state(legacy=False)), random.getstate()
