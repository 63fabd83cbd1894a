"""Samplers: one class for each way to call code that draws paths, with one type of error."""

from montezarr.samplers._base import Sampler, describe, describe_error
from montezarr.samplers.binding import (
    INTERFACES,
    SAMPLERS,
    bind,
    choose_sampler,
    recorded_interface,
    recorded_stream,
)
from montezarr.samplers.drawing import (
    own_copy,
    private,
    sample_private,
    sample_range,
    sample_reported,
)
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.policy import FailureReport
from montezarr.samplers.schema import EVENT_TIME, PathArrays, Variable

__all__ = [
    "EVENT_TIME",
    "INTERFACES",
    "SAMPLERS",
    "FailureReport",
    "Interface",
    "PathArrays",
    "Sampler",
    "Variable",
    "bind",
    "choose_sampler",
    "describe",
    "describe_error",
    "own_copy",
    "private",
    "recorded_interface",
    "recorded_stream",
    "sample_private",
    "sample_range",
    "sample_reported",
]
