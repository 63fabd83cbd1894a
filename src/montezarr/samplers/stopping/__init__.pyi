"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.samplers.stopping._base import StoppingRule as StoppingRule
from montezarr.samplers.stopping.levels import Above as Above
from montezarr.samplers.stopping.levels import Below as Below
from montezarr.samplers.stopping.levels import Outside as Outside
from montezarr.samplers.stopping.reaches import Reaches as Reaches
