"""Schemes that approximate Itô equations; a new one is one file and one line here."""

from montezarr.schemes._base import Scheme
from montezarr.schemes.euler_maruyama import EulerMaruyama
from montezarr.schemes.milstein import Milstein

__all__ = ["EulerMaruyama", "Milstein", "Scheme"]
