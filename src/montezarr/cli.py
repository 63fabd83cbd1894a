"""The command ``montezarr``: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

import click

from montezarr import __version__, job
from montezarr import bits as bits_of
from montezarr.backends import end_all
from montezarr.bench.run import compare
from montezarr.errors import MontezarrError
from montezarr.job import Report
from montezarr.plan import plan as plan_of
from montezarr.progress import Progress

BAD_INPUT, INTERRUPTED = 2, 130

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.group()
@click.version_option(__version__, prog_name="montezarr")
def cli() -> None:
    """Monte Carlo sample paths of stochastic processes, larger than memory."""


@cli.command()
@click.argument("file", type=click.Path())
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(file: str, as_json: bool, quiet: bool) -> None:
    """Run the job in FILE (TOML): fit, simulate into a store, print the risk, draw the picture.

    Run it again, and it goes on where it stopped, or reuses the store if that is complete.
    """
    prepared = job.prepare(job.load(file))
    if not as_json and prepared.fit is not None:
        click.echo(f"Fitted {prepared.fit}")
    with Progress("simulate", enabled=not quiet) as progress:
        report = job.execute(prepared, progress)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else _text(report))


@cli.command()
@click.argument("file", type=click.Path())
@json_option
def plan(file: str, as_json: bool) -> None:
    """Say what the job in FILE would cost, and do nothing."""
    costs = plan_of(job.prepare(job.load(file)).ds)
    click.echo(json.dumps(costs.to_dict(), indent=2) if as_json else str(costs))


@cli.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Root entropy.")
@click.option("--order", type=click.Choice(bits_of.ORDERS), default="path", show_default=True)
@click.option("--bytes", "n_bytes", type=int, help="Stop after so many; endless by default.")
def bits(seed: int, order: str, n_bytes: int | None) -> None:
    """Write the random words to standard output, 32 bits little-endian, for test batteries.

    For example: montezarr bits --order step | RNG_test stdin32
    """
    out = sys.stdout.buffer
    try:
        for piece in bits_of.stream(seed, order, n_bytes=n_bytes):
            out.write(piece)
        out.flush()
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()


@cli.command()
@click.option("--n-jobs", type=int, default=-1, show_default=True, help="Workers; -1 is all cores.")
@click.option("--backend", "names", multiple=True, help="Only this one; may be given again.")
@json_option
def bench(n_jobs: int, names: tuple[str, ...], as_json: bool) -> None:
    """Measure every backend on this machine, and say which to use for what."""
    result = compare(n_jobs, names, lambda name: click.echo(f"measuring {name} ...", err=True))
    click.echo(result.to_json() if as_json else str(result))


def _text(report: Report) -> str:
    if report.reused:
        lines = [f"The store is complete and was reused: {report.store}"]
    else:
        lines = [f"{report.paths:,} paths written to {report.store}"]
    if report.risk:
        lines += ["", "Loss over the horizon, in percent of the initial value"]
        lines += [f"  {'':<26}{'simulated':>12}{'± s.e.':>10}{'closed form':>14}"]
    for i, risk in enumerate(report.risk):
        exact = report.closed_form[i] if report.closed_form else None
        for title, name in (
            ("value at risk", "value_at_risk"),
            ("expected shortfall", "expected_shortfall"),
        ):
            value, error = getattr(risk, name), getattr(risk, f"{name}_se")
            known = "" if exact is None else f"{100 * getattr(exact, name):>13.3f} "
            label = f"{title} {100 * risk.level:g} %"
            lines.append(f"  {label:<26}{100 * value:>12.3f}{100 * error:>10.3f}{known}".rstrip())
    if report.plot:
        lines += ["", f"Fan chart: {report.plot}"]
    lines.append(f"{report.seconds:.1f} s")
    return "\n".join(lines)


class _Stop:
    """Handler of SIGINT and SIGTERM: the first lets what runs end, a second leaves at once."""

    def __init__(self) -> None:
        self.status = 0

    def __call__(self, number: int, frame: Any) -> None:
        if self.status:
            ending = threading.Thread(target=end_all, daemon=True)
            ending.start()
            ending.join(1)
            os._exit(128 + number)
        self.status = 128 + number
        # Not click.echo: this may come in the middle of another message.
        os.write(2, b"\nmontezarr: finishing what runs; once more, to leave at once\n")
        raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line: errors of the input in one line with exit status 2."""
    stop = _Stop()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        return cli.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("montezarr: interrupted; run the same command again to go on.", err=True)
        sys.exit(stop.status or INTERRUPTED)
    except (MontezarrError, OSError) as error:
        click.echo(f"montezarr: {error}", err=True)
        sys.exit(BAD_INPUT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
