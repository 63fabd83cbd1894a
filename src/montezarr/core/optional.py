"""Import of optional packages, with an error that says how to install them."""

from __future__ import annotations

from types import ModuleType

from montezarr.core.errors import MissingDependencyError
from montezarr.core.interrupts import import_whole


def import_optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `package`, or raise an error with the command that installs it.

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
