"""One compiled loop over a range of paths, around a function that Numba compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from montezarr.core.fork import ForkLock
from montezarr.core.tunables.keeping import LOOPS_KEPT

UNFIT = re.compile(r"numba_parallel_for|__svml_|\b(fast|reassoc|contract|afn) (double|float|<)")
"""In the code of a loop: threads of its own, or floating-point operations that may be reordered.

Two threads must not start threads of Numba's own at once; and the paths of reordered operations
might depend on how the function was compiled: alone, or in a loop.
"""

HEAD = """\
def loop(rng, numbers, cached, prefix, constant, start, low, high, tile, done, {given}, {places}):
    pool, states = np.empty_like(prefix), np.empty((tile, 4), np.uint64)
    for base in range(low, high, tile):
        end = min(base + tile, high)
        done[0] = base
        path_states(prefix, constant, np.uint64(start + base), pool, states[: end - base])
        for i in range(base, end):
            done[1] = i
            set_state(states[i - base], numbers, cached)
{lines}"""
PUT = """\
            if not put({value}, rows{k}[:, i - base], shape{k}):
                return
"""
PUT_EVENTS = """\
            length{k}, is_finite = put_events(
                {value}, number_in(value, '{number}'), rows{k}[:, i - base], shape{k}, {blank},
                {cuts},
            )
            if length{k} < 0:
                return
            done[2] &= is_finite
"""
SAME_LENGTH = """\
            if length{k} != length{first}:
                return
"""
NUMBER = """\
            rows{k}[0, i - base] = {number}
"""
SPREAD_EVENTS = """\
        spread(rows{k}, chosen{k}, out{k}, base, end)
"""
SPREAD = """\
        done[2] &= spread(rows{k}, chosen{k}, out{k}, base, end)
"""
TAIL = """\
    done[0] = done[1] = high
"""

NO_PUTS: Mapping[int, str] = {}


@dataclass(eq=False)
class Loop:
    """The compiled loop of a function, for arguments of one list of types.

    Attributes
    ----------
    function : object or None
        The compiled loop; None if there is none, and the function is called from Python.
    spent : float
        Seconds for which paths were drawn without it, while it was not compiled.
    is_tried : bool
        Whether it was compiled, or could not be.
    is_checked : bool
        Whether its paths were compared with those that the function returns to Python.
    at_once : int
        Steps that a call draws, by the time that calls took.
    """

    function: Any = None
    spent: float = 0.0
    is_tried: bool = False
    is_checked: bool = False
    at_once: int = 4096
    lock: Any = field(default_factory=ForkLock)

    def give_up(self) -> None:
        """Call the function from Python from now on."""
        self.function, self.is_tried = None, True


_loops: dict[Any, Loop] = {}
_lock = ForkLock()


def loop_of(function: Any, key: Any) -> Loop:
    """Return the loop of a function, and of what its text and types depend on."""
    with _lock:
        known = _loops.pop((function, key)) if (function, key) in _loops else Loop()
        _loops[function, key] = known
        while len(_loops) > LOOPS_KEPT:
            del _loops[next(iter(_loops))]
        return known


def text_of(
    lines: tuple[str, ...], given: tuple[str, ...], values: tuple[str, ...],
    puts: Mapping[int, str] = NO_PUTS,
) -> str:  # fmt: skip
    """Return the source of a loop.

    Parameters
    ----------
    lines : tuple of str
        The call of the function, whose value is called ``value``.
    given : tuple of str
        Names of the arguments of the loop that the call uses.
    values : tuple of str
        For each variable, the expression of its value.
    puts : dict of int to str
        By position of the variable, the lines that put events, or their number.
    """
    names = ("rows", "chosen", "out", "shape")
    places = ", ".join(f"{name}{k}" for k in range(len(values)) for name in names)
    body = "".join(f"            {line}\n" for line in lines)
    parts = [HEAD.format(given=", ".join(given), places=places, lines=body)]
    parts += [puts.get(k) or PUT.format(k=k, value=value) for k, value in enumerate(values)]
    # Padding is no number, so whether events are finite is seen when they are put.
    parts += [(SPREAD_EVENTS if k in puts else SPREAD).format(k=k) for k in range(len(values))]
    return "".join([*parts, TAIL]).replace(", ,", ",")


def compiled(text: str, target: Any, arguments: tuple[Any, ...], nogil: bool) -> Any:
    """Return the loop compiled for some arguments; None if Numba cannot, or must not, compile it.

    The arguments must be those of an empty range.
    """
    from numba import njit  # imported here to keep the import of montezarr quick

    from montezarr.random.path_states import path_states, set_state
    from montezarr.samplers._put import no_value, put
    from montezarr.samplers._put_events import number_in, part_of, put_events
    from montezarr.samplers._spread import spread

    names: dict[str, Any] = {
        "np": np, "path_states": path_states, "set_state": set_state, "put": put,
        "spread": spread, "no_value": no_value, "target": target, "part_of": part_of,
        "number_in": number_in, "put_events": put_events,
    }  # fmt: skip
    exec(text, names)
    loop = njit(nogil=nogil)(names["loop"])
    try:
        loop(*arguments)
        codes: Mapping[Any, str] = loop.inspect_llvm()
    except Exception:  # what a function may return, or take, that has no version here
        return None
    return None if any(UNFIT.search(code) for code in codes.values()) else loop
