"""Schemes that approximate Itô equations; a new one is one file and one line in the stub."""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
