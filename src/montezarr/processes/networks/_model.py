"""Base of models that are a network of their own: parameters as fields, known reactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from montezarr.processes._per_path import number_fields
from montezarr.processes.networks._network import EVENTS_MAX, NetworkProcess, Numbers
from montezarr.processes.networks._structure import structure_of
from montezarr.processes.networks.reaction_network import ReactionNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkModel(NetworkProcess):
    """Base of named models: a subclass says its species, its reactions, and its default start."""

    species: ClassVar[tuple[str, ...]] = ()
    reactions: ClassVar[tuple[str, ...]] = ()
    definitions: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def numbers(self) -> Numbers:
        """What the loop over paths gets."""
        names = number_fields(self)
        told = (*((name, None) for name in names), *self.definitions)
        structure = structure_of(self.species, self.reactions, told)
        values = {name: getattr(self, name) for name in names}
        return Numbers(structure, values, tuple(range(len(self.species))), EVENTS_MAX)

    def network(self, **options: Any) -> ReactionNetwork:
        """Return the model as a `ReactionNetwork`, which has the same paths.

        Parameters
        ----------
        **options
            Further arguments of `ReactionNetwork`, such as ``output="events"``.
        """
        values = {name: getattr(self, name) for name in number_fields(self)}
        counts = self.default_x0()
        return ReactionNetwork(
            species=tuple(
                zip(self.species, counts if type(counts) is tuple else (counts,), strict=True)
            ),
            reactions=self.reactions,
            parameters=tuple({**values, **dict(self.definitions)}.items()),
            **options,
        )
