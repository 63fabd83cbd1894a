"""Entry point of the command line: signals, errors in one line, exit statuses."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import warnings
from typing import Any

import click

from montezarr.cli._group import cli, note
from montezarr.core.errors import MontezarrError, MontezarrWarning, SamplerError
from montezarr.core.notices import say_at_once
from montezarr.core.secrets import redacted
from montezarr.execute import end_all
from montezarr.store._interrupt_listener import InterruptListener, interrupt_listener

BAD_INPUT, INTERRUPTED = 2, 130

RESUMABLE = ("run", "extend", "repair", "merge")
"""Commands that resume when they are run again."""


class _SignalExit(InterruptListener):
    """Handler of SIGINT and SIGTERM: the first lets running tasks end, a second exits at once.

    While a store is written, the writer catches both, notifies this handler, and passes the first
    one on after it has committed.
    """

    def __init__(self, command: str):
        self.command, self.status = command, 0
        self.told = False
        """Whether the user has been shown how to resume."""
        self._noticed = False

    def __call__(self, number: int, frame: Any) -> None:
        if not self._noticed:
            self._count(number)
        self._noticed = False
        raise KeyboardInterrupt

    def noticed(self, number: int, *, first: bool) -> None:
        """Count a signal that the writer of a store has caught."""
        self._count(number)
        self._noticed = True

    def resume(self, call: str) -> str:
        """Return the command that resumes; note that the user is shown one."""
        self.told = True
        return self.command

    def _count(self, number: int) -> None:
        if self.status:
            ending = threading.Thread(target=end_all, daemon=True)
            ending.start()
            ending.join(1)
            os._exit(128 + number)
        self.status = 128 + number
        # Not click.echo: the signal may arrive while another message is written.
        say_at_once("\nmontezarr: finishing what runs; once more, to leave at once\n")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line: errors of the input in one line with exit status 2."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    stop = _SignalExit(redacted(shlex.join(["montezarr", *words])))
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    token, show = interrupt_listener.set(stop), warnings.showwarning
    warnings.showwarning = _shown_by(show)
    try:
        return cli.main(words, prog_name="montezarr", standalone_mode=False)
    except click.ClickException as error:
        if "\n" in error.message:  # the help, where no command was given
            error.show()
        else:
            note(_usage(error))
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        if not stop.told:
            again = "; run the same command again to go on" if _is_resumable(words) else ""
            note(f"interrupted{again}.")
        sys.exit(stop.status or INTERRUPTED)
    except SamplerError as error:
        note(error.message)
        sys.exit(BAD_INPUT)
    except (MontezarrError, OSError) as error:
        note(str(error))
        sys.exit(BAD_INPUT)
    finally:
        warnings.showwarning = show
        interrupt_listener.reset(token)
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_resumable(words: list[str]) -> bool:
    return bool(words) and words[0] in RESUMABLE


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = "" if context is None else f" See {context.command_path} --help."
    return error.format_message().rstrip(".") + "." + hint


def _shown_by(show: Any) -> Any:
    """Return a `showwarning` that prints warnings of montezarr in one line, without location."""

    def shown(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
        if issubclass(category, MontezarrWarning):
            note(str(message))
        else:
            show(message, category, *rest, **options)

    return shown
