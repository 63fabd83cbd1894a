"""The direct method for rates that depend on the time: by thinning, which is exact.

Over a window of time each rate has an upper bound. Events come at the sum of the bounds, and one
that comes is kept with the probability rate / bound at its time (Lewis and Shedler 1979,
doi:10.1002/nav.3800260304). The window is halved where events are lost
and doubled where none comes.
"""

from __future__ import annotations

from collections.abc import Callable

from montezarr.processes.networks._bounds import bounds_of
from montezarr.processes.networks._code import BAD_RATE, NO_BOUND, Source

SLACK = 1.0 + 1e-12
"""By which a bound is larger than computed, for what rounding makes of a rate."""


def bound_window(source: Source) -> str:
    """Add lines that bound all rates from ``t`` to ``until``; return the sum of the bounds."""
    structure = source.structure
    names = []
    for r, tree in enumerate(structure.propensities):
        if not structure.depends_on_time[r]:
            names.append(f"a{r}")
            continue
        _, high = bounds_of(source, tree, str(r))
        source.add(f"m{r} = {high}")
        with source.block(f"if m{r} < 0.0:"):
            source.fail(BAD_RATE, r, f"m{r}")
        source.add(f"m{r} = m{r} * {SLACK!r}")
        names.append(f"m{r}")
    source.add(f"most_rate = {' + '.join(names)}")
    return "most_rate"


def propose(source: Source, draw: Callable[[], None], stop: Callable[[], None]) -> None:
    """Add lines that go on to the next time at which an event may be, up to ``limit``.

    Then ``t`` is that time, and ``x`` is uniform on the sum of the bounds. `stop` adds what is done
    where the limit is reached.
    """
    source.add("until = min(t + window, limit)")
    bound_window(source)
    with source.block("if not (most_rate < infinity):"):
        source.add("window = window / 2.0")
        with source.block("if not (t + window > t):"):
            for r, varies in enumerate(source.structure.depends_on_time):
                if varies:
                    source.fail_unless(f"m{r} < infinity", NO_BOUND, r, f"m{r}")
            source.fail(BAD_RATE, -1, "most_rate")
        source.add("continue")
    draw()
    source.add("after = t + waits[used] / most_rate if most_rate > 0.0 else infinity")
    with source.block("if after >= until:"):
        source.add("used += 1", "window = 2.0 * window")
        with source.block("if until >= limit:"):
            stop()
        source.add("t = until", "continue")
    source.add("t = after", "x = choices[used] * most_rate", "used += 1")


def rates_now(source: Source) -> str:
    """Add lines that compute the rates at the time ``t``; return the sum of all."""
    structure = source.structure
    for r in range(len(structure.reactions)):
        if structure.depends_on_time[r]:
            source.propensity(r)
    return source.total()
