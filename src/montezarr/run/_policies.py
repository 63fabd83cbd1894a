"""What to do about paths that fail: chosen with a run, and no part of what a path is."""

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
    """Raise unless these are `Policies`.

    Raises
    ------
    ArgumentTypeError
        If they are something else.
    """
    if not isinstance(policies, Policies):
        raise type_error("policies", "Policies", policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What to do about paths that fail.

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
        For arguments out of these terms.
    """

    on_error: OnError = "raise"
    on_nonfinite: OnNonfinite = "raise"
    retries: int = PATH_RETRIES

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, get_args(OnError))
        check_choice("on_nonfinite", self.on_nonfinite, get_args(OnNonfinite))
        # A number of NumPy is none of JSON.
        object.__setattr__(
            self, "retries", check_int("retries", self.retries, maximum=PATH_RETRIES_MAX)
        )

    @classmethod
    def of(cls, sampler: Sampler) -> Policies:
        """Return those of a bound sampler."""
        return cls(
            on_error=sampler.on_error,
            on_nonfinite=sampler.on_nonfinite,
            retries=sampler.retries,
        )

    def on(self, sampler: Sampler) -> Sampler:
        """Return a sampler under them."""
        return replace(
            sampler, on_error=self.on_error, on_nonfinite=self.on_nonfinite, retries=self.retries
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policies:
        """Return what `to_dict` gave; what is not there is as by default."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_dict(self) -> dict[str, Any]:
        """Return those that are not as by default, as JSON."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        return {f.name: told[f.name] for f in fields(self) if told[f.name] != f.default}
