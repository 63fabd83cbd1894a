"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.schemes._base import Scheme as Scheme
from montezarr.schemes.boundaries import Absorbing as Absorbing
from montezarr.schemes.boundaries import Reflecting as Reflecting
from montezarr.schemes.euler_maruyama import EulerMaruyama as EulerMaruyama
from montezarr.schemes.milstein import Milstein as Milstein
