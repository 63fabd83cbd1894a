"""Source of interventions: conditions that trigger them, and their execution, in order.

As events of SBML level 3 version 2, section 4.12: a condition that turns true triggers one; at one
time the larger priority is executed first, and then all conditions are looked at again. Of equal
ones the first that was triggered comes first.
"""

from __future__ import annotations

from collections.abc import Callable

from montezarr.processes.networks._code import TOO_MANY, Source
from montezarr.processes.networks._expressions import turning_points
from montezarr.processes.networks._parser import Intervention

WAITING = 64
"""Triggered interventions that may wait for their time, on a path."""

AT_ONCE = 10_000
"""Interventions that may be executed at one time, on a path."""

BAD_VALUE, CROWD, ENDLESS, NO_DELAY = 6.0, 7.0, 8.0, 9.0
"""Kinds of failures: of a value that is set, of too many that wait, of too many at one time."""


def declare(source: Source) -> None:
    """Add the memory of what is triggered and waits, before the loop over paths."""
    most = max((len(one.assignments) for one in source.structure.interventions), default=0)
    source.add(
        f"due, which_one = np.empty({WAITING}), np.empty({WAITING}, np.int64)",
        f"new, width = np.empty(({WAITING}, {most})), {most}",
    )


def begin(source: Source) -> None:
    """Add what a path knows of conditions at its start."""
    source.add("waiting, done, stop = 0, 0, end")
    for m, one in enumerate(source.structure.interventions):
        source.add(f"u{m} = {not one.from_start}")


def settle(source: Source, executed: Callable[[int], None]) -> None:
    """Add lines that trigger and execute what is due, and say when to look again: ``stop``."""
    structure = source.structure
    source.add("at_once = 0")
    with source.block("while True:"):
        for m, one in enumerate(structure.interventions):
            _trigger(source, m, one)
        source.add("pick, best = -1, -infinity")
        with source.block("for q in range(waiting):"), source.block("if due[q] <= t:"):
            source.add("rank = -infinity")
            for m, one in enumerate(structure.interventions):
                if one.priority is not None:
                    with source.block(f"if which_one[q] == {m}:"):
                        source.add(f"rank = {source.of(one.priority)}")
            with source.block("if pick < 0 or rank > best:"):
                source.add("pick, best = q, rank")
        with source.block("if pick < 0:"):
            source.add("break")
        source.add("one, at_once, done = which_one[pick], at_once + 1, done + 1")
        source.fail_unless(f"at_once <= {AT_ONCE}", ENDLESS, -1, "float(one)")
        source.fail_unless("done <= most", TOO_MANY, -1, "0.0")
        for m, one in enumerate(structure.interventions):
            with source.block(f"if one == {m}:"):
                _execute(source, m, one, executed)
        _drop(source, "pick")
        source.add("fresh = True")
    with source.block("if fresh:"):
        for r in range(len(structure.reactions)):
            source.propensity(r)
        source.add("fresh = False")
    _next_look(source)


def _trigger(source: Source, m: int, one: Intervention) -> None:
    source.add(f"v = {source.of(one.condition)}")
    with source.block(f"if v and not u{m}:"):
        source.fail_unless(f"waiting < {WAITING}", CROWD, -1, "0.0")
        source.add(f"delay = {'0.0' if one.delay is None else source.of(one.delay)}")
        source.fail_unless("delay == delay", NO_DELAY, m, "delay")
        source.add("due[waiting] = t + f_max(0.0, delay)", f"which_one[waiting] = {m}")
        if not one.late:
            for i, (_, tree) in enumerate(one.assignments):
                source.add(f"new[waiting, {i}] = {source.of(tree)}")
        source.add("waiting += 1")
    if one.cancelled:
        with source.block("if not v:"):
            source.add("q = 0")
            with source.block("while q < waiting:"):
                with source.block(f"if which_one[q] == {m}:"):
                    _drop(source, "q")
                    source.add("continue")
                source.add("q += 1")
    source.add(f"u{m} = v")


def _drop(source: Source, place: str) -> None:
    """Take what waits at a place out of the list, and keep the order of the others."""
    source.add("waiting -= 1")
    with source.block(f"for z in range({place}, waiting):"):
        source.add("due[z], which_one[z] = due[z + 1], which_one[z + 1]")
        with source.block("for y in range(width):"):
            source.add("new[z, y] = new[z + 1, y]")


def _execute(source: Source, m: int, one: Intervention, executed: Callable[[int], None]) -> None:
    names = [name for name, _ in one.assignments]
    for i, (_, tree) in enumerate(one.assignments):
        source.add(f"n{i} = {source.of(tree) if one.late else f'new[pick, {i}]'}")
    for i, name in enumerate(names):
        if name in source.structure.species:
            whole = f"n{i} >= 0.0 and n{i} == np.floor(n{i}) and n{i} <= largest"
            source.fail_unless(whole, BAD_VALUE, m, f"n{i}")
        source.add(f"{source.place(name)} = n{i}")
    executed(m)


def _next_look(source: Source) -> None:
    """Add the next time at which a condition may turn, or something is due."""
    source.add("stop = infinity")
    for one in source.structure.interventions:
        for point in turning_points(one.condition):
            source.add(f"at = {source.of(point)}")
            with source.block("if at > t:"):
                source.add("stop = f_min(stop, at)")
            with source.block("elif np.nextafter(at, infinity) > t:"):
                source.add("stop = f_min(stop, np.nextafter(at, infinity))")
    with source.block("for q in range(waiting):"):
        source.add("stop = f_min(stop, due[q])")
