"""The loop over events, on a grid or one by one; the direct method, and that of next reactions.

The direct method is that of Gillespie 1977, doi:10.1021/j100540a008.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from montezarr.processes.networks import _interventions as interventions
from montezarr.processes.networks import _next_reaction as next_reaction
from montezarr.processes.networks._code import TOO_MANY, Source
from montezarr.processes.networks._streams import NUMBERS_AT_ONCE
from montezarr.processes.networks._structure import Structure
from montezarr.processes.networks._thinning import propose, rates_now

SOURCES_KEPT = 128
"""Sources of loops that are kept for the next range of paths."""

NEXT_REACTION = "next_reaction"

METHODS = ("direct", NEXT_REACTION)
"""Exact methods, by their names."""

HEAD = """\
def loop(
    key0, key1, first, low, high, times, end, x0, parameters, step, most, largest, {out}, failed
):
    waits, choices = np.empty({room}), np.empty({room})
    words = np.empty((2, {room}), np.uint64)
    last = len(times) - 1
"""


@lru_cache(maxsize=SOURCES_KEPT)
def grid_source(structure: Structure, kept: tuple[int, ...], method: str) -> str:
    """Return the source of the loop that writes the state at the times of a grid."""
    source = _begun(structure, "out")
    with source.block("for j in range(low, high):"):
        _begin(source, method)
        before = partial(_before_event, source, kept)
        _events(source, method, before, source.fire, lambda m: None)
        with source.block("while k <= last:"):
            source.record(kept)
            source.add("k += 1")
    return source.text


@lru_cache(maxsize=SOURCES_KEPT)
def event_source(structure: Structure, kept: tuple[int, ...], method: str) -> str:
    """Return the source of the loop that writes time, reaction and new state of every event."""
    source = _begun(structure, "when, which, out, counts")

    def write(r: int) -> None:
        source.fire(r)
        source.add("when[k, j] = t", f"which[k, j] = {r}")
        source.record(kept)
        source.add("k += 1")

    def executed(m: int) -> None:
        with source.block("if k < len(when):"):
            source.add("when[k, j] = t", f"which[k, j] = {len(structure.reactions) + m}")
            source.record(kept)
        source.add("k += 1")

    def before(time: str) -> None:
        with source.block(f"if {time} > end:"):
            source.add("break")

    with source.block("for j in range(low, high):"):
        _begin(source, method)
        _events(source, method, before, write, executed, full="k >= len(when)")
        source.add("counts[j] = min(k, len(when) + 1)")
    return source.text


def _begun(structure: Structure, out: str) -> Source:
    source = Source(structure)
    source.lines = HEAD.format(room=NUMBERS_AT_ONCE, out=out).splitlines()
    source.depth = 1
    if structure.interventions:
        interventions.declare(source)
    return source


def _begin(source: Source, method: str) -> None:
    source.begin_path()
    source.add("event = used = size = k = 0", "fresh, look = False, True")
    source.first_propensities()
    interventions.begin(source)
    if any(source.structure.depends_on_time):
        source.add("window = end - t")
    if method == NEXT_REACTION:
        next_reaction.begin(source, partial(_draw, source))


def _events(
    source: Source, method: str, before: Callable[[str], None], fire: Callable[[int], None],
    executed: Callable[[int], None], full: str = "",
) -> None:  # fmt: skip
    """Add the loop over events.

    Parameters
    ----------
    before : function
        Adds what comes before an event at a time, and leaves the loop if that is beyond the end.
    fire : function
        Adds what a reaction does.
    executed : function
        Adds what is done after an intervention.
    full : str
        A condition under which there is no room for one more event.
    """
    structure = source.structure
    with source.block("while True:"):
        if structure.interventions:
            with source.block("if look:"):
                interventions.settle(source, executed)
                source.add("look = False")
        if method == NEXT_REACTION:
            next_reaction.wait(source, before, partial(_draw, source))
        elif any(structure.depends_on_time):
            _propose(source, before)
        else:
            _wait(source, before)
        if full:
            with source.block(f"if {full}:"):
                source.add("k = len(when) + 1", "break")
        if structure.interventions:
            source.add("look = True")
        count = len(structure.reactions)
        if method == NEXT_REACTION:
            next_reaction.choose(source, 0, count, fire)
        else:
            source.choose(0, count, partial(_fire, source, fire))


def _wait(source: Source, before: Callable[[str], None]) -> None:
    """Go on to the next event."""
    total, may_stop = source.total(), bool(source.structure.interventions)
    with source.block(f"if {total} > 0.0:"):
        _draw(source)
        source.add(f"after = t + waits[used] / {total}")
    with source.block("else:"):
        source.add("after = infinity" if may_stop else "break")
    if may_stop:
        before("min(after, stop)")
        with source.block("if after >= stop:"):
            source.add("t, look, used = stop, True, min(used + 1, size)", "continue")
    else:
        before("after")
    source.add("t = after", f"x = choices[used] * {total}", "used += 1")


def _propose(source: Source, before: Callable[[str], None]) -> None:
    """Go on to the next event by thinning."""

    def stop() -> None:
        if source.structure.interventions:
            with source.block("if stop <= end:"):
                before("stop")
                source.add("t, look = stop, True", "continue")
        source.add("break")

    source.add("limit = min(end, stop)")
    propose(source, partial(_draw, source), stop)
    total = rates_now(source)
    with source.block(f"if x >= {total}:"):
        source.add("window = window / 2.0", "continue")
    before("t")


def _before_event(source: Source, kept: tuple[int, ...], time: str) -> None:
    """Write the state at the times of the grid before an event."""
    with source.block(f"while k <= last and times[k] < {time}:"):
        source.record(kept)
        source.add("k += 1")
    with source.block("if k > last:"):
        source.add("break")


def _draw(source: Source) -> None:
    """Draw the numbers of the next events if those at hand are used."""
    with source.block("if used == size:"):
        source.add("event += size")
        with source.block("if event >= most:"):
            source.fail(TOO_MANY, -1, "0.0")
        source.add(
            f"size = min({NUMBERS_AT_ONCE}, 16 if event == 0 else event, most - event)",
            "used = 0",
            "events_from(key0, key1, first + j, event, waits, choices, words, size)",
        )


def _fire(source: Source, fire: Callable[[int], None], r: int) -> None:
    """Change the state by the chosen reaction.

    The sum of all may be reached by rounding: then nothing happens if the last one cannot.
    """
    is_last = r == len(source.structure.reactions) - 1
    with source.block(f"if a{r} > 0.0:" if is_last else "if True:"):
        fire(r)
