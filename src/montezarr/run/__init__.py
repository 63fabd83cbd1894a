"""The run: everything that determines the values of paths, as one value; its recipe and its graph.

Names are imported when they are asked for: a worker that gets a chunk needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from montezarr.run._card import Recipe
    from montezarr.run._plan import Plan
    from montezarr.run._policies import Policies
    from montezarr.run._replay import replay
    from montezarr.run._run import Run
    from montezarr.run._simulate import simulate

__all__ = ["Plan", "Policies", "Recipe", "Run", "replay", "simulate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "_card" if name == "Recipe" else f"_{name.lower()}"
    return getattr(import_module(f"{__name__}.{home}"), name)
