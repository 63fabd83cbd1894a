"""Print how runs and stores bear random blows, or random recipes and reductions each other.

    python -m benchmarks.chaos 10                         # minutes of blows of all kinds
    python -m benchmarks.chaos 1 --kinds signals moved    # of some kinds
    python -m benchmarks.chaos --recipes 1000             # random recipes through every route
    python -m benchmarks.chaos --reductions 1000          # random reductions against NumPy

The table counts trials, those that lost committed paths, hung, left other bytes than an undisturbed
run, or ended in an error without a name. The exit status is 1 where any did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))


AT_ONCE = 25
"""Cases after which differences are told."""


def compare(name: str, run: Callable[..., list[str]], count: int, seed: int) -> int:
    """Run so many random cases, and print what differs; return how much does."""
    began, bad = time.monotonic(), 0
    for low in range(0, count, AT_ONCE):
        found = run(range(low, min(low + AT_ONCE, count)), seed)
        bad += len(found)
        print("".join(f"{text}\n" for text in found), end="", flush=True)
        took = time.monotonic() - began
        done = f"{min(low + AT_ONCE, count):,} random {name}: {bad:,} differences, {took:.0f} s"
        print(done, end="\n" if low + AT_ONCE >= count else "\r", flush=True)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--recipes", type=int, default=0)
    parser.add_argument("--reductions", type=int, default=0)
    options = parser.parse_args()
    bad = 0
    if options.minutes > 0:
        from chaos import harness

        counts, _ = harness.run(
            60 * options.minutes, options.seed, options.kinds, lambda text: print(text, flush=True)
        )
        print(harness.table(counts))
        bad += sum(count[c] for count in counts.values() for c in harness.COLUMNS[1:])
    for name in ("recipes", "reductions"):
        module = __import__(f"chaos.{name}", fromlist=["run"])
        bad += compare(name, module.run, getattr(options, name), options.seed)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
