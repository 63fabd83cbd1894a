"""Private names of fsspec: asynchronous methods, which begin with ``_``, and joined paths.

Its developer guide documents the asynchronous methods; nothing public offers conditional writes or
the sizes of many objects at once.
"""

from __future__ import annotations

from typing import Any


async def object_info(file_system: Any, path: str, **options: Any) -> dict[str, Any]:
    """Return the metadata of an object; empty where the file system has no such method.

    Raises
    ------
    FileNotFoundError
        If the object does not exist.
    """
    ask = getattr(file_system, "_info", None)
    return {} if ask is None else await ask(path, **options)


async def pipe_file(file_system: Any, path: str, data: bytes, **options: Any) -> Any:
    """Write an object under a condition.

    Raises
    ------
    NotImplementedError
        If the file system has no such method.
    """
    put = getattr(file_system, "_pipe_file", None)
    if put is None:
        raise NotImplementedError
    return await put(path, data, **options)


async def list_objects(file_system: Any, path: str) -> dict[str, Any] | None:
    """Return the metadata of all objects below a path; None where these cannot be listed."""
    ask = getattr(file_system, "_find", None)
    return None if ask is None else await ask(path, detail=True)


def unwrapped_path(file_system: Any, path: str) -> str | None:
    """Return a DirFileSystem's path in the file system that it wraps; None if unknown."""
    join = getattr(file_system, "_join", None)
    return None if join is None else str(join(path))
