"""A clock that paths move, read in place of the real one, and a count of the paths drawn.

A module of its own: what a sampler reads of it is no part of the sampler's code.
"""

import threading

now = 0.0
step = 0.0
count = 0
waits = False
threads: set[int] = set()
met = threading.Event()


def draw():
    """Take the time of a path, and count it; the first two threads wait for each other if told."""
    global now, count
    now += step
    count += 1
    if waits:
        threads.add(threading.get_ident())
        if len(threads) > 1:
            met.set()
        assert met.wait(20), "the other worker was idle"
