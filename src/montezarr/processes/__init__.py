"""Built-in processes; a new one is one file and one line here."""

from collections.abc import Mapping
from typing import Any

from montezarr._checks import value_error
from montezarr._value import check_parameter_names
from montezarr.processes._base import (
    HasBound,
    HasDensity,
    HasDeviation,
    HasLabels,
    HasMean,
    HasProbability,
    HasTrial,
    HasVariance,
    Process,
)
from montezarr.processes._describe import arguments_text, equation_rows, one_line, parameter_rows
from montezarr.processes._fit import Fit
from montezarr.processes.brownian_motion import BrownianMotion
from montezarr.processes.diffusion import Diffusion
from montezarr.processes.geometric_brownian_motion import GeometricBrownianMotion
from montezarr.processes.heston import Heston
from montezarr.processes.markov_chain import MarkovChain
from montezarr.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from montezarr.processes.poisson_process import PoissonProcess
from montezarr.processes.random_walk import RandomWalk

BUILT_IN: dict[str, type[Process]] = {
    kind.__name__: kind
    for kind in (
        BrownianMotion,
        Diffusion,
        GeometricBrownianMotion,
        Heston,
        MarkovChain,
        OrnsteinUhlenbeck,
        PoissonProcess,
        RandomWalk,
    )
}
"""Every built-in process by name; configuration files and stores may name only these."""

__all__ = [
    "BUILT_IN",
    "BrownianMotion",
    "Diffusion",
    "Fit",
    "GeometricBrownianMotion",
    "HasBound",
    "HasDensity",
    "HasDeviation",
    "HasLabels",
    "HasMean",
    "HasProbability",
    "HasTrial",
    "HasVariance",
    "Heston",
    "MarkovChain",
    "OrnsteinUhlenbeck",
    "PoissonProcess",
    "Process",
    "RandomWalk",
    "arguments_text",
    "check_parameter_names",
    "equation_rows",
    "is_users",
    "one_line",
    "parameter_rows",
    "process_from_dict",
]


def is_users(process: Process) -> bool:
    """Return whether a process runs code that is not of this package: it is tried, not trusted."""
    # A subclass of the user's is code of the user's, also where it is made of fields alone.
    return type(process) is not BUILT_IN.get(type(process).__name__) or process.runs_user_code


def process_from_dict(data: Mapping[str, Any]) -> Process:
    """Return the built-in process that its `to_dict` described.

    Raises
    ------
    ArgumentValueError
        If the name is not that of a built-in process, or a parameter is wrong.
    """
    name = data.get("name")
    if name not in BUILT_IN:
        raise value_error("name", f"one of {', '.join(BUILT_IN)}", name)
    return BUILT_IN[name].from_dict(data)
