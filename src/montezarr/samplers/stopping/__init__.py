"""Rules by which a path stops; a new one is one file, and a line in the stub `__init__.pyi`."""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
