"""Commands about stores: info, verify, repair, extend, merge, export."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import click

from montezarr import store
from montezarr.cli._group import cli, json_option, note, print_result, quiet_option
from montezarr.core.checks import value_error
from montezarr.core.errors import ArgumentValueError, ReplayError
from montezarr.execute.progress import Progress
from montezarr.store import Verification
from montezarr.store._info import info
from montezarr.store.export import FORMATS, export

PROBLEMS = 1
"""Exit status of a store that is not intact."""

OBJECTS = ("ds", "process", "statistics")
"""Arguments that hold Python objects, which a command line cannot pass."""

path_argument = click.argument("path")


@cli.command("info")
@path_argument
@json_option
def show_info(path: str, as_json: bool) -> None:
    """Describe the store at PATH. Nothing is run, and no path is read."""
    found = info(path)
    print_result(str(found), found.to_dict(), as_json)


@cli.command()
@path_argument
@click.option("--level", type=click.IntRange(0, 3), default=1, show_default=True)
@click.option("--sample", type=int, default=8, show_default=True, help="Chunks of level 2.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which ones these are.")
@json_option
def verify(path: str, level: int, sample: int, seed: int, as_json: bool) -> None:
    """Check whether the store at PATH is intact: exit status 0, or 1.

    Levels: 0, all files exist and have the right size; 1, their checksums are right; 2, also some
    chunks drawn again are equal bit by bit; 3, all chunks are.
    """
    with _in_python(f"mz.verify({path!r}, {level}, ...)"):
        found = store.verify(path, level, sample=sample, seed=seed)
    _end_with(found, as_json)


@cli.command()
@path_argument
@json_option
@quiet_option
def repair(path: str, as_json: bool, quiet: bool) -> None:
    """Draw damaged or missing chunks of the store at PATH again: exit status 0 if it is intact."""
    with _in_python(f"mz.repair({path!r}, ...)"):
        found = store.repair(path, show_progress=not quiet)
    _end_with(found, as_json)


@cli.command()
@path_argument
@click.option("--n-paths", type=int, required=True, help="Number of paths afterwards.")
@click.option("--chunks-per-task", type=int, help="Chosen by default.")
@click.option("--durable", is_flag=True, help="What is committed outlives a loss of power.")
@json_option
@quiet_option
def extend(
    path: str, n_paths: int, chunks_per_task: int | None, durable: bool, as_json: bool, quiet: bool
) -> None:
    """Add paths to the store at PATH. Run it again to resume where it stopped."""
    before = info(path).committed
    with _in_python(f"mz.extend({path!r}, {n_paths}, ...)"):
        store.extend(
            path,
            n_paths,
            durable=durable,
            chunks_per_task=chunks_per_task,
            show_progress=not quiet,
        )
    found = info(path)
    added = found.committed - before
    text = f"{added:,} paths added, {found.committed:,} in {found.path}"
    print_result(text, {"store": found.path, "paths": found.committed, "added": added}, as_json)


@cli.command()
@click.argument("out")
@click.argument("stores", nargs=-1, required=True)
@click.option("--durable", is_flag=True, help="What is committed outlives a loss of power.")
@json_option
def merge(out: str, stores: tuple[str, ...], durable: bool, as_json: bool) -> None:
    """Merge STORES, which hold ranges of the paths of one run, into OUT; STORES are kept."""
    with _in_python(f"mz.merge({list(stores)!r}, {out!r}, ...)"):
        store.merge(list(stores), out, durable=durable)
    found = info(out)
    text = f"{found.committed:,} paths of {len(stores)} stores in {found.path}"
    told = {"store": found.path, "paths": found.committed, "stores": len(stores)}
    print_result(text, told, as_json)


@cli.command("export")
@path_argument
@click.argument("out")
@click.option("--paths", metavar="A:B", help="Paths A to B - 1 of the run; all by default.")
@click.option("--every", type=int, default=1, show_default=True, help="Keep every K-th time only.")
@click.option("--variable", "variables", multiple=True, help="Only this variable; may be repeated.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="By the suffix of OUT.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@json_option
@quiet_option
def export_store(
    path: str,
    out: str,
    paths: str | None,
    every: int,
    variables: tuple[str, ...],
    kind: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write paths of the store at PATH to the file OUT: netCDF (.nc) or a table (.parquet)."""
    start, stop = _range(paths)
    with Progress("export", enabled=not quiet) as progress:
        done = export(
            path,
            out,
            start=start,
            stop=stop,
            every=every,
            variables=variables or None,
            kind=kind,
            overwrite=overwrite,
            on_progress=progress,
        )
    if done.left_out:
        note(
            f"the store is incomplete: {done.left_out:,} of the paths asked for are not committed"
            " yet, and not exported."
        )
    print_result(str(done), done.to_dict(), as_json)


def _range(text: str | None) -> tuple[int | None, int | None]:
    """Parse ``A:B``: the first path and the one after the last, each None if not given."""
    low, colon, high = (":" if text is None else text).partition(":")
    numbers = [None if not part else int(part) if _is_number(part) else -1 for part in (low, high)]
    if not colon or -1 in numbers:
        raise value_error("paths", "path indices such as 0:1000, 1000: or :1000", text)
    return numbers[0], numbers[1]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _end_with(found: Verification, as_json: bool) -> None:
    print_result(str(found), found.to_dict(), as_json)
    if not found.ok:
        sys.exit(PROBLEMS)


@contextlib.contextmanager
def _in_python(line: str) -> Iterator[Any]:
    """Add the call in Python to an error about an object that a command line cannot name."""
    try:
        yield
    except (ReplayError, ArgumentValueError) as error:
        name, _, problem = str(error).partition(": ")
        if not isinstance(error, ReplayError) and name not in OBJECTS:
            raise
        wanted = "process" if "process=" in problem else name
        call = line.replace("...", f"{wanted}=...")
        raise type(error)(f"{problem} Do it in Python: {call}") from error
