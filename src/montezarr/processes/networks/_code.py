"""Source of the loops over paths: what all methods share.

The source is made of a structure's checked trees and of numbered names (``s0`` a species, ``p0`` a
parameter, ``c0`` a constant, ``a0`` a propensity). Compiled, or run by Python as it is, it computes
the same operations in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from montezarr.processes.networks._expressions import (
    TIME_NAME,
    Expression,
    source_of,
)
from montezarr.processes.networks._structure import Structure

BAD_RATE, BAD_COUNT, TOO_MANY, TOO_LARGE, NO_BOUND = 1.0, 2.0, 3.0, 4.0, 5.0
"""Kinds of failures: of a rate, a negative number of molecules, too many events, a number of
molecules that is too large, a rate without a bound."""

FAILURE = 4
"""Numbers of a failure before the state: its kind, reaction, time, rate."""


class Source:
    """Lines of source of a structure, with the names of its parts."""

    def __init__(self, structure: Structure):
        self.structure, self.lines, self.depth = structure, list[str](), 0

    @property
    def text(self) -> str:
        """The source so far."""
        return "\n".join(self.lines) + "\n"

    def add(self, *lines: str) -> None:
        """Add lines at the present depth."""
        self.lines += [f"{'    ' * self.depth}{line}" for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a statement with a block of lines inside."""
        self.add(head)
        self.depth += 1
        yield
        self.depth -= 1

    def place(self, name: str) -> str:
        """Return the name in code of a species, a parameter, a constant or the time."""
        if name == TIME_NAME:
            return "t"
        if name.startswith("#"):
            return f"c{name[1:]}"
        if name in self.structure.species:
            return f"s{self.structure.species.index(name)}"
        return f"p{self.structure.parameters.index(name)}"

    def of(self, tree: Expression) -> str:
        """Return the source of a tree."""
        return source_of(tree, self.place)

    # --- parts of loops ---------------------------------------------------------------------------

    def begin_path(self) -> None:
        """Load initial state and parameters of path j, and compute what is constant on it."""
        self.add("t = times[0]")
        for i in range(len(self.structure.species)):
            self.add(f"s{i} = x0[{i}, j]")
        for i, name in enumerate(self.structure.parameters):
            if name in self.structure.used:
                self.add(f"p{i} = parameters[{i}, j * step]")
        for k, tree in enumerate(self.structure.constants):
            self.add(f"c{k} = {self.of(tree)}")

    def propensity(self, r: int) -> None:
        """Compute the propensity of a reaction, and fail if it is negative or NaN."""
        self.add(f"a{r} = {self.of(self.structure.propensities[r])}")
        if not self.structure.is_sure[r]:
            self.fail_unless(f"a{r} >= 0.0", BAD_RATE, r, f"a{r}")

    def first_propensities(self) -> None:
        """Compute all propensities at the start of a path, and check them.

        Of a sure one the rate constant is checked, since the propensity may be 0 at the start only.
        """
        for r in range(len(self.structure.reactions)):
            self.propensity(r)
            if self.structure.is_sure[r]:
                self.add(f"rate = {self.of(self.structure.rate(r))}")
                self.fail_unless("rate >= 0.0", BAD_RATE, r, "rate")

    def total(self) -> str:
        """Compute sums of propensities, in order; return the name of the sum of all."""
        last = len(self.structure.reactions) - 1
        for r in range(1, last + 1):
            self.add(f"b{r} = {'a0' if r == 1 else f'b{r - 1}'} + a{r}")
        total = f"b{last}" if last else "a0"
        self.fail_unless(f"{total} < infinity", BAD_RATE, -1, total)
        return total

    def update(self, r: int) -> None:
        """Change the state by a reaction."""
        changes = self.structure.changes[:, r].tolist()
        for i, change in enumerate(changes):
            if change:
                sign = "+" if change > 0 else "-"
                self.add(f"s{i} = s{i} {sign} {float(abs(change))!r}")
        for i, change in enumerate(changes):
            if change > 0:
                self.fail_unless(f"s{i} <= largest", TOO_LARGE, r, f"s{i}")
            elif change < 0 and not self.structure.is_sure[r]:
                self.fail_unless(f"s{i} >= 0.0", BAD_COUNT, r, f"a{r}")

    def fire(self, r: int) -> None:
        """Change the state by a reaction, and the propensities that it affects."""
        self.update(r)
        for k in self.structure.affected(r):
            self.propensity(k)

    def choose(self, low: int, high: int, leaf: Callable[[int], None]) -> None:
        """Call `leaf` for each reaction of a range, in conditions: where x falls among the sums."""
        if high - low == 1:
            leaf(low)
            return
        middle = (low + high) // 2
        bound = "a0" if middle == 1 else f"b{middle - 1}"
        with self.block(f"if x < {bound}:"):
            self.choose(low, middle, leaf)
        with self.block("else:"):
            self.choose(middle, high, leaf)

    def fail_unless(self, condition: str, kind: float, r: int, rate: str) -> None:
        """End the loop with a failure unless a condition holds."""
        with self.block(f"if not ({condition}):"):
            self.fail(kind, r, rate)

    def fail(self, kind: float, r: int, rate: str) -> None:
        """End the loop with a failure."""
        state = ", ".join(f"s{i}" for i in range(len(self.structure.species)))
        self.add(f"tell(failed, {kind!r}, {r}, t, {rate}, ({state},))", "return")

    def record(self, kept: tuple[int, ...]) -> None:
        """Write the state at a time of the grid."""
        self.add(*(f"out[{v}, k, j] = s{i}" for v, i in enumerate(kept)))
