"""The Generators of many paths at once: NumPy's SeedSequence for a range of path indices.

``np.random.default_rng(SeedSequence(seed, spawn_key=(i,)))`` takes 30 µs, nearly all of it in the
hash of the SeedSequence. The hash of what paths share is made once here, and that of their indices
for all paths of a range together, in the same integer operations; so the Generators are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.random.seeding import RootSeed

LOW_32, HASH_SHIFT = 0xFFFFFFFF, 16
INIT_A, MULT_A = 0x43B0D7E5, 0x931E8875
INIT_B, MULT_B = 0x8B51F9DD, 0x58F38DED
MIX_LEFT, MIX_RIGHT = 0xCA01F9DD, 0x4973F715
STATE_WORDS = 8
"""32-bit words from which a PCG64 is made."""

FEW = 3
"""Paths in order before further ones are looked ahead for: NumPy's own way is faster for few."""

AHEAD_MIN, AHEAD_MAX = 16, 1024
"""Paths whose words are computed together, at first and later."""


class Prefix(NamedTuple):
    """State of the hash of a SeedSequence before the index of a path.

    Attributes
    ----------
    pool : array of uint64
        The pool of 32-bit words.
    constant : int
        The next constant of the hash.
    """

    pool: NDArray[np.uint64]
    constant: int


def _hashed(value: Any, constant: int) -> tuple[Any, int]:
    value = value ^ constant
    constant = constant * MULT_A & LOW_32
    value = value * constant & LOW_32
    return value ^ value >> HASH_SHIFT, constant


def _mixed(x: Any, y: Any) -> Any:
    value = x * MIX_LEFT - y * MIX_RIGHT & LOW_32
    return value ^ value >> HASH_SHIFT


def _words_of(number: int) -> list[int]:
    words = [number & LOW_32]
    while number := number >> 32:
        words.append(number & LOW_32)
    return words


@lru_cache(maxsize=64)
def prefix_of(root: RootSeed) -> Prefix:
    """Return the state of the hash of the paths of a run, before their indices."""
    size = root.pool_size
    entropy = [word for number in root.entropy for word in _words_of(number)]
    entropy += [0] * (size - len(entropy))
    entropy += [word for number in root.full_key() for word in _words_of(number)]
    pool, constant = [], INIT_A
    for word in entropy[:size]:
        value, constant = _hashed(word, constant)
        pool.append(value)
    for source in range(size):
        for target in range(size):
            if source != target:
                value, constant = _hashed(pool[source], constant)
                pool[target] = _mixed(pool[target], value)
    for word in entropy[size:]:
        for target in range(size):
            value, constant = _hashed(word, constant)
            pool[target] = _mixed(pool[target], value)
    return Prefix(np.array(pool, np.uint64), constant)


def words_of_paths(root: RootSeed, start: int, stop: int) -> NDArray[np.uint64]:
    """Return ``generate_state(4, np.uint64)`` of the SeedSequence of each path, one per row."""
    out = np.empty((stop - start, STATE_WORDS), np.uint32)
    border = 1 << 32  # from here on an index has two words
    with np.errstate(over="ignore"):
        for low, high in ((start, min(stop, border)), (max(start, border), stop)):
            if low < high:
                _fill(prefix_of(root), low, high, out[low - start : high - start])
    found: NDArray[np.uint64] = out.view("<u4").astype("<u4", copy=False).view("<u8")
    return found.astype(np.uint64, copy=False)


def _fill(prefix: Prefix, low: int, high: int, out: NDArray[np.uint32]) -> None:
    index = np.uint64(low) + np.arange(high - low, dtype=np.uint64)
    pool: list[Any] = [np.uint64(word) for word in prefix.pool]
    constant = prefix.constant
    for word in (index & np.uint64(LOW_32), index >> np.uint64(32))[: 1 if high <= 1 << 32 else 2]:
        for target in range(len(pool)):
            value, constant = _hashed(word, constant)
            pool[target] = _mixed(pool[target], value)
    constant = INIT_B
    for place in range(STATE_WORDS):
        value = pool[place % len(pool)] ^ constant
        constant = constant * MULT_B & LOW_32
        value = value * constant & LOW_32
        out[:, place] = value ^ value >> HASH_SHIFT


@lru_cache(maxsize=64)
def is_as_numpy(root: RootSeed) -> bool:
    """Return whether the words of paths of a run are those of NumPy's SeedSequence here."""
    return all(
        np.array_equal(
            words_of_paths(root, path, path + 1)[0],
            root.path_sequence(path).generate_state(4, np.uint64),
        )
        for path in (0, 1, 2**32 + 5)
    )


class PathSeed(np.random.SeedSequence):
    """The SeedSequence of a path, which is made when it is looked at.

    A bit generator asks for the words alone, which are known. All else, such as `Generator.spawn`,
    comes from NumPy's own object.
    """

    def __init__(self, words: NDArray[np.uint64], make: Callable[[], np.random.SeedSequence]):
        self._words, self._make = words, make
        self._made: np.random.SeedSequence | None = None

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return words of the state; see NumPy."""
        if n_words == 4 and dtype is np.uint64:
            return self._words.copy()
        return self._whole.generate_state(n_words, dtype)

    @property
    def _whole(self) -> np.random.SeedSequence:
        if self._made is None:
            self._made = self._make()
        return self._made

    def spawn(self, n_children: int) -> list[Any]:
        """Return children; see NumPy."""
        return self._whole.spawn(n_children)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._whole.__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(self._whole)


def _of_whole(name: str) -> Callable[[Any], Any]:
    return lambda self: getattr(self._whole, name)


for _name in ("entropy", "spawn_key", "pool_size", "pool", "n_children_spawned", "state"):
    setattr(PathSeed, _name, property(_of_whole(_name)))


def path_generators(root: RootSeed) -> Callable[[int], np.random.Generator]:
    """Return the function of the index of a path that makes its Generator, fast for neighbours.

    Each call makes a new object, which the caller may keep. The function itself is not for
    several threads at once.
    """
    known, size = np.empty((0, 4), np.uint64), AHEAD_MIN
    low, last, in_order = 0, -1, 0

    def generator(path: int) -> np.random.Generator:
        nonlocal known, size, low, last, in_order
        if not low <= path < low + len(known):
            in_order = in_order + 1 if path == last + 1 else 0
            last = path
            if in_order < FEW or not is_as_numpy(root):
                return root.path_generator(path)
            low, known = path, words_of_paths(root, path, path + size)
            size = min(4 * size, AHEAD_MAX)
        last = path
        seed = PathSeed(known[path - low], partial(root.path_sequence, path))
        return np.random.Generator(np.random.PCG64(seed))

    return generator
