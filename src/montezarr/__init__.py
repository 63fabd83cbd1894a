"""Monte Carlo sample paths of stochastic processes, larger than memory.

`__init__.pyi` lists the public names. Each is imported on first use.
"""

import os as _os
import sys as _sys

from montezarr.core import lazy as _lazy
from montezarr.core import startup as _startup


def _register_accessor() -> None:
    """Register ``ds.mz`` where xarray is imported: a worker that draws paths does without it."""
    if "xarray" in _sys.modules:
        import montezarr.accessor


__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, renamed={"Paths": "PathCount"}, then=_register_accessor
)

# Documented modules of earlier versions are still found under their names.
__path__ = [*__path__, *(f"{place}/core/moved" for place in __path__)]


def _show_runs_on_the_dashboard() -> None:
    from montezarr.monitor.dashboard import install

    install()


_startup.before_first_run(_show_runs_on_the_dashboard)

if "MONTEZARR_WORKER" not in _os.environ:
    import montezarr.accessor  # registers ds.mz
