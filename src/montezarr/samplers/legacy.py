"""Samplers for code on the global np.random state, one path at a time, on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from montezarr.core.fork import ForkLock
from montezarr.samplers.functions import NONE, PathFunction
from montezarr.samplers.interfaces import Interface, accepts
from montezarr.samplers.path import PathSampler, _fragile

_global_state = ForkLock()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySampler(PathSampler):
    """Sampler for a ``sample_path`` on the global state, which is seeded per path and restored."""

    interfaces: ClassVar[Mapping[str, Interface]] = {
        "legacy": Interface(
            text="sample_path on the global np.random state, one path at a time",
            method="sample_path",
            order=("T", "x0"),
            uses_global_state=True,
            stream="legacy",
        )
    }

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface if the caller allows legacy code."""
        has_method = callable(getattr(target, "sample_path", None))
        return "legacy" if legacy and has_method else None

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return an object that draws from the global state."""
        return ((_OnGlobalState(), {"T": 5, "x0": 1.0, "legacy_global_rng": True}),)

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return an object that draws from the global state."""
        return _Fragile(), {"T": 5, "legacy_global_rng": True}

    def caller(self) -> PathFunction:
        """Return the function (path, x0, its own parameters) that draws one path."""
        target, seed, T = self.target, self.seed, self.grid.T
        options = dict(self.options)

        def legacy(path: int, x0: Any, own: Mapping[str, Any] = NONE) -> Any:
            with _global_state:  # one path at a time, since a process has one global state
                before = np.random.get_state()
                np.random.seed(seed.path_sequence(path).generate_state(624))
                try:
                    return target.sample_path(T, x0, **options, **own)
                finally:
                    np.random.set_state(before)

        return legacy


def uses_global_state(target: Any) -> bool:
    """Return whether a process offers only a ``sample_path`` without a stream."""
    method = getattr(target, "sample_path", None)
    other = any(hasattr(target, name) for name in ("sample", "sample_paths"))
    if isinstance(target, type) or method is None or other:
        return False
    return not accepts(method, "rng", "seed")


class _OnGlobalState:
    def sample_path(self, T: int, x0: Any) -> Any:
        return x0 + np.random.standard_normal(T + 1)


class _Fragile:
    def sample_path(self, T: int, x0: Any, limit: float, ceiling: float) -> Any:
        return _fragile(np.random, T, limit, ceiling)
