"""Distributions of parameters; a new one is one file and one line in the stub `__init__.pyi`."""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
