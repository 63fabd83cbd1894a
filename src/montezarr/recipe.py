"""The recipe of a run: everything that determines its values, as JSON, and its fingerprint."""

from __future__ import annotations

import hashlib
import inspect
import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from montezarr.processes import Process
from montezarr.sampling import Sampling
from montezarr.sampling.scalar import signature

FORMAT = 1
"""Version of the recipe; a change of any draw or of any process's use of them raises it."""


def recipe_of(sampling: Sampling, x0_digest: str | None) -> dict[str, Any]:
    """Return the recipe of a run, without its number of paths, which determines no value.

    Parameters
    ----------
    sampling : Sampling
        The bound sampler.
    x0_digest : str or None
        Digest of the initial states where they differ from path to path.
    """
    process = sampling.target
    built_in = isinstance(process, Process) and not process.runs_user_code
    x0 = {"digest": x0_digest} if x0_digest is not None else _plain(sampling.x0)
    out: dict[str, Any] = {
        "format": FORMAT,
        "sampler": sampling.kind,
        "process": process.to_dict() if isinstance(process, Process) else {"name": sampling.name},
        "grid": sampling.grid.to_dict(),
        "x0": x0,
        "seed": sampling.seed.to_dict(),
        "variables": [_variable(variable) for variable in sampling.variables],
    }
    if not built_in:
        out["code"] = digest_of(process)
    if sampling.keep is not None:
        out["keep"] = list(sampling.keep)
    if sampling.options:
        out["options"] = digest_of(dict(sampling.options))
    return out


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """Return 128 bits of SHA-256 over the canonical JSON of a recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_of(value: Any) -> str:
    """Return a digest of a value and of the source code that it runs.

    Two functions with the same name and other source differ, which pickling by reference would not
    see. What a function refers to in its module is followed only through closures and defaults.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value, set())
    return hasher.hexdigest()[:32]


def _variable(variable: Any) -> dict[str, Any]:
    out = {"name": variable.name, "dtype": variable.dtype}
    if variable.labels is not None:
        out["labels"] = list(variable.labels)
    return out


def _plain(x0: Any) -> Any:
    """Return an initial state as JSON where it is plain, else its digest."""
    if isinstance(x0, (np.generic, np.ndarray)):
        x0 = x0.tolist()
    if isinstance(x0, Mapping):
        return {str(key): _plain(item) for key, item in x0.items()}
    if isinstance(x0, (list, tuple)):
        return [_plain(item) for item in x0]
    if x0 is None or isinstance(x0, (bool, int, float, str)):
        return x0
    return {"digest": digest_of(x0)}


def _feed(hasher: Any, value: Any, seen: set[int]) -> None:
    """Hash `value` by structure: type first, so that 1, 1.0 and "1" differ."""
    hasher.update(f"\x00{type(value).__module__}.{type(value).__qualname__}\x00".encode())
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        hasher.update(repr(value).encode())
        return
    if id(value) in seen:
        return
    seen = seen | {id(value)}
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.kind == "O":
            _feed(hasher, array.tolist(), seen)
        else:
            hasher.update(array.tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            _feed(hasher, key, seen)
            _feed(hasher, value[key], seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(hasher, item, seen)
    elif isinstance(value, (set, frozenset)):
        for text in sorted(repr(item) for item in value):
            hasher.update(text.encode())
    elif isinstance(value, types.ModuleType):
        hasher.update(value.__name__.encode())
    elif isinstance(value, type):
        _feed_class(hasher, value)
    elif callable(value) and hasattr(getattr(value, "py_func", value), "__code__"):
        _feed_function(hasher, getattr(value, "py_func", value), seen)
    elif is_dataclass(value):
        _feed_class(hasher, type(value))
        for field in fields(value):
            hasher.update(field.name.encode())
            _feed(hasher, getattr(value, field.name), seen)
    elif isinstance(value, np.generic):
        hasher.update(repr(value).encode())
    else:
        _feed_object(hasher, value, seen)


def _feed_object(hasher: Any, value: Any, seen: set[int]) -> None:
    _feed_class(hasher, type(value))
    reduced = value.__reduce_ex__(4)
    # (function, arguments, state, ...): what pickling would store, walked instead of pickled.
    if isinstance(reduced, str):
        hasher.update(reduced.encode())
        return
    for part in reduced[1:3]:
        _feed(hasher, part, seen)


def _feed_class(hasher: Any, kind: type) -> None:
    hasher.update(f"{kind.__module__}.{kind.__qualname__}".encode())
    for parent in kind.__mro__:
        if parent.__module__ != "builtins":
            hasher.update(_source(parent).encode())


def _feed_function(hasher: Any, function: Any, seen: set[int]) -> None:
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        _feed(hasher, owner, seen)
    hasher.update(f"{function.__qualname__}{list(signature(function).parameters)}".encode())
    hasher.update(_source(function).encode())
    _feed_code(hasher, function.__code__, seen)
    _feed(hasher, function.__defaults__, seen)
    _feed(hasher, function.__kwdefaults__, seen)
    for cell in function.__closure__ or ():
        _feed(hasher, cell.cell_contents, seen)


def _feed_code(hasher: Any, code: types.CodeType, seen: set[int]) -> None:
    hasher.update(code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(hasher, constant, seen)
        else:
            _feed(hasher, constant, seen)


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # typed at a prompt, or compiled: the bytecode stands for it
        return ""
