"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.random.distributions._base import Distribution as Distribution
from montezarr.random.distributions.beta import Beta as Beta
from montezarr.random.distributions.discrete import Discrete as Discrete
from montezarr.random.distributions.gamma import Gamma as Gamma
from montezarr.random.distributions.joint_normal import JointNormal as JointNormal
from montezarr.random.distributions.log_normal import LogNormal as LogNormal
from montezarr.random.distributions.normal import Normal as Normal
from montezarr.random.distributions.uniform import Uniform as Uniform
