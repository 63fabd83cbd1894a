"""Frozen distributions of SciPy, of a list of names: nothing else named in a store is imported."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from numbers import Integral
from typing import Any, Self, final

import numpy as np

from montezarr.core.checks import check_choice, check_real, did_you_mean, type_error, value_error
from montezarr.core.compat.scipy import frozen_parts
from montezarr.core.errors import ArgumentTypeError, ReplayError
from montezarr.core.optional import import_optional
from montezarr.core.value import checked
from montezarr.random.distributions._base import Array, Distribution

CONTINUOUS = (
    "arcsine", "beta", "betaprime", "burr12", "cauchy", "chi", "chi2", "erlang", "expon",
    "exponnorm", "exponweib", "f", "fisk", "gamma", "genextreme", "gengamma", "genpareto",
    "gompertz", "gumbel_l", "gumbel_r", "halfcauchy", "halfnorm", "invgamma", "invgauss",
    "johnsonsb", "johnsonsu", "laplace", "levy", "loggamma", "logistic", "loglaplace", "lognorm",
    "loguniform", "lomax", "maxwell", "nakagami", "norm", "pareto", "powerlaw", "rayleigh",
    "reciprocal", "skewnorm", "t", "trapezoid", "triang", "truncexpon", "truncnorm", "uniform",
    "weibull_max", "weibull_min",
)  # fmt: skip
DISCRETE = (
    "bernoulli", "betabinom", "binom", "boltzmann", "dlaplace", "geom", "hypergeom", "logser",
    "nbinom", "planck", "poisson", "randint", "skellam", "zipf",
)  # fmt: skip
KNOWN = tuple(sorted((*CONTINUOUS, *DISCRETE)))

_HALF = np.concatenate([(np.arange(512) + 0.5) / 1024, np.ldexp(1.0, -np.arange(11, 55))])
_CHECKED = np.concatenate([-_HALF, _HALF])
"""Tails of the quantiles in the digest: 1,024 equally spaced ones, and the farther powers of 2."""


def _stats(distribution: str) -> Any:
    return import_optional(
        "scipy.stats", extra="scipy", purpose=f"the distribution {distribution} of SciPy"
    )


def _version() -> str:
    return version("scipy")


@lru_cache(maxsize=64)
def _frozen(distribution: str, arguments: tuple[tuple[str, float], ...]) -> Any:
    law = getattr(_stats(distribution), distribution)
    try:
        return law(**dict(arguments))
    except TypeError as error:
        raise value_error(
            "arguments", f"those of {distribution}", dict(arguments), f"{error}."
        ) from error


def _pairs(name: str, value: Any) -> tuple[tuple[str, float], ...]:
    if isinstance(value, Mapping):
        value = list(value.items())
    return tuple((key, _number(f"{name}[{key!r}]", entry)) for key, entry in value)


def _number(name: str, value: Any) -> float:
    number = check_real(name, value, hint="Parameters of a distribution are single numbers here.")
    return int(value) if isinstance(value, Integral) else number


@final
@dataclass(frozen=True, slots=True)
class ScipyDistribution(Distribution):
    """A frozen distribution of `scipy.stats`, by its name and arguments.

    SciPy's quantiles may change with its version, so their digest is recorded, and is compared
    before they are drawn again. In the lower half they are those of `ppf`, in the upper one those
    of `isf` of the upper tail, except those of integers, which are of `ppf` throughout.

    Parameters
    ----------
    distribution : str
        Name in `scipy.stats`.
    arguments : mapping of str to number
        Its shapes, loc and scale.
    version : str, optional
        Version of SciPy; by default that of today.
    check : str, optional
        SHA-256 of some 1,100 quantiles; by default that of today.
    """

    distribution: str = field(metadata=checked(check_choice, KNOWN))
    arguments: Any = field(metadata=checked(_pairs))
    version: Any = None
    check: Any = None

    def __post_init__(self) -> None:
        self.check_fields()
        frozen = self._frozen()
        is_valid = not math.isnan(frozen.ppf(0.5))
        if not is_valid:
            raise value_error("arguments", f"those of {self.distribution}", dict(self.arguments))
        if self.version is None:
            self.set_field("version", _version())
        if self.check is None:
            self.set_field("check", self._digest())

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; they need SciPy."""
        return cls("norm", {"loc": -2.0, "scale": 0.25}), cls("poisson", {"mu": 3.0})

    @classmethod
    def of(cls, frozen: Any) -> Self:
        """Return a frozen distribution of SciPy as one of ours.

        Raises
        ------
        ArgumentTypeError
            If it is not on the list, or a parameter is not a single number.
        """
        parts = frozen_parts(frozen)
        law = frozen if parts is None else parts[0]
        name = getattr(law, "name", None) or type(law).__name__
        if name not in KNOWN or type(law) is not type(getattr(_stats(name), name)):
            hint = f"{did_you_mean(name, KNOWN)} Those of scipy.stats that are drawn:".strip()
            raise ArgumentTypeError(
                f"distribution: expected a distribution with an inverse, got {name}."
                f" {hint} {', '.join(KNOWN)}."
            )
        if parts is None:
            raise ArgumentTypeError(
                f"distribution: expected a frozen distribution, got scipy.stats.{name} without its"
                f" parameters. Take scipy.stats.{name}(...)."
            )
        shapes = [part.strip() for part in (law.shapes or "").split(",") if part.strip()]
        places = [*shapes, "loc", "scale"] if name in CONTINUOUS else [*shapes, "loc"]
        given = dict(zip(places, parts[1], strict=False)) | parts[2]
        return cls(name, {place: given[place] for place in places if place in given})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the distribution that `to_dict` wrote, if SciPy still has its quantiles.

        Raises
        ------
        ArgumentValueError
            If its name is not on the list, or an entry is missing or unknown.
        ReplayError
            If its quantiles have other bits than those that were recorded.
        """
        entries = {name: value for name, value in data.items() if name != "name"}
        if entries.keys() != {"distribution", "arguments", "version", "check"}:
            expected = "the entries arguments, check, distribution and version"
            raise value_error("distribution", expected, sorted(entries))
        if not isinstance(entries["arguments"], Mapping):
            raise type_error("arguments", "a mapping of names to numbers", entries["arguments"])
        for name in ("version", "check"):
            if not isinstance(entries[name], str):
                raise type_error(name, "text", entries[name])
        found = cls(**entries)
        if (now := found._digest()) != found.check:
            raise ReplayError(
                f"{found.distribution}: expected quantiles with the digest {found.check[:12]}, of"
                f" SciPy {found.version}, got {now[:12]} of SciPy {_version()} on this machine."
                f" Its values can be drawn again with scipy=={found.version} where they were drawn."
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with the name "scipy"."""
        return {
            "name": "scipy",
            "distribution": self.distribution,
            "arguments": dict(self.arguments),
            "version": self.version,
            "check": self.check,
        }

    def at_tails(self, tail: Array) -> Array:
        """Return quantiles; see `Distribution.at_tails`."""
        frozen, p = self._frozen(), np.abs(tail)
        out = np.empty_like(p)
        is_lower = tail < 0
        upper = p[~is_lower]
        with np.errstate(all="ignore"):
            out[is_lower] = frozen.ppf(p[is_lower])
            if self.distribution in DISCRETE:  # of which isf is ppf(1 - p), infinite if this is 1
                out[~is_lower] = frozen.ppf(np.minimum(1.0 - upper, 1.0 - 2.0**-53))
            else:
                out[~is_lower] = frozen.isf(upper)
        return out

    def moments(self) -> tuple[float, float]:
        """Return the mean and the variance, which may be infinite or NaN."""
        mean, variance = self._frozen().stats("mv")
        return float(mean), float(variance)

    def _frozen(self) -> Any:
        return _frozen(self.distribution, self.arguments)

    def _digest(self) -> str:
        found = self.at_tails(_CHECKED)
        return hashlib.sha256(found.astype("<f8").tobytes()).hexdigest()
