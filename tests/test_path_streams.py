"""The Generators of many paths at once are NumPy's own, one by one."""

import copy
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.compat.numpy import state_views
from montezarr.random import path_states, path_streams
from montezarr.random.seeding import RootSeed

ROOTS = [
    RootSeed((42,)),
    RootSeed((0,), pool_size=7, stream="a name"),
    RootSeed((2**200,), spawn_key=(3, 2**40)),
    RootSeed((1, 2, 3, 4, 5, 2**70), is_sequence=True),
    RootSeed((5,), pool_size=12),
]
FIRST = (0, 1, 999, 2**32 - 3, 2**32, 2**50)


@pytest.mark.parametrize("root", ROOTS)
def test_words_and_states_are_those_of_numpy(root):
    bits = np.random.PCG64(0)
    views, prefix = state_views(bits), path_streams.prefix_of(root)
    pool = np.empty_like(prefix.pool)
    for first in FIRST:
        words = path_streams.words_of_paths(root, first, first + 6)
        states = np.empty((6, 4), np.uint64)
        path_states.path_states(
            prefix.pool, np.uint64(prefix.constant), np.uint64(first), pool, states
        )
        for path in range(first, first + 6):
            sequence = root.path_sequence(path)
            expected = sequence.generate_state(4, np.uint64)
            np.testing.assert_array_equal(words[path - first], expected)
            views.cached[:] = [1, 7]  # half a number of the path before
            path_states.set_state(states[path - first], *views)
            assert bits.state == np.random.PCG64(sequence).state
    assert path_streams.is_as_numpy(root)


def test_generators_come_in_any_order_and_are_all_that_numpys_are():
    root = ROOTS[1]
    generator = path_streams.path_generators(root)
    for path in [*range(30), 7, 2000, *range(2040, 2090), 29, *range(2**32 - 9, 2**32 + 9)]:
        found, expected = generator(path), root.path_generator(path)
        assert found.bit_generator.state == expected.bit_generator.state
        seeds = found.bit_generator.seed_seq, expected.bit_generator.seed_seq
        assert isinstance(seeds[0], np.random.SeedSequence)
        assert repr(seeds[0]) == repr(seeds[1])
        for name in ("entropy", "spawn_key", "pool_size", "n_children_spawned", "state"):
            assert getattr(seeds[0], name) == getattr(seeds[1], name)
        np.testing.assert_array_equal(seeds[0].pool, seeds[1].pool)
        for words, dtype in ((4, np.uint64), (3, np.uint32), (5, np.uint64)):
            states = [seed.generate_state(words, dtype) for seed in seeds]
            np.testing.assert_array_equal(*states)
        for copied in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x):
            one, two = copied(found), copied(expected)
            for _ in range(2):
                assert one.spawn(2)[1].random() == two.spawn(2)[1].random()


def test_a_generator_that_is_kept_goes_on_as_before():
    def keeping(rng, T):
        kept = sys.modules["kept_generators"].kept  # no value that a fingerprint would cover
        kept.append(rng)
        return rng.standard_normal(T + 1)

    kept = []
    sys.modules["kept_generators"] = SimpleNamespace(kept=kept)
    try:
        mz.simulate(keeping, 40, 3, seed=1).compute(scheduler="sync")
    finally:
        del sys.modules["kept_generators"]
    assert len({id(rng) for rng in kept}) == len(kept) >= 40
    for path, rng in enumerate(kept[-40:]):
        expected = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(path,)))
        expected.standard_normal(4)
        assert rng.random() == expected.random()


def test_another_numpy_makes_the_generators_itself(monkeypatch):
    monkeypatch.setattr(path_streams, "is_as_numpy", lambda root: False)
    generator = path_streams.path_generators(ROOTS[0])
    for path in range(9):
        assert type(generator(path).bit_generator.seed_seq) is np.random.SeedSequence
    monkeypatch.undo()
    monkeypatch.setattr(path_streams, "MIX_LEFT", 3)
    path_streams.is_as_numpy.cache_clear()
    path_streams.prefix_of.cache_clear()
    assert not path_streams.is_as_numpy(ROOTS[0])
    monkeypatch.undo()
    path_streams.is_as_numpy.cache_clear()
    path_streams.prefix_of.cache_clear()
