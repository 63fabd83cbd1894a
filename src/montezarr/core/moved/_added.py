"""Moved to `montezarr.core.added_fields`."""

from montezarr.core.moved import moved as _moved

__getattr__, __dir__ = _moved(__name__, "montezarr.core.added_fields")
