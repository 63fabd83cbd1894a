"""Designs: which parameters the paths of a run get; a new one is one file and a line in two lists.

These are the stub `__init__.pyi`, of the functions that make them, and `DESIGNS` of `_built_in`.
"""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
