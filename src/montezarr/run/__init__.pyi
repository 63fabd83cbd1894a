"""The names of this package, one line each."""

from montezarr.run._card import Recipe as Recipe
from montezarr.run._plan import Plan as Plan
from montezarr.run._policies import Policies as Policies
from montezarr.run._replay import replay as replay
from montezarr.run._run import Run as Run
from montezarr.run._simulate import simulate as simulate
