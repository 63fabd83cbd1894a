"""Optional packages: import one, or say how to get it."""

from __future__ import annotations

from types import ModuleType

from montezarr._uninterrupted import import_whole
from montezarr.errors import MissingDependencyError


def import_optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Return the module `package`, or raise with the line that installs it.

    Raises
    ------
    MissingDependencyError
        If `package` is not installed.
    """
    try:
        return import_whole(package)
    except ImportError as error:
        raise MissingDependencyError(
            f'{purpose} needs the package {package}: pip install "montezarr[{extra}]"'
        ) from error
