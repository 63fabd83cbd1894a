"""Undocumented names of Numba: the options of a compiled function, and its cache on disk."""

from __future__ import annotations

from typing import Any


def _options(function: Any) -> dict[str, Any]:
    options = getattr(function, "targetoptions", None)
    return options if isinstance(options, dict) else {}


def releases_gil(function: Any) -> bool:
    """Return whether a compiled function releases the GIL; False where this is unknown."""
    return bool(_options(function).get("nogil", False))


def may_run_in_a_loop(function: Any) -> bool:
    """Return whether compiled code may call a function from several threads, with the same bits.

    False for one that starts threads of its own, whose operations may be reordered, which runs in
    Python, and where this is unknown.
    """
    options = getattr(function, "targetoptions", None)
    refused = ("parallel", "fastmath", "forceobj", "debug")
    return isinstance(options, dict) and not any(options.get(name) for name in refused)


def changes_rounding(function: Any) -> bool:
    """Return whether a function was compiled with options by which its last bits may change."""
    options = getattr(function, "targetoptions", None)
    return not isinstance(options, dict) or any(options.get(o) for o in ("fastmath", "parallel"))


def keep_apart(function: Any, sources: str) -> None:
    """Have the cache of a compiled function give code of these sources and its arguments alone.

    Numba asks for the file of the function only, though its code contains functions of others. And
    a process that compiles for other arguments at the same time may take the same file for its
    code: where Numba lacks the names, both can happen.

    Parameters
    ----------
    function : Numba function
        With ``cache=True``.
    sources : str
        Digest of all sources that its code is made of.
    """
    cache = getattr(function, "_cache", None)
    file = getattr(cache, "_cache_file", None)
    load = getattr(cache, "load_overload", None)
    if load is None or not hasattr(file, "_source_stamp"):
        return
    stamped: Any = file
    stamped._source_stamp = (stamped._source_stamp, sources)

    def load_own(types: Any, context: Any) -> Any:
        found = load(types, context)
        own = found is not None and tuple(found.signature.args) == tuple(types)
        return found if own else None

    vars(cache)["load_overload"] = load_own
