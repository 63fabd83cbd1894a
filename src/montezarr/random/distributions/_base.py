"""Base of the distributions of parameters: a quantile function, and one uniform per path."""

from __future__ import annotations

import hashlib
import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import MAX_INDEX, check_int, plain_array, type_error, value_error
from montezarr.core.value import Value
from montezarr.random.distributions._table import LEAST
from montezarr.random.draws import Draws, has_kernel
from montezarr.random.seeding import RootSeed, as_root_seed

Array = NDArray[np.float64]

FIRST_SLOT = 2**31
"""First slot of the draws that belong to the run and not to its process."""


KERNEL_FROM = 512
"""Number of values from which on they are compiled."""


@lru_cache(maxsize=1024)
def parameter_slot(name: str) -> int:
    """Return the slot of the draws of a parameter, from 2**31 to 2**32 - 1.

    It is 2**31 plus the low 31 bits of the first word, little-endian, of the SHA-256 of the name in
    UTF-8. So it does not depend on which other parameters are drawn.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the name is not text, is empty, or cannot be encoded in UTF-8.
    """
    expected = "the name of a parameter"
    if not isinstance(name, str):
        raise type_error("name", expected, name)
    if not name:
        raise value_error("name", expected, name)
    try:
        digest = hashlib.sha256(name.encode()).digest()
    except UnicodeEncodeError as error:
        raise value_error("name", expected, name, "It cannot be written in UTF-8.") from error
    return FIRST_SLOT + int.from_bytes(digest[:4], "little") % 2**31


def parameter_slots(names: Iterable[str]) -> dict[str, int]:
    """Return the slots of parameters that are drawn in one run.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a name is invalid, or two names have one slot, so that their draws would be the same.
    """
    slots: dict[int, str] = {}
    for name in names:
        other = slots.setdefault(parameter_slot(name), name)
        if other != name:
            raise value_error("name", f"a name with another slot than {other!r}", name)
    return {name: slot for slot, name in slots.items()}


def implementation(n: int) -> Any:
    """Return the module that computes n quantiles: compiled where it pays, else NumPy alone."""
    # Imported here, since Numba takes half a second to import; both modules give the same bits.
    name = "_kernel" if n >= KERNEL_FROM and has_kernel() else "_reference"
    return importlib.import_module(f"montezarr.random.distributions.{name}")


