"""Statistics that accumulate any number of paths in bounded memory.

A new statistic is one file, and one line in the stub beside this file, `__init__.pyi`.
"""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
