"""Policies for paths that fail: chosen with a run, and not part of the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from montezarr.core.checks import check_choice, check_int, type_error
from montezarr.core.tunables.limits import PATH_RETRIES_MAX
from montezarr.core.tunables.scheduling import PATH_RETRIES
from montezarr.samplers import Sampler
from montezarr.samplers._base import OnError, OnNonfinite


def check_policies(policies: Any) -> None:
    """Check that a value is `Policies`.

    Raises
    ------
    ArgumentTypeError
        If it is something else.
    """
    if not isinstance(policies, Policies):
        raise type_error("policies", "Policies", policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policies for paths that fail.

    Parameters
    ----------
    on_error : {"raise", "mask", "retry"}
        What to do about a path on which the sampler fails.
    on_nonfinite : {"raise", "keep", "mask", "retry"}
        The same for paths with NaN or infinities.
    retries : int
        How often a path is drawn again under "retry".

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument is not one of these.
    """

    on_error: OnError = "raise"
    on_nonfinite: OnNonfinite = "raise"
    retries: int = PATH_RETRIES

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, get_args(OnError))
        check_choice("on_nonfinite", self.on_nonfinite, get_args(OnNonfinite))
        # JSON takes no NumPy integer.
        object.__setattr__(
            self, "retries", check_int("retries", self.retries, maximum=PATH_RETRIES_MAX)
        )

    @classmethod
    def of(cls, sampler: Sampler) -> Policies:
        """Return the policies of a bound sampler."""
        return cls(
            on_error=sampler.on_error,
            on_nonfinite=sampler.on_nonfinite,
            retries=sampler.retries,
        )

    def on(self, sampler: Sampler) -> Sampler:
        """Return a sampler under these policies."""
        return replace(
            sampler, on_error=self.on_error, on_nonfinite=self.on_nonfinite, retries=self.retries
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policies:
        """Return the policies from the result of `to_dict`; missing entries are as by default."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_dict(self) -> dict[str, Any]:
        """Return the policies that differ from the default, as JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}
