"""Statistics that fold any number of paths in bounded memory.

A new one is one file, and one line in the stub beside this file, `__init__.pyi`.
"""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
