"""Monte Carlo sample paths of stochastic processes, larger than memory.

The public names stand in `__init__.pyi`, and are imported when they are asked for.
"""

import os

from montezarr.core import lazy, startup

__getattr__, __dir__, __all__ = lazy.attach(__name__, renamed={"Paths": "PathCount"})

# Documented modules of earlier versions are still found under their names.
__path__ = [*__path__, *(f"{place}/core/moved" for place in __path__)]


def _show_runs_on_the_dashboard() -> None:
    from montezarr.monitor.dashboard import install

    install()


startup.before_first_run(_show_runs_on_the_dashboard)

# A worker process draws paths: xarray would double the time that it takes to start.
if "MONTEZARR_WORKER" not in os.environ:
    import montezarr.accessor  # registers ds.mz
