"""Private names of fsspec: asynchronous methods, which begin with ``_``, and paths below a path.

Its guide for developers names the first, and no other way leads to conditions or to sizes of many.
"""

from __future__ import annotations

from typing import Any


async def object_info(file_system: Any, path: str, **options: Any) -> dict[str, Any]:
    """Return what is known of an object; nothing where this cannot be asked.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    ask = getattr(file_system, "_info", None)
    return {} if ask is None else await ask(path, **options)


async def pipe_file(file_system: Any, path: str, data: bytes, **options: Any) -> Any:
    """Write an object under a condition.

    Raises
    ------
    NotImplementedError
        If there is no way to.
    """
    put = getattr(file_system, "_pipe_file", None)
    if put is None:
        raise NotImplementedError
    return await put(path, data, **options)


async def list_objects(file_system: Any, path: str) -> dict[str, Any] | None:
    """Return all objects below a path with what is known of them; None where nobody lists them."""
    ask = getattr(file_system, "_find", None)
    return None if ask is None else await ask(path, detail=True)


def unwrapped_path(file_system: Any, path: str) -> str | None:
    """Return a path of a DirFileSystem as the one below has it; None where it does not tell."""
    join = getattr(file_system, "_join", None)
    return None if join is None else str(join(path))
