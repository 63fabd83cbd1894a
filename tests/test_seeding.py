"""Seeds: what is accepted, what is refused, and that no two streams are one."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, MontezarrError
from montezarr.random.seeding import (
    BLOCK_PREFIX,
    RootSeed,
    as_root_seed,
    describe_seed,
    generate_path_seeds,
)

ENTROPY = st.integers(0, 2**200)
PATHS = st.one_of(st.integers(0, 2**20), st.integers(0, 2**63 - 1))


@st.composite
def roots(draw):
    if draw(st.booleans()):
        words, is_sequence = tuple(draw(st.lists(ENTROPY, min_size=1, max_size=6))), True
    else:
        words, is_sequence = (draw(ENTROPY),), False
    spawn_key = tuple(draw(st.lists(st.integers(0, 2**64), max_size=3)))
    return RootSeed(words, is_sequence, spawn_key, draw(st.integers(4, 9)))


def state(sequence):
    return sequence.generate_state(8, np.uint64).tolist()


def bit_state(generator):
    return generator.bit_generator.state


# What is accepted


@pytest.mark.parametrize("seed", [0, 42, 2**32, 2**128 - 1, 2**128, 2**400])
def test_int_is_the_entropy_of_a_seed_sequence(seed):
    root = as_root_seed(seed)
    assert root == RootSeed((seed,))
    assert state(root.sequence()) == state(np.random.SeedSequence(seed))


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7), np.uint64(7)])
def test_numpy_integer_equals_python_integer(seed):
    root = as_root_seed(seed)
    assert root == as_root_seed(7)
    assert type(root.entropy[0]) is int


@pytest.mark.parametrize("seed", [[5], [5, 0], (1, 2, 3), range(4), [2**70, 1], list(range(40))])
def test_sequence_is_mixed_as_numpy_mixes_it(seed):
    root = as_root_seed(seed)
    assert root.is_sequence
    assert root.entropy == tuple(seed)
    assert state(root.sequence()) == state(np.random.SeedSequence(list(seed)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.uint64])
def test_array_of_integers_equals_the_list(dtype):
    assert as_root_seed(np.array([3, 1, 4], dtype)) == as_root_seed([3, 1, 4])


def test_trailing_zero_changes_the_children():
    # NumPy pads short entropy with zeros before the spawn key, so only here [5, 0] equals [5].
    assert as_root_seed([5, 0]) != as_root_seed([5])
    assert as_root_seed([5, 0, 0, 0, 0]).path_seed(0) != as_root_seed([5]).path_seed(0)


@pytest.mark.parametrize(
    "given_sequence",
    [
        np.random.SeedSequence(9),
        np.random.SeedSequence([9, 8]),
        np.random.SeedSequence((9, 2**90)),
        np.random.SeedSequence(np.array([9, 8], np.uint32)),
        np.random.SeedSequence(9, spawn_key=(3, 2**40)),
        np.random.SeedSequence(9, pool_size=8),
        np.random.SeedSequence([1, 2], spawn_key=(1,), pool_size=5),
        np.random.SeedSequence(11).spawn(3)[2],
        np.random.SeedSequence(),
        np.random.SeedSequence([]),
    ],
    ids=lambda seed: re.sub(r"\s|\d{30,}", "", repr(seed)),  # the same in every process
)
def test_seed_sequence_is_kept_whole(given_sequence):
    root = as_root_seed(given_sequence)
    assert root.spawn_key == given_sequence.spawn_key
    assert root.pool_size == given_sequence.pool_size
    assert state(root.sequence()) == state(given_sequence)
    child = np.random.SeedSequence(
        given_sequence.entropy,
        spawn_key=(*given_sequence.spawn_key, 5),
        pool_size=given_sequence.pool_size,
    )
    assert state(root.path_sequence(5)) == state(child)


def test_taking_a_seed_sequence_does_not_change_it():
    sequence = np.random.SeedSequence(3)
    as_root_seed(sequence).path_generator(0)
    assert sequence.n_children_spawned == 0


def test_children_that_the_caller_spawned_are_no_matter():
    fresh, used = np.random.SeedSequence(3), np.random.SeedSequence(3)
    used.spawn(10)
    assert as_root_seed(fresh) == as_root_seed(used)


def test_none_draws_128_fresh_bits():
    found = [as_root_seed(None) for _ in range(64)]
    assert len(set(found)) == 64
    words = [root.entropy[0] for root in found]
    assert all(0 <= word < 2**128 for word in words)
    # Each of the 128 bits is seen at both values; a bit that is not has chance 2**-63.
    ones, zeros = 0, 0
    for word in words:
        ones, zeros = ones | word, zeros | ~word
    assert ones == 2**128 - 1
    assert zeros & ones == 2**128 - 1


def test_none_is_recorded_so_that_the_run_can_be_repeated():
    root = as_root_seed(None)
    again = RootSeed.from_dict(json.loads(json.dumps(root.to_dict())))
    assert again == root
    assert bit_state(again.path_generator(3)) == bit_state(root.path_generator(3))
    assert as_root_seed(int(root.to_dict()["entropy"])) == root


def test_the_seed_of_a_recipe_is_a_seed():
    for seed in (None, 42, [5, 0], np.random.SeedSequence([1, 2], spawn_key=(1,), pool_size=5)):
        first = mz.simulate(mz.BrownianMotion(), 3, 4, seed=seed)
        again = mz.simulate(mz.BrownianMotion(), 3, 4, seed=first.mz.recipe["seed"])
        assert again.mz.recipe["seed"] == first.mz.recipe["seed"]
        assert again.identical(first)


@settings(deadline=None)
@given(roots())
def test_any_root_seed_is_taken_as_it_is_written(root):
    assert as_root_seed(json.loads(json.dumps(root.to_dict()))) == root


def test_root_seed_is_returned_as_it_is():
    root = as_root_seed([1, 2])
    assert as_root_seed(root) is root


# What is refused


@pytest.mark.parametrize(
    "seed",
    [
        np.random.default_rng(1),
        np.random.PCG64(1),
        np.random.Philox(1),
        np.random.RandomState(1),
        np.random.Generator(np.random.MT19937(1)),
    ],
    ids=lambda seed: type(seed).__name__,
)
def test_a_generator_is_refused_with_the_reason(seed):
    with pytest.raises(ArgumentTypeError, match=r"seed: .* state that moves on") as caught:
        as_root_seed(seed)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, MontezarrError)


@pytest.mark.parametrize(
    "seed",
    [
        True,
        np.True_,
        1.0,
        np.float64(1),
        float("nan"),
        "42",
        b"42",
        1j,
        {1: 2},
        {1, 2},
        object(),
        np.array(5),
        np.array([1.0, 2.0]),
        np.array([[1, 2], [3, 4]]),
        np.array([True, False]),
        [1, 2.0],
        [1, True],
        [1, "2"],
        [1, None],
        [[1, 2], 3],
    ],
    ids=lambda seed: repr(seed).split(" at 0x")[0],
)
def test_other_types_are_refused(seed):
    with pytest.raises(ArgumentTypeError, match="seed: expected a non-negative integer"):
        as_root_seed(seed)


@pytest.mark.parametrize("seed", [-1, -(2**70), np.int8(-1), [], (), np.array([], int), [1, -2]])
def test_negative_and_empty_are_refused(seed):
    with pytest.raises(ArgumentValueError, match="seed: expected a non-negative integer") as caught:
        as_root_seed(seed)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "seed",
    [
        {"entropy": 42},
        {"entropy": "x"},
        {"entropy": "-1"},
        {"entropy": "042"},
        {"entropy": None},
        {"entropy": ["1", "-2"]},
        {"entropy": ("1", "2")},
        {"entropy": "1", "spawn_key": "3"},
        {"entropy": "1", "spawn_key": ["-3"]},
        {"entropy": "1", "spawn_key": None},
        {"entropy": "1", "pool_size": 3},
        {"entropy": "1", "pool_size": "6"},
        {"entropy": "1", "colour": "red"},
    ],
    ids=repr,
)
def test_a_mapping_that_no_recipe_holds_is_refused(seed):
    with pytest.raises(
        ArgumentValueError, match=r"seed: expected a mapping such as ds\.mz\.recipe"
    ):
        as_root_seed(seed)


# JSON


@settings(deadline=None)
@given(roots())
def test_json_round_trip(root):
    text = json.dumps(root.to_dict())
    again = RootSeed.from_dict(json.loads(text))
    assert again == root
    assert hash(again) == hash(root)
    assert state(again.path_sequence(1)) == state(root.path_sequence(1))


def test_integers_are_written_as_decimal_strings():
    assert as_root_seed(2**100).to_dict() == {"entropy": str(2**100)}
    assert as_root_seed([5]).to_dict() == {"entropy": ["5"]}
    sequence = np.random.SeedSequence(1, spawn_key=(2**60,), pool_size=6)
    assert as_root_seed(sequence).to_dict() == {
        "entropy": "1",
        "spawn_key": [str(2**60)],
        "pool_size": 6,
    }


@settings(deadline=None)
@given(roots())
def test_description_recreates_the_stream(root):
    text = describe_seed(root, 7)
    if "..." not in text:  # a long sequence is cut, so that it fits into a message
        made = eval(text, {"np": np})
        assert state(made) == state(root.path_sequence(7))


def test_description_reads_as_documented():
    assert describe_seed(as_root_seed(42), 3) == "np.random.SeedSequence(42, spawn_key=(3,))"
    assert describe_seed(as_root_seed([4, 2])) == "np.random.SeedSequence([4, 2])"


# Streams


@pytest.mark.parametrize("path", [0, 1, 5, 1023, 1024])
@pytest.mark.parametrize("seed", [0, 42, [1, 2, 3]])
def test_path_generator_is_numpys_recommended_child(seed, path):
    expected = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(path,)))
    spawned = np.random.default_rng(np.random.SeedSequence(seed).spawn(path + 1)[path])
    found = as_root_seed(seed).path_generator(path)
    assert bit_state(found) == bit_state(expected) == bit_state(spawned)
    np.testing.assert_array_equal(found.standard_normal(9), spawned.standard_normal(9))


@settings(deadline=None)
@given(roots(), PATHS)
def test_a_path_is_the_child_at_its_index(root, path):
    entropy = list(root.entropy) if root.is_sequence else root.entropy[0]
    child = np.random.SeedSequence(
        entropy, spawn_key=(*root.spawn_key, path), pool_size=root.pool_size
    )
    assert bit_state(root.path_generator(path)) == bit_state(np.random.default_rng(child))
    assert state(root.path_sequence(path)) == state(child)


@settings(deadline=None)
@given(roots(), PATHS, st.integers(0, 2**53))
def test_a_block_never_has_the_stream_of_a_path(root, path, block):
    of_path, of_block = root.path_generator(path), root.block_generator(block)
    assert bit_state(of_path)["state"] != bit_state(of_block)["state"]
    assert of_path.bytes(32) != of_block.bytes(32)


@settings(deadline=None)
@given(PATHS, st.integers(0, 2**63 - 1))
def test_spawn_keys_of_blocks_are_longer_than_those_of_paths(path, block):
    # NumPy writes a spawn key as 32-bit words one after the other, and streams differ if those do.
    def words(*key):
        return [max(1, -(-number.bit_length() // 32)) for number in key]

    assert sum(words(path)) <= 2 < 3 <= sum(words(BLOCK_PREFIX, block))


@settings(deadline=None)
@given(roots(), PATHS, PATHS)
def test_two_paths_have_two_streams(root, one, other):
    same = state(root.path_sequence(one)) == state(root.path_sequence(other))
    assert same == (one == other)


@settings(deadline=None)
@given(roots(), PATHS)
def test_path_seed_holds_128_bits_of_the_child(root, path):
    seed = root.path_seed(path)
    low, high = (int(word) for word in root.path_sequence(path).generate_state(2, np.uint64))
    assert seed == high * 2**64 + low
    assert type(seed) is int


@settings(deadline=None)
@given(roots())
def test_philox_key_is_the_first_64_bits_of_the_root(root):
    low, high = root.philox_key()
    assert (low, high) == tuple(root.sequence().generate_state(2).tolist())
    assert type(low) is int
    assert 0 <= low < 2**32
    assert 0 <= high < 2**32


def test_neighbouring_seeds_have_unlike_keys():
    keys = np.array([as_root_seed(seed).philox_key() for seed in range(4096)], np.uint32)
    assert len(np.unique(keys, axis=0)) == 4096
    # A seed more flips each of the 64 bits with chance one half: 5 deviations are 0.039.
    flips = np.unpackbits((keys[1:] ^ keys[:-1]).view(np.uint8).reshape(4095, 8), axis=1)
    assert np.abs(flips.mean(axis=0) - 0.5).max() < 0.039


# generate_path_seeds


@pytest.fixture(scope="module")
def many():
    return generate_path_seeds(42, 100_000)


def test_path_seeds_are_distinct(many):
    assert len(many) == len(set(many)) == 100_000
    assert all(type(seed) is int for seed in many)


def test_path_seeds_use_the_full_64_bits(many):
    words = np.array(many, np.uint64)
    ones = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    # Five deviations of the share of ones over 1e5 values.
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(1e5)
    assert max(many).bit_length() == 64


def test_path_seeds_of_fewer_paths_are_a_prefix(many):
    for count in (0, 1, 2, 1000, 20_000):
        assert generate_path_seeds(42, count) == many[:count]


def test_path_seed_is_the_first_word_of_the_child(many):
    for path in (0, 1, 77, 99_999):
        child = np.random.SeedSequence(42, spawn_key=(path,))
        assert many[path] == int(child.generate_state(1, np.uint64)[0])


def test_other_roots_give_other_path_seeds(many):
    assert not set(generate_path_seeds(43, 2000)) & set(many)
    assert generate_path_seeds([42], 5) == generate_path_seeds(np.random.SeedSequence(42), 5)


def test_32_bit_words_collide_between_runs_and_64_bit_words_do_not():
    # Why path seeds are not `generate_state(1)[0]`. Within one run those differ: NumPy mixes a
    # spawn key of one word into each word of the state by a bijection. But there are 2**32 of them
    # in all, so two runs of n paths have n**2 / 2**32 in common, about two for n = 1e5.
    n = 40_000
    runs = np.array([generate_path_seeds(seed, n) for seed in (1, 3)], np.uint64)
    narrow = runs.astype(np.uint32)
    child = np.random.SeedSequence(3, spawn_key=(11,))
    assert narrow[1, 11] == child.generate_state(1)[0]
    assert [len(np.unique(words)) for words in narrow] == [n, n]
    assert len(np.unique(narrow)) < 2 * n
    assert len(np.unique(runs)) == 2 * n


def test_32_bit_words_of_one_state_collide():
    # The other common recipe, one long state: n words hold at least n**2 / 2**33 equal pairs.
    n = 100_000
    words = np.array([np.random.SeedSequence(seed).generate_state(n) for seed in range(10)])
    pairs = sum(n - len(np.unique(row)) for row in words)
    assert pairs >= 10 * n**2 / 2**33


def test_an_equal_path_seed_is_drawn_anew(monkeypatch):
    def all_alike(self, path):
        return np.random.SeedSequence(7)

    monkeypatch.setattr(RootSeed, "path_sequence", all_alike)
    found = generate_path_seeds(42, 50)
    assert len(set(found)) == 50
    assert found == [int(w) for w in np.random.SeedSequence(7).generate_state(50, np.uint64)]


@pytest.mark.parametrize("n_paths", [-1, 2**63])
def test_path_seeds_refuse_a_bad_count(n_paths):
    with pytest.raises(ArgumentValueError, match="n_paths"):
        generate_path_seeds(1, n_paths)


@pytest.mark.parametrize("n_paths", [1.0, "3", None, True])
def test_path_seeds_refuse_a_count_that_is_no_integer(n_paths):
    with pytest.raises(ArgumentTypeError, match="n_paths"):
        generate_path_seeds(1, n_paths)
