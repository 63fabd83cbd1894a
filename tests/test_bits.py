"""The stream of words for test batteries: every byte where its address says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montezarr import Draws
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random import bits
from montezarr.random.draws import kernel, reference

BOXES = st.tuples(st.integers(1, 11), st.integers(1, 11), st.integers(1, 4))
SEEDS = st.one_of(st.integers(0, 2**64), st.just([1, 2, 3]))


def addresses(order, paths, groups, slots):
    """Return the addresses (path, group, slot) in the order that the documentation describes."""
    if order == "path":
        return list(itertools.product(range(paths), range(groups), range(slots)))
    if order == "step":
        return [(p, g, s) for g in range(groups) for p in range(paths) for s in range(slots)]
    return [
        (path, group, slot)
        for first_group in range(0, groups, 4)
        for first_path in range(0, paths, 4)
        for group in range(first_group, min(first_group + 4, groups))
        for path in range(first_path, min(first_path + 4, paths))
        for slot in range(slots)
    ]


def words_at(seed, places):
    """Return the bytes of the words at some addresses, by `Draws.words` alone."""
    rows = [Draws.of(seed, start=p).words(g, s)[:, 0] for p, g, s in places]
    return np.array(rows, "<u4").tobytes()


@given(SEEDS, st.sampled_from(bits.ORDERS), BOXES)
@settings(deadline=None, max_examples=60)
def test_every_order_is_what_the_addresses_say(seed, order, box):
    paths, groups, slots = box
    found = b"".join(bits.stream(seed, order, paths=paths, groups=groups, slots=slots))
    assert found == words_at(seed, addresses(order, *box))


@pytest.mark.parametrize("order", bits.ORDERS)
def test_default_box_starts_as_the_addresses_say(order):
    # The inner extents of the default box: 256 step groups, or 4096 paths; 4 slots.
    box = (3, 256, 4) if order == "path" else (4096, 5, 4)
    places = addresses(order, *box)[: 3 * 256 * 4]
    if order == "interleaved":
        places = places[: 16 * 4 * 40]
    found = next(bits.stream(7, order))
    assert len(found) == 1 << 20
    assert found[: 16 * len(places)] == words_at(7, places)


@pytest.mark.parametrize("order", bits.ORDERS)
def test_orders_do_not_depend_on_the_size_of_the_pieces(order, monkeypatch):
    def whole():
        return b"".join(bits.stream(3, order, paths=13, groups=9, slots=3))

    expected = whole()
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(bits, "BITS_ADDRESSES_AT_ONCE", size)
        assert whole() == expected
        assert all(len(piece) > 0 for piece in bits.stream(3, order, paths=13, groups=9, slots=3))


@given(BOXES)
@settings(deadline=None, max_examples=25)
def test_orders_are_permutations_of_one_another(box):
    paths, groups, slots = box
    streams = [
        b"".join(bits.stream(5, order, paths=paths, groups=groups, slots=slots))
        for order in bits.ORDERS
    ]
    assert all(len(stream) == 16 * paths * groups * slots for stream in streams)
    tables = [np.frombuffer(stream, "V16").tolist() for stream in streams]
    assert sorted(tables[0]) == sorted(tables[1]) == sorted(tables[2])
    assert len(set(tables[0])) == paths * groups * slots  # no address twice


@given(st.sampled_from(bits.ORDERS), BOXES, st.integers(0, 8000))
@settings(deadline=None)
def test_fewer_bytes_are_a_prefix(order, box, n_bytes):
    paths, groups, slots = box
    extent = {"paths": paths, "groups": groups, "slots": slots}
    whole = b"".join(bits.stream(2, order, **extent))
    part = b"".join(bits.stream(2, order, **extent, n_bytes=n_bytes))
    assert part == whole[:n_bytes]


def test_a_box_of_fewer_paths_is_a_prefix_in_order_path():
    def whole(paths):
        return b"".join(bits.stream(2, "path", paths=paths, groups=6, slots=2))

    assert whole(9).startswith(whole(5))


@pytest.mark.parametrize("order", bits.ORDERS)
def test_stream_is_endless_and_in_bounded_pieces(order):
    stream = bits.stream(1, order)
    pieces = list(itertools.islice(stream, 5))
    assert all(isinstance(piece, bytes) and len(piece) == 1 << 20 for piece in pieces)
    assert len(set(pieces)) == 5


@pytest.mark.parametrize("order", bits.ORDERS)
def test_n_bytes_cuts_the_last_piece(order):
    n_bytes = 2 * (1 << 20) + 5
    sizes = [len(piece) for piece in bits.stream(1, order, n_bytes=n_bytes)]
    assert sizes == [1 << 20, 1 << 20, 5]
    assert list(bits.stream(1, order, n_bytes=0)) == []


def test_seeds_give_other_streams_and_none_gives_fresh_ones():
    def first(seed):
        return b"".join(bits.stream(seed, n_bytes=64))

    assert first(1) == first(1) == first(np.random.SeedSequence(1))
    assert len({first(1), first(2), first([1, 2]), first(None), first(None)}) == 5


def test_words_are_those_of_float64_and_float32_numbers():
    words = np.frombuffer(b"".join(bits.stream(9, "path", paths=1, groups=2, slots=1)), "<u4")
    single = Draws.of(9, dtype="float32").uniform(range(8))[:, 0]
    assert (single * 2.0**24).tolist() == (words >> 8).tolist()
    double = Draws.of(9).uniform(range(4))[:, 0]
    low, high = words[::2].astype(np.uint64), words[1::2].astype(np.uint64)
    assert (double * 2.0**53).tolist() == (high << 21 | low >> 11).astype(float).tolist()


@pytest.mark.parametrize("order", bits.ORDERS)
def test_stream_is_the_same_without_the_kernel(order, monkeypatch):
    expected = b"".join(bits.stream(4, order, n_bytes=100_000))
    monkeypatch.setattr("montezarr.random.draws.has_kernel", lambda: False)
    monkeypatch.setattr(kernel, "fill_words", None)
    assert b"".join(bits.stream(4, order, n_bytes=100_000)) == expected


def test_kernel_and_reference_fill_the_same_words():
    rng = np.random.default_rng(6)
    n = 5000
    path = rng.integers(0, 2**63, n, np.uint64)
    group, slot = rng.integers(0, 2**32, (2, n), np.uint64)
    one, other = np.zeros((2, n, 4), np.uint32)
    kernel.fill_words((1, 2**32 - 1), path, group, slot, one)
    reference.fill_words((1, 2**32 - 1), path, group, slot, other)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("order", {"order": "time"}),
        ("paths", {"paths": 0}),
        ("paths", {"paths": 2**63}),
        ("paths", {"paths": 2**40, "groups": 2**32}),
        ("groups", {"groups": 0}),
        ("groups", {"groups": 2**32 + 1}),
        ("slots", {"slots": 0}),
        ("slots", {"slots": 2**32 + 1}),
        ("n_bytes", {"n_bytes": -1}),
        ("seed", {"seed": -1}),
    ],
)
def test_values_are_checked_at_the_call(name, arguments):
    with pytest.raises(ArgumentValueError, match=rf"^{name}: expected"):
        bits.stream(**{"seed": 1, **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("order", {"order": 1}),
        ("paths", {"paths": 2.0}),
        ("groups", {"groups": "4"}),
        ("slots", {"slots": True}),
        ("n_bytes", {"n_bytes": 1e6}),
        ("seed", {"seed": "1"}),
    ],
)
def test_types_are_checked_at_the_call(name, arguments):
    with pytest.raises(ArgumentTypeError, match=rf"^{name}: expected"):
        bits.stream(**{"seed": 1, **arguments})


def test_largest_boxes_are_accepted():
    largest = bits.stream(1, "interleaved", paths=2**28, groups=2**32, slots=4)
    assert len(next(largest)) == 1 << 20
    far = bits.stream(1, "step", paths=1, groups=2**32, slots=2**28)
    assert len(next(far)) == 1 << 20
