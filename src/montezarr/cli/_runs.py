"""Commands about runs: jobs, their cost, random words, a comparison of backends."""

from __future__ import annotations

import sys

import click

from montezarr.cli import job
from montezarr.cli._group import cli, json_option, print_result, quiet_option
from montezarr.cli.job import JobResult
from montezarr.engine._planning import plan as plan_of
from montezarr.engine.bench.run import measure_backends
from montezarr.execute.progress import Progress
from montezarr.random import bits as bits_of
from montezarr.run._texts import value_text
from montezarr.statistics.risk import Risk


@cli.command()
@click.argument("file", type=click.Path())
@json_option
@quiet_option
def run(file: str, as_json: bool, quiet: bool) -> None:
    """Run the job in FILE (TOML): fit, simulate into a store, print the risk, draw the picture.

    Run it again to resume where it stopped; a complete store is reused.
    """
    prepared = job.prepare(job.load(file))
    if not as_json and prepared.fit is not None:
        click.echo(f"Fitted {prepared.fit}")
    with Progress("simulate", enabled=not quiet) as progress:
        report = job.execute(prepared, progress)
    print_result(_text(report), report.to_dict(), as_json)


@cli.command()
@click.argument("file", type=click.Path())
@json_option
def plan(file: str, as_json: bool) -> None:
    """Print what the job in FILE would cost, without running it."""
    costs = plan_of(job.prepare(job.load(file)).ds)
    print_result(str(costs), costs.to_dict(), as_json)


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
    except BrokenPipeError:  # the reader has closed the pipe
        sys.stderr.close()


@cli.command()
@click.option("--n-jobs", type=int, default=-1, show_default=True, help="Workers; -1 is all cores.")
@click.option("--backend", "names", multiple=True, help="Only this one; may be given again.")
@click.option("--allow-network", is_flag=True, help="Also Ray, which listens on the network.")
@json_option
def bench(n_jobs: int, names: tuple[str, ...], allow_network: bool, as_json: bool) -> None:
    """Measure every backend on this machine, and advise which to use for which sampler."""

    def told(name: str) -> None:
        click.echo(f"measuring {name} ...", err=True)

    result = measure_backends(n_jobs, names, told, allow_network=allow_network)
    click.echo(result.to_json() if as_json else str(result))


def _text(report: JobResult) -> str:
    if report.reused:
        lines = [f"The store is complete and was reused: {report.store}"]
    else:
        paths = f"{report.paths:,} paths"
        if report.scenarios > 1:
            paths = f"{report.scenarios:,} scenarios × {paths}"
        lines = [f"{paths} written to {report.store}"]
    lines += [f"Varies: {name} {how}" for name, how in report.varied.items()]
    if report.risk:
        lines += _risk_lines("Loss over the horizon", report.risk, report.closed_form)
    for one in report.by_scenario:
        label = ", ".join(f"{name} = {value_text(v)}" for name, v in one.scenario.items())
        lines += _risk_lines(f"{label}: loss over the horizon", one.risk, one.closed_form)
    if report.plot:
        lines += ["", f"Fan chart: {report.plot}"]
    lines.append(f"{report.seconds:.1f} s")
    return "\n".join(lines)


def _risk_lines(title: str, risks: list[Risk], closed_form: list[Risk]) -> list[str]:
    """Return a table of risks, with exact values where these are known."""
    lines = ["", f"{title}, in percent of the initial value"]
    lines += [f"  {'':<26}{'simulated':>12}{'± s.e.':>10}{'closed form':>14}"]
    for i, risk in enumerate(risks):
        exact = closed_form[i] if closed_form else None
        for name in ("value_at_risk", "expected_shortfall"):
            value, error = getattr(risk, name), getattr(risk, f"{name}_se")
            known = "" if exact is None else f"{100 * getattr(exact, name):>13.3f} "
            label = f"{name.replace('_', ' ')} {100 * risk.level:g} %"
            lines.append(f"  {label:<26}{100 * value:>12.3f}{100 * error:>10.3f}{known}".rstrip())
    return lines