def tails(key: tuple[int, int], slot: int, start: int, n: int) -> Array:
    """Return the signed tail probabilities of a parameter's uniforms; see `_reference`."""
    kind: Any = "kernel" if n >= KERNEL_FROM and has_kernel() else "reference"
    uniform: Array = Draws(key, start, n, implementation=kind).uniform(0, slot)
    out: Array = implementation(n).tails(uniform)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution(Value, ABC):
    r"""Base of the distributions of parameters, which give a value to each path of a run.

    The value of a parameter for path i is :math:`Q(u)`, with the quantile function Q of the
    distribution and a uniform number :math:`u = (k + 1/2)\,2^{-53}`. The integer k has 53 bits:
    :math:`k\,2^{-53}` is the float64 draw ``Draws.uniform`` of path i at step 0, in a slot that
    belongs to the name of the parameter: 2**31 plus the low 31 bits of the first little-endian word
    of the SHA-256 of the name in UTF-8. So a value depends on the seed, the stream, the name and i
    alone, u is never 0 nor 1, and :math:`1 - u` has the same form as u. Q is computed from the
    smaller of u and :math:`1 - u`, both of which are exact, to the same bits on every machine.

    Distributions are frozen, hashable, and go to JSON and back. Like those of processes, their
    parameters are checked once.

    Examples
    --------
    The values that 3 paths of a run get, made by hand:

    >>> import hashlib
    >>> import numpy as np
    >>> import montezarr as mz
    >>> rate = mz.Uniform(0.0, 2.0)
    >>> word = np.frombuffer(hashlib.sha256(b"rate").digest(), "<u4")[0]
    >>> slot = 2**31 + int(word) % 2**31
    >>> u = mz.Draws.of(42, n=3).uniform(0, slot) + 2.0**-54
    >>> print(2.0 * u, rate.draw(42, "rate", n=3))
    [0.15618577 1.69899807 0.17127394] [0.15618577 1.69899807 0.17127394]
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are drawn together; empty for a distribution of one parameter."""
        return ()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return a few typical instances, for tests."""
        raise NotImplementedError

    @abstractmethod
    def at_tails(self, tail: Array) -> Array:
        """Return quantiles at signed tail probabilities.

        Parameters
        ----------
        tail : array of float64, contiguous
            -p for the quantile at p, and p for that at 1 - p; from 2**-54 to 1/2 in size.
        """

    @abstractmethod
    def moments(self) -> Any:
        """Return the mean and the variance."""

    @property
    def low(self) -> Any:
        """The smallest value that a draw can have: the quantile at 2**-54."""
        return float(self.at_tails(np.array([-LEAST]))[0])

    @property
    def high(self) -> Any:
        """The largest value that a draw can have: the quantile at 1 - 2**-54."""
        return float(self.at_tails(np.array([LEAST]))[0])

    def draw(
        self, seed: Any, name: str | None = None, *,
        start: int = 0, n: int = 1, stream: str | None = None,
    ) -> Any:  # fmt: skip
        """Return the values of a parameter for paths start ... start+n-1, without the paths.

        Parameters
        ----------
        seed : int, sequence of int, SeedSequence or None
            Root entropy, as in `simulate`.
        name : str
            Name of the parameter.
        start, n : int
            First path, and number of paths.
        stream : str, optional
            Name of the stream, as in `simulate`.

        Returns
        -------
        array (n,) of float64, or a mapping of name to array of a `JointNormal`

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For an invalid seed, name, range or stream.
        """
        key, first, count = checked_range(seed, start, n, stream)
        return self.of_paths(key, parameter_slot(name), first, count)

    def of_paths(self, key: tuple[int, int], slot: int, start: int, n: int) -> Array:
        """Return the values of paths start ... start+n-1 under a Philox key, without checks."""
        return self.at_tails(tails(key, slot, start, n))

    def by_name(
        self, names: tuple[str, ...], seed: RootSeed, start: int, n: int
    ) -> dict[str, Array]:
        """Return the values of parameters for paths start ... start+n-1; as a `Design` does."""
        (name,) = names
        return {name: self.of_paths(seed.philox_key(), parameter_slot(name), start, n)}

    def slot_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of all that is drawn for these parameters."""
        return names

    def parts(self, names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], Distribution], ...]:
        """Return the distributions of these parameters: this one alone."""
        return ((names, self),)

    def quantile(self, p: Any) -> Any:
        """Return the quantile at probabilities that draws reach.

        Parameters
        ----------
        p : float or array
            Probabilities, from 2**-54 on and below 1.

        Returns
        -------
        float or array of the same shape

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If a probability is no number in this range.
        """
        given = plain_array("p", p)
        if given.dtype.kind not in "iuf":
            raise type_error("p", "probabilities", p)
        flat = np.ascontiguousarray(given, np.float64).ravel()
        if not ((flat >= LEAST) & (flat < 1)).all():
            wrong = flat[~((flat >= LEAST) & (flat < 1))][0]
            raise value_error("p", "probabilities >= 2**-54 and < 1, as of draws", float(wrong))
        # 1 - p is exact from 1/2 on, where the upper tail is the nearer one.
        out = self.at_tails(np.where(flat < 0.5, -flat, 1.0 - flat))
        return out.reshape(given.shape) if given.ndim else float(out[0])


def check_reach(distribution: Distribution, name: str) -> None:
    """Raise if a draw of a distribution can be too large for float64, and name the parameter."""
    for value in (distribution.low, distribution.high):
        if not math.isfinite(value):
            raise value_error(
                name, "a distribution of finite numbers", getattr(distribution, name),
                "Its largest draws, at a probability of 2**-54, are beyond float64.",
            )  # fmt: skip


def checked_range(
    seed: Any, start: int, n: int, stream: str | None
) -> tuple[tuple[int, int], int, int]:
    """Return the Philox key, the first path and the number of paths of a call to `draw`."""
    first = check_int("start", start)
    count = check_int("n", n, maximum=MAX_INDEX - first)
    return as_root_seed(seed, stream).philox_key(), first, count
