"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.processes._base import Process as Process
from montezarr.processes._built_in import process_from_dict as process_from_dict
from montezarr.processes._fit import Fit as Fit
from montezarr.processes.brownian_motion import BrownianMotion as BrownianMotion
from montezarr.processes.diffusion import Diffusion as Diffusion
from montezarr.processes.geometric_brownian_motion import (
    GeometricBrownianMotion as GeometricBrownianMotion,
)
from montezarr.processes.heston import Heston as Heston
from montezarr.processes.markov_chain import MarkovChain as MarkovChain
from montezarr.processes.networks.birth_death import BirthDeath as BirthDeath
from montezarr.processes.networks.gene_expression import GeneExpression as GeneExpression
from montezarr.processes.networks.michaelis_menten import MichaelisMenten as MichaelisMenten
from montezarr.processes.networks.reaction_network import ReactionNetwork as ReactionNetwork
from montezarr.processes.networks.seir import SEIR as SEIR
from montezarr.processes.networks.sir import SIR as SIR
from montezarr.processes.networks.sis import SIS as SIS
from montezarr.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from montezarr.processes.poisson_process import PoissonProcess as PoissonProcess
from montezarr.processes.random_walk import RandomWalk as RandomWalk
from montezarr.processes.time_grid import TimeGrid as TimeGrid
