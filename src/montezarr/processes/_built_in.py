"""The table of built-in processes by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from montezarr import processes
from montezarr.core.checks import value_error
from montezarr.core.lazy import public_names, public_subclasses
from montezarr.processes._base import Process


@cache
def built_in_processes() -> dict[str, type[Process]]:
    """Return every built-in process by name; configuration files and stores may name only these."""
    return public_subclasses(processes.__name__, Process)


def is_ours(process: Any) -> bool:
    """Return whether a process is of a class of montezarr, and not of one derived from it."""
    name = type(process).__name__
    return name in public_names(processes.__name__) and type(process) is getattr(processes, name)


def runs_user_code(process: Process) -> bool:
    """Return whether a process runs code of the user, which is tried before it is trusted."""
    # A user's subclass counts as user code even if it only redefines fields.
    return not is_ours(process) or process.runs_user_code


def process_from_dict(data: Mapping[str, Any]) -> Process:
    """Return the built-in process that `to_dict` described.

    Parameters
    ----------
    data : mapping
        The name of the class as ``"name"``, and its parameters under their names.

    Returns
    -------
    Process
        An instance equal to the described one.

    Raises
    ------
    ArgumentValueError
        If the name is not that of a built-in process, or a parameter is invalid.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=0.5)
    >>> mz.process_from_dict(process.to_dict()) == process
    True
    """
    known = built_in_processes()
    name = data.get("name")
    if not isinstance(name, str) or name not in known:
        raise value_error("name", f"one of {', '.join(known)}", name)
    return known[name].from_dict(data)
