"""The command group, shared options, and output of all commands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from montezarr import __version__
from montezarr.core.notices import UNREADABLE
from montezarr.core.secrets import redacted
from montezarr.core.text import for_terminal

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")


@click.group()
@click.version_option(__version__, prog_name="montezarr")
def cli() -> None:
    """Monte Carlo sample paths of stochastic processes, larger than memory."""


def print_result(text: str, found: Any, as_json: bool) -> None:
    """Print a result: as text, or as JSON."""
    if as_json:
        click.echo(json.dumps(_finite(found), indent=2, allow_nan=False))
    else:
        click.echo(for_terminal("\n".join(printable(line) for line in text.split("\n"))))


def note(text: str) -> None:
    """Print a message that is not a result on standard error."""
    with suppress(*UNREADABLE):
        click.echo(f"montezarr: {single_line(redacted(text))}", err=True)


def single_line(text: str) -> str:
    """Return a message as one line."""
    parts: list[str] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        # Join the lines of a list into one sentence.
        if parts and not parts[-1].endswith((".", ":", ",", ";")):
            parts[-1] += "." if line[0].isupper() else ";"
        parts.append(line)
    return printable(" ".join(parts))


def printable(text: str) -> str:
    """Return a text without control characters: names of files and stores may hold some."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
