"""Networks as text for people: propensities, rate equations, and the rows of a card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from montezarr.core.checks import show
from montezarr.core.text import Formula
from montezarr.processes._describe import symbol
from montezarr.processes.networks._expressions import text_of
from montezarr.processes.networks._structure import Structure

ROWS_MAX = 12
"""Reactions that a card shows, at most."""


def equations_of(structure: Structure) -> str:
    """Return the propensities and the rate equations, a line each."""
    lines = [f"a{r + 1} = {text_of(tree)}" for r, tree in enumerate(structure.whole_propensities)]
    for name, row in zip(structure.species, structure.changes.tolist(), strict=True):
        terms = "".join(_term(change, f"a{r + 1}") for r, change in enumerate(row) if change)
        if terms.startswith(" - "):
            terms = f"-{terms[3:]}"
        lines.append(f"d{name}/dt = {terms.removeprefix(' + ') or '0'}")
    return "\n".join(lines)


def _term(change: int, rate: str) -> str:
    size = "" if abs(change) == 1 else f"{abs(change)} "
    return f" {'+' if change > 0 else '-'} {size}{rate}"


def reaction_rows(
    structure: Structure, species: Any, parameters: Any
) -> Iterator[tuple[str, Formula | str]]:
    """Yield the entries of a card: reactions with their rates, initial numbers, parameters."""
    label = "reactions"
    for reaction in structure.reactions[:ROWS_MAX]:
        yield label, f"{reaction.text} @ {text_of(reaction.rate)}"
        label = ""
    more = len(structure.reactions) - ROWS_MAX
    if more > 0:
        yield label, f"and {more:,} more"
    yield "species", ", ".join(f"{name} = {count}" for name, count in species)
    label = "parameters"
    numbers = [(k, v) for k, v in parameters if not isinstance(v, str)]
    if numbers:
        entries = [f"{symbol(name)} = {show(value, 40)}" for name, value in numbers]
        yield label, Formula(", ".join(entries))
        label = ""
    for name, value in parameters:
        if isinstance(value, str):
            yield label, f"{name} = {value}"
            label = ""
