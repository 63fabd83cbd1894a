"""The command ``montezarr``: results on standard output, progress and errors on standard error."""

from montezarr.cli import _runs, _stores  # noqa: F401  # each registers its commands
from montezarr.cli._group import cli
from montezarr.cli._main import main

__all__ = ["cli", "main"]
