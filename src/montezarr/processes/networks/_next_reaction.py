"""The modified next reaction method: Anderson 2007, doi:10.1063/1.2799998.

Each reaction has a clock of its own, a Poisson process of rate 1 in the integral of its propensity.
The numbers of clocks are the exponential numbers of the events of a path, in order: first one for
each reaction, then one for each that has happened.
"""

from __future__ import annotations

from collections.abc import Callable

from montezarr.processes.networks._code import Source


def begin(source: Source, draw: Callable[[], None]) -> None:
    """Add the clocks at the start of a path, and when each rings first."""
    for r in range(len(source.structure.reactions)):
        draw()
        source.add(f"clock{r}, ring{r} = 0.0, waits[used]", "used += 1")


def wait(source: Source, before: Callable[[str], None], draw: Callable[[], None]) -> None:
    """Go on to the clock that rings next: its reaction is ``chosen``."""
    count, may_stop = len(source.structure.reactions), bool(source.structure.interventions)
    source.total()
    source.add("least, chosen = infinity, -1")
    for r in range(count):
        with source.block(f"if a{r} > 0.0:"):
            source.add(f"left = (ring{r} - clock{r}) / a{r} if ring{r} > clock{r} else 0.0")
            with source.block("if left < least:"):
                source.add(f"least, chosen = left, {r}")
    if may_stop:
        source.add("after = t + least")
        before("min(after, stop)")
        with source.block("if after >= stop:"):
            _advance(source, "(stop - t)")
            source.add("t, look = stop, True", "continue")
    else:
        with source.block("if chosen < 0:"):
            source.add("break")
        source.add("after = t + least")
        before("after")
    _advance(source, "least")
    draw()
    source.add("t, more = after, waits[used]", "used += 1")


def choose(source: Source, low: int, high: int, fire: Callable[[int], None]) -> None:
    """Add what each reaction does, by the number of the one that is chosen."""
    if high - low == 1:
        source.add(f"clock{low} = ring{low}", f"ring{low} = ring{low} + more")
        fire(low)
        return
    middle = (low + high) // 2
    with source.block(f"if chosen < {middle}:"):
        choose(source, low, middle, fire)
    with source.block("else:"):
        choose(source, middle, high, fire)


def _advance(source: Source, time: str) -> None:
    for r in range(len(source.structure.reactions)):
        source.add(f"clock{r} = clock{r} + a{r} * {time}")
