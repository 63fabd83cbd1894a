"""The run: everything that determines the values of paths, as one value; its recipe and its graph.

Names are imported lazily: a worker that draws a chunk needs none of them.
"""

from montezarr.core import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
