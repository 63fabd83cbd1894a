"""Monte Carlo sample paths of stochastic processes, larger than memory."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "MONTEZARR_WORKER" not in os.environ:
    from montezarr._public import *
    from montezarr._public import __all__ as __all__
    from montezarr._public import __version__ as __version__
else:
    # A worker process draws paths: xarray, Dask and Zarr would triple the time that it takes to
    # start. Code of the user's that asks for them there still gets them.
    def __getattr__(name: str) -> Any:
        from importlib import import_module
        from importlib.util import find_spec

        if name.startswith("_") or (name != "replay" and find_spec(f"montezarr.{name}")):
            raise AttributeError(name)  # so that the import system looks for a module
        public = import_module("montezarr._public")
        globals().update({key: getattr(public, key) for key in public.__all__})
        return getattr(public, name)
