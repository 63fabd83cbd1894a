"""Forks of this process, which run one function each, are struck, and tell how they ended.

This process has imported all and has no threads, so a fork is there at once and is whole.
"""

import contextlib
import os
import pickle
import select
import signal
import sys
import time
import traceback

WATCHDOG = 300.0
"""Seconds after which a child that has not ended is taken to hang."""

NAMED = ("MontezarrError", "KeyboardInterrupt", "SystemExit", "Left")
"""Classes of errors that have a name, or were asked for."""


class Left(Exception):
    """What a child raises to end a run in the middle."""


class Child:
    """A fork that runs ``function(*args)``, in a session of its own.

    Parameters
    ----------
    function : callable
        What it runs; what it returns is pickled.
    limits : dict, optional
        Limits of the system (`resource`) that hold for it, by number.
    """

    def __init__(self, function, *args, limits=None):
        end, start = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(end)
            _run(function, args, limits or {}, start)
        os.close(start)
        self.end, self.told = end, b""
        self.outcome = None

    def is_over(self):
        """Return whether it has ended, without waiting."""
        self._read(0.0)
        return self._reaped()

    def _reaped(self):
        if self.outcome is not None:
            return True
        found, status = os.waitpid(self.pid, os.WNOHANG)
        if not found:
            return False
        self._read(0.0, all_of_it=True)
        os.close(self.end)
        told = {"error": None, "kinds": [], "message": "", "value": None}
        with contextlib.suppress(Exception):
            told = pickle.loads(self.told)
        self.outcome = told | {"code": os.waitstatus_to_exitcode(status), "hung": False}
        return True

    def _read(self, seconds, all_of_it=False):
        while self.outcome is None and select.select([self.end], [], [], seconds)[0]:
            piece = os.read(self.end, 2**16)
            self.told += piece
            if not piece:
                time.sleep(0.0 if all_of_it else 0.002)
                return

    def strike(self, number):
        """Send a signal to it, unless it has ended."""
        if not self.is_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def sleep(self, seconds):
        """Wait so long, or until it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.is_over():
            time.sleep(0.001)

    def wait(self, seconds=WATCHDOG):
        """Return how it ended; one that hangs is killed."""
        self.sleep(seconds)
        if not self.is_over():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            while not self._reaped():
                time.sleep(0.01)
            self.outcome["hung"] = True
        return self.outcome

    def end_all(self):
        """Kill what is left of its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def call(function, *args):
    """Return what a function returns, run in a child that nobody strikes."""
    outcome = Child(function, *args).wait(10 * WATCHDOG)
    if outcome["error"] is not None or outcome["code"] != 0:
        raise RuntimeError(f"{function.__name__}: {outcome['code']}: {outcome['message']}")
    return outcome["value"]


def is_unnamed(outcome):
    """Return whether a child ended in an error that is none of ours."""
    return outcome["error"] is not None and not set(NAMED) & set(outcome["kinds"])


def _run(function, args, limits, start):
    """Run in the child, which never comes back."""
    code = 0
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        told = {"error": None, "kinds": [], "message": "", "value": None}
        try:
            _limit(limits)
            told["value"] = function(*args)
        except BaseException as error:
            told["error"] = type(error).__name__
            told["kinds"] = [kind.__name__ for kind in type(error).__mro__]
            told["message"] = "".join(traceback.format_exception(error))[-3000:]
        _limit(dict.fromkeys(limits, -1))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.write(start, pickle.dumps(told))
    except BaseException:
        code = 99
    finally:
        os._exit(code)


def _limit(limits):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for number, value in limits.items():
        _, hard = resource.getrlimit(number)
        resource.setrlimit(number, (hard if value < 0 else value, hard))
