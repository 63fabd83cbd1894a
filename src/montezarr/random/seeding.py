"""Seeds: the root seed of a run, and a child stream for every path and every block.

Path i of a scalar sampler draws from ``np.random.default_rng(SeedSequence(seed, spawn_key=(i,)))``,
which anyone can recreate without this package. A batch sampler draws block b from the child
``(BLOCK_PREFIX, b)``. Vectorised processes use the Philox key of the root (see `draws`).

On a named stream, all these spawn keys begin with ``(STREAM_PREFIX, *stream_words(name))``.

NumPy converts a seed to one list of 32-bit words: its entropy, padded with zeros to four words, and
the words of the spawn key. Seeds with the same list are the same seed: 42, ``[42]`` and
``[42, 0]``, or path 0 of 42 and the seed ``[42, 0, 0, 0, 0]``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np

from montezarr.core.checks import check_int, plain_items, show, type_error, value_error
from montezarr.core.tunables.limits import SEED_POOL_MAX_WORDS

BLOCK = 1024
"""Paths in a block, the unit of batch seeding and of exact merging."""


# With a block number at least three 32-bit words; a path index has at most two. So no spawn key of
# a block equals the spawn key of a path. The value spells "montezar" in ASCII.
BLOCK_PREFIX = 0x6D6F6E74657A6172

# With the digest of a name ten words; keys of paths and blocks have at most four. So no spawn key
# on a named stream equals one without a stream. The value spells "mzstream" in ASCII.
STREAM_PREFIX = 0x6D7A73747265616D


@dataclass(frozen=True, slots=True)
class RootSeed:
    """The root entropy of a run, hashable, with a JSON form.

    Attributes
    ----------
    entropy : tuple of int
        One integer, or the caller's sequence of integers.
    is_sequence : bool
        Whether the caller gave a sequence. NumPy pads fewer than four words with zeros, so that
        ``5``, ``[5]`` and ``[5, 0]`` are one seed, ``[5, 0, 0, 0, 0]`` another one.
    spawn_key : tuple of int
        Spawn key of the caller's SeedSequence, else empty.
    pool_size : int
        Pool size of the SeedSequence, in 32-bit words; NumPy's default is 4.
    stream : str or None
        Name of the stream of the run, if any.
    """

    entropy: tuple[int, ...]
    is_sequence: bool = False
    spawn_key: tuple[int, ...] = ()
    pool_size: int = 4
    stream: str | None = None

    def sequence(self, *spawn_key: int) -> np.random.SeedSequence:
        """Return the root's SeedSequence, or its descendant at `spawn_key`, on the stream."""
        entropy: Any = list(self.entropy) if self.is_sequence else self.entropy[0]
        return np.random.SeedSequence(
            entropy, spawn_key=self.full_key(*spawn_key), pool_size=self.pool_size
        )

    def full_key(self, *spawn_key: int) -> tuple[int, ...]:
        """Return the complete spawn key of a descendant: those of root and stream, then this."""
        named = () if self.stream is None else (STREAM_PREFIX, *stream_words(self.stream))
        return (*self.spawn_key, *named, *spawn_key)

    def philox_key(self) -> tuple[int, int]:
        """Return the Philox key of the counter-based draws, two 32-bit words."""
        return _philox_key(self)

    def path_sequence(self, path: int) -> np.random.SeedSequence:
        """Return the SeedSequence of path number `path`."""
        return self.sequence(path)

    def path_generator(self, path: int) -> np.random.Generator:
        """Return the Generator of path number `path`, at the start of its stream."""
        return np.random.default_rng(self.sequence(path))

    def block_generator(self, block: int) -> np.random.Generator:
        """Return the Generator of block number `block`, at the start of its stream."""
        return np.random.default_rng(self.sequence(BLOCK_PREFIX, block))

    def path_seed(self, path: int) -> int:
        """Return a 128-bit integer seed of a path, for a sampler that takes one."""
        words = self.sequence(path).generate_state(2, np.uint64)
        return int(words[0]) | int(words[1]) << 64

    def block_seed(self, block: int) -> int:
        """Return a 128-bit integer seed of a block, for a sampler that takes one."""
        words = self.sequence(BLOCK_PREFIX, block).generate_state(2, np.uint64)
        return int(words[0]) | int(words[1]) << 64

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; integers as decimal strings, since JSON readers truncate them."""
        entropy = [str(word) for word in self.entropy]
        out: dict[str, Any] = {"entropy": entropy if self.is_sequence else entropy[0]}
        if self.spawn_key:
            out["spawn_key"] = [str(word) for word in self.spawn_key]
        if self.pool_size != 4:
            out["pool_size"] = self.pool_size
        if self.stream is not None:
            out["stream"] = self.stream
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RootSeed:
        """Return the seed that `to_dict` wrote."""
        entropy, pool_size = data["entropy"], int(data.get("pool_size", 4))
        if not 4 <= pool_size <= SEED_POOL_MAX_WORDS:
            raise value_error("seed.pool_size", f"from 4 to {SEED_POOL_MAX_WORDS}", pool_size)
        words = entropy if isinstance(entropy, list) else [entropy]
        return cls(
            entropy=tuple(int(word) for word in words),
            is_sequence=isinstance(entropy, list),
            spawn_key=tuple(int(word) for word in data.get("spawn_key", [])),
            pool_size=pool_size,
            stream=check_stream(data.get("stream")),
        )


@lru_cache(maxsize=64)
def stream_words(stream: str) -> tuple[int, ...]:
    """Return the eight 32-bit words of the SHA-256 of a name in UTF-8, each little-endian."""
    digest = hashlib.sha256(stream.encode()).digest()
    return tuple(np.frombuffer(digest, "<u4").tolist())


def check_stream(stream: Any) -> str | None:
    """Return the name of a stream, checked; None for None.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not text, is empty, or cannot be encoded in UTF-8.
    """
    if stream is None:
        return None
    expected = "a name, as text that is not empty, or None"
    if not isinstance(stream, str):
        raise type_error("stream", expected, stream)
    try:
        stream.encode()
    except UnicodeEncodeError as error:
        raise value_error("stream", expected, stream, "It cannot be written in UTF-8.") from error
    if not stream:
        raise value_error("stream", expected, stream)
    return str(stream)


@lru_cache(maxsize=64)
def _philox_key(root: RootSeed) -> tuple[int, int]:
    low, high = root.sequence().generate_state(2, np.uint32)
    return int(low), int(high)


def as_root_seed(seed: Any, stream: Any = None) -> RootSeed:
    """Return the root seed for the caller's arguments.

    Parameters
    ----------
    seed : int, sequence of int, SeedSequence, mapping or None
        Non-negative entropy of any size. None draws 128 fresh bits from the operating system. A
        mapping is the form that `RootSeed.to_dict` writes into the recipe of a run.
    stream : str, optional
        Name of the stream; None keeps that of a recorded seed.

    Raises
    ------
    ArgumentTypeError
        For a Generator, BitGenerator or RandomState (state, not a seed), a bool, float or str.
    ArgumentValueError
        For a negative integer, an empty sequence, or a mapping that is not a seed.
    """
    name = check_stream(stream)
    root = _root_of(seed)
    return root if name is None else replace(root, stream=name)


def _root_of(seed: Any) -> RootSeed:
    expected = "a non-negative integer, a sequence of them, a SeedSequence or None"
    if seed is None:
        return RootSeed((secrets.randbits(128),))
    if isinstance(seed, RootSeed):
        return seed
    if isinstance(seed, np.random.SeedSequence):
        entropy: Any = seed.entropy
        is_sequence = not isinstance(entropy, Integral)
        words = tuple(int(word) for word in (entropy if is_sequence else [entropy]))
        check_int("seed.pool_size", seed.pool_size, minimum=4, maximum=SEED_POOL_MAX_WORDS)
        return RootSeed(words, is_sequence, tuple(int(k) for k in seed.spawn_key), seed.pool_size)
    if isinstance(seed, Mapping) and "entropy" in seed:
        return _recorded(seed)
    if isinstance(seed, (np.random.Generator, np.random.BitGenerator, np.random.RandomState)):
        raise type_error(
            "seed",
            expected,
            seed,
            "A generator is state that moves on with each use, so a run could not be repeated "
            "from it. Pass the integer that it was made from.",
        )
    if getattr(seed, "ndim", 0) == 1:
        seed = plain_items("seed", seed, expected)
    if isinstance(seed, Sequence) and not isinstance(seed, (str, bytes)):
        if not seed:
            raise value_error("seed", expected, seed)
        return RootSeed(tuple(_entropy(word, expected) for word in seed), is_sequence=True)
    return RootSeed((_entropy(seed, expected),))


def _recorded(seed: Mapping[str, Any]) -> RootSeed:
    """Return the seed recorded in a recipe."""
    try:
        root = RootSeed.from_dict(dict(seed))
        is_seed = root.to_dict() == dict(seed)  # False for further entries, or other types
    except (TypeError, ValueError):
        is_seed = False
    if not is_seed or min((0, *root.entropy, *root.spawn_key)) < 0:
        raise value_error("seed", "a mapping such as ds.mz.recipe['seed'], {'entropy': '42'}", seed)
    return root


def _entropy(word: Any, expected: str) -> int:
    if isinstance(word, (bool, np.bool_)) or not isinstance(word, Integral):
        raise type_error("seed", expected, word)
    if word < 0:
        raise value_error("seed", expected, word)
    return int(word)


def generate_path_seeds(seed: Any, n_paths: int, *, stream: str | None = None) -> list[int]:
    """Return one distinct 64-bit integer seed per path, for code outside montezarr.

    Seed i comes from the SeedSequence of path i, so the list for n paths begins every longer list.
    With one 32-bit word per path, a common practice, there are only 2**32 streams: two runs of 1e5
    paths each share about two of them, and no run can have more than 2**32 paths. With 64 bits the
    chance of a shared seed is 5e-10. A seed that repeats within a run is drawn again.

    Parameters
    ----------
    seed : int, sequence of int, SeedSequence or None
        Root entropy, as in `simulate`.
    n_paths : int
        Number of seeds, at least 0.
    stream : str, optional
        Name of the stream, as in `simulate`.

    Returns
    -------
    list of int
        Distinct integers in [0, 2**64).

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.generate_path_seeds(42, 2)
    [16138347438539916964, 134183728835869882]
    """
    root = as_root_seed(seed, stream)
    count = check_int("n_paths", n_paths)
    seen: set[int] = set()
    out: list[int] = []
    for path in range(count):
        words = 1
        while True:
            # The state of a SeedSequence has any length; further words are new random numbers.
            value = int(root.path_sequence(path).generate_state(words, np.uint64)[-1])
            if value not in seen:
                break
            words += 1
        seen.add(value)
        out.append(value)
    return out


def describe_seed(root: RootSeed, *spawn_key: int) -> str:
    """Return the Python expression that recreates a stream of this run."""
    entropy = list(root.entropy) if root.is_sequence else root.entropy[0]
    key = root.full_key(*spawn_key)
    suffix = f", spawn_key={key!r}" if key else ""
    suffix += f", pool_size={root.pool_size}" if root.pool_size != 4 else ""
    return f"np.random.SeedSequence({show(entropy, 200)}{suffix})"
