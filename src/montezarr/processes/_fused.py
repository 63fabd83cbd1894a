"""When the coefficients of a Diffusion are compiled, and when their paths are taken.

Compiling takes seconds, so it waits until NumPy has made many steps with the same functions. Both
ways give the same bits, so a run may begin with one and go on with the other.
"""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from montezarr.core.compat.numba import changes_rounding
from montezarr.core.fork import ForkLock
from montezarr.schemes._arguments import is_compiled

STEPS_BEFORE = 2**26
"""Steps of paths that NumPy makes before Python functions are compiled: about half a second."""

STEPS_BEFORE_COMPILED = 2**16
"""The same for functions that Numba compiled already: more than the trial of `simulate` makes."""

EQUATIONS_KEPT = 32
"""Sets of functions, and trials of each, that are remembered."""

TRIAL_STATES = 2**18
"""States at which both ways are compared, about, before compiled code is used: all times of a grid,
and from 16 to 512 paths."""


@dataclass(slots=True)
class Fused:
    """What is known of the coefficients of one equation in this process."""

    before: int
    steps: int = 0
    loop: Any = None
    evaluate: Any = None
    is_refused: bool = False
    trials: OrderedDict[Any, bool] = field(default_factory=OrderedDict)
    # Never waited for: a child forked while it is held has NumPy, to the same bits.
    lock: Any = field(default_factory=threading.Lock)

    def loop_for(
        self, key: Any, steps: int, make: Callable[[], None], trial: Callable[[], bool]
    ) -> Any:
        """Return the compiled loop for a run; None if there is none, or not yet.

        Parameters
        ----------
        key : object
            What the last bits depend on: a trial is made once for each.
        steps : int
            Steps of paths that are wanted.
        make : function
            Sets `loop` and `evaluate`, or `is_refused`.
        trial : function
            Returns whether the loop gives the bits of NumPy.
        """
        if key not in self.trials:
            if self.is_refused or not self.lock.acquire(blocking=False):
                return None  # another thread compiles it
            try:
                self.steps += steps
                if self.loop is None and not self.is_refused and self.steps >= self.before:
                    make()
                if self.loop is None:
                    return None
                self.trials[key] = trial()
                if len(self.trials) > EQUATIONS_KEPT:
                    self.trials.popitem(last=False)
            finally:
                self.lock.release()
        return self.loop if self.trials.get(key) else None

    def compile(self, functions: Sequence[Any], counts: Sequence[int], is_milstein: bool) -> None:
        """Compile the coefficients, or refuse them."""
        # Imported here, since Numba takes half a second to import.
        from montezarr.processes._kernels import diffusion as kernel

        found = kernel.compiled(functions, counts)
        if found is None:
            self.is_refused = True
        else:
            self.evaluate = kernel.evaluator_of(found)
            self.loop = kernel.loop_of(found, is_milstein)


def trial_paths(steps: int) -> int:
    """Return with how many paths of a grid both ways are compared."""
    return min(512, max(16, TRIAL_STATES // max(steps, 1)))


_KNOWN: OrderedDict[Any, Fused] = OrderedDict()
_lock = ForkLock()


def fused(functions: Sequence[Any], is_milstein: bool) -> Fused | None:
    """Return what is known of coefficients; None if compiled code could differ from them.

    Compiled code has the values of globals at the time of compilation, so it is looked up by them.
    """
    key = []
    for function in functions:
        frozen = _frozen(function)
        if frozen is None:
            return None
        key.append(frozen)
    before = STEPS_BEFORE_COMPILED if all(map(is_compiled, functions)) else STEPS_BEFORE
    with _lock:
        found = _KNOWN.setdefault((tuple(key), is_milstein), Fused(before))
        _KNOWN.move_to_end((tuple(key), is_milstein))
        if len(_KNOWN) > EQUATIONS_KEPT:
            _KNOWN.popitem(last=False)
    return found


def arguments_in_place(function: Any, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the arguments after (t, x), in their order; None if they cannot be given so."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, or a ufunc of Numba
        return None
    in_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) < 2 or any(p.kind not in in_place for p in parameters):
        return None
    found = []
    for parameter in parameters[2:]:
        by_name = parameter.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
        value = (
            values[parameter.name] if by_name and parameter.name in values else parameter.default
        )
        if not isinstance(value, (int, float, np.ndarray)) or isinstance(value, bool):
            return None
        found.append(value if isinstance(value, np.ndarray) else float(value))
    return tuple(found)


def _frozen(function: Any) -> tuple[Any, ...] | None:
    """Return a function with the values that its compiled code would keep; None for others."""
    if is_compiled(function):
        return None if changes_rounding(function) else (function,)
    if not isinstance(function, FunctionType):
        return None
    code = function.__code__
    if any(isinstance(constant, CodeType) for constant in code.co_consts):
        return None  # a function inside it has names of its own
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # not assigned yet
        return None
    names = [name for name in code.co_names if name in function.__globals__]
    values = [*cells, *(function.__globals__[name] for name in names)]
    found = []
    for value in (*values, *(function.__defaults__ or ())):
        if isinstance(value, (int, float, np.floating, np.integer)):
            found.append((type(value), repr(value)))
        elif _is_fixed(value):
            found.append((type(value), value))
        else:
            return None
    return function, tuple(found)


def _is_fixed(value: Any) -> bool:
    """Return whether a global is one that does not change: of NumPy, or compiled."""
    if isinstance(value, ModuleType):
        return value.__name__ in ("numpy", "math")
    if is_compiled(value):
        return not changes_rounding(value)
    return isinstance(value, np.ufunc) or (
        callable(value) and str(getattr(value, "__module__", "")).startswith(("numpy", "builtins"))
    )
