"""Base class of samplers that call code which draws paths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from montezarr.samplers._base import Sampler
from montezarr.samplers.interfaces import Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSampler(Sampler):
    """A sampler that calls a process, or a function, which draws paths.

    A subclass is one way to call such code. It states the facts of each of its interfaces, under
    their names in recipes, and whether a given object offers one of them.
    """

    interfaces: ClassVar[Mapping[str, Interface]]

    @classmethod
    @abstractmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface that a process or function offers; None for none.

        `options` are its further keyword arguments, and `legacy` is whether the caller allows
        code on the global np.random state.

        Raises
        ------
        ArgumentTypeError
            For code that almost offers an interface, but lacks a parameter.
        """

    @abstractmethod
    def bind(self, declared: Any) -> Sampler:
        """Return the sampler with the variables that its first paths declare."""

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return targets of this class, with arguments of `simulate`, for the conformance suite."""

    @classmethod
    @abstractmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return a target some of whose paths fail, with arguments of `simulate`.

        It has one variable x(time) of floats and two options: if the largest value of a path is
        above `limit`, it raises; else if that is above `ceiling`, the last value is infinite. The
        conformance suite chooses by the options which paths fail.
        """

    @property
    def interface(self) -> Interface:
        """The facts of the interface by which the code is called."""
        return self.interfaces[self.kind]
