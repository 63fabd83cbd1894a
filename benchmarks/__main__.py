"""Print the speed table: each row both sides in the same run, with the ratio reached.

``python -m benchmarks`` prints it; ``--docs`` writes it into ``docs/explanation/speed.md`` too,
where processors with AVX-512 have one table and those with AVX2 another,
``--json`` prints it for programs. Names choose parts: ``python -m benchmarks every_state``. What
takes long or fills a disk is measured by commands of its own: ``python -m benchmarks.statistics``
(10**8 paths), ``benchmarks.store`` (`write`), ``benchmarks.outbreaks`` (events in stores),
``benchmarks.scaling`` (1 against 2 workers on every backend) and ``benchmarks.scale`` (a scheduler
with many workers).
"""

from __future__ import annotations

import argparse
import json
import os

import dask

from benchmarks import (
    compiled_functions,
    every_state,
    gillespie,
    greeks,
    limits,
    pipeline,
    processes,
    python_samplers,
    reductions,
    scenarios,
    slow_samplers,
    stopping,
)
from benchmarks._machine import machine, vectors
from benchmarks._measure import Row, markdown
from benchmarks._pages import write_between

PARTS = {
    "every_state": every_state.rows,
    "pipeline": pipeline.rows,
    "processes": processes.rows,
    "scenarios": scenarios.rows,
    "greeks": greeks.rows,
    "compiled_functions": compiled_functions.rows,
    "gillespie": gillespie.rows,
    "python_samplers": python_samplers.rows,
    "slow_samplers": slow_samplers.rows,
    "reductions": reductions.rows,
    "stopping": stopping.rows,
    "limits": limits.rows,
}


def main() -> None:
    """Measure the parts that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--docs", action="store_true", help="write the table into the docs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON too")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown:
        parser.error(f"parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    dask.config.set(num_workers=os.cpu_count())
    header = f"{machine()}; {every_state.PATHS:,} paths of {every_state.STEPS} steps."
    print(f"{header}\n\n{'':<62} {'ratio':>7}  {'wanted':<14}")
    table: list[Row] = []
    for name in chosen.parts or PARTS:
        for row in PARTS[name]():
            print(row, flush=True)
            table.append(row)
    if chosen.json:
        print(json.dumps([row.__dict__ for row in table], indent=2))
    if chosen.docs:
        marks = f"speed {vectors() or 'of others'}"
        write_between("explanation/speed.md", marks, f"{header}\n\n{markdown(table)}")


if __name__ == "__main__":
    main()
