"""Moved to `montezarr.cli.job`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.cli.job")
