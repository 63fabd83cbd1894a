"""Waiting without a clock to pass: a test fails when nothing comes, not when it comes late.

Beside other programs everything takes longer, by any factor. So no test asserts that something
took less than some seconds. What ends at once is told from what waits by letting that last for
ever; what does little is told from what does much by the work that it does.
"""

import sys
import time

PATIENCE = 300.0
"""Seconds after which what has not come is taken not to come at all."""

FOR_EVER = 3600.0
"""Seconds that something lasts of which a test shows that nobody waits for it."""


def last(file):
    """Make a file, and last for ever."""
    with open(file, "w"):
        time.sleep(FOR_EVER)


def until(condition, what="it", seconds=PATIENCE):
    """Wait until something is true; `what` says what is missing, or is asked for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def calls_of(function, *args):
    """Return how many functions a call calls, in Python and below it: its work, on any machine."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(*args)
    finally:
        sys.setprofile(before)
    return count


def is_over(end):
    """Return whether a time, in seconds of the epoch, has passed."""
    return time.time() > float(end)
