"""The engine that simulates with one call, its results, batches of paths, plans, measuring."""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
