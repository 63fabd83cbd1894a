"""The levels of the package: tests/test_layers.py holds the code to them, the site draws them."""

from typing import NamedTuple


class Level(NamedTuple):
    modules: set[str]
    job: str


TABLE = {
    0: Level(
        {
            "errors",
            "_added",
            "_beside",
            "_buffers",
            "_checks",
            "_html",
            "_json",
            "_notices",
            "_optional",
            "_owner",
            "_public_ids",
            "_regular",
            "_secrets",
            "_spawn",
            "_timed",
            "_uninterrupted",
            "_value",
            "_worker",
            "core",
        },
        "exceptions, validators, optional imports; private names of other packages; whole files;"
        " recycled memory; worker processes",
    ),
    1: Level(
        {"seeding", "draws", "grid", "chunk_policy"},
        "seed to streams; random draws; time grids; chunk policy; memory",
    ),
    2: Level(
        {"processes", "schemes", "parameters"},
        "models: equation, parameters, exact transition or drift and diffusion",
    ),
    3: Level(
        {"samplers", "statistics", "folding"},
        "what a worker runs: from a range of paths to arrays, and to states of statistics",
    ),
    4: Level({"digests"}, "digests of values and of the code that they run"),
    5: Level({"backends", "progress"}, "where tasks run; progress"),
    6: Level(
        {
            "run",
            "cost",
            "choice",
            "watch",
        },
        "the run as one value: recipe, Dask arrays, simulate and replay; what it costs, and where",
    ),
    7: Level(
        {"reduce", "stream", "observed", "store", "runs", "batches"},
        "a run in a window of tasks: statistics in one pass and live; paths in Zarr",
    ),
    8: Level(
        {
            "engine",
            "result",
            "plan",
            "bench",
            "plot",
            "live",
            "dashboard",
            "report",
            "bits",
            "risk",
            "job",
            "export",
        },
        "the engine; pictures, live runs, dashboard, plans, measuring, jobs, other formats",
    ),
    9: Level({"accessor", "cli"}, "forwarding only"),
}
"""Modules and packages by level. The picture of docs/explanation/design.md is made of it."""

LEVELS = {level: row.modules for level, row in TABLE.items()}
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names}
