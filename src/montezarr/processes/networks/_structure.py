"""What a network is apart from its numbers: species, changes, propensities, dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import did_you_mean
from montezarr.core.errors import ArgumentValueError
from montezarr.processes.networks._expressions import (
    TIME_NAME,
    Expression,
    Name,
    Number,
    Operation,
    names_in,
    product,
    replaced,
    size_of,
    with_time_alone,
)
from montezarr.processes.networks._parser import Intervention, Parser, Reaction

STRUCTURES_KEPT = 256
"""Networks whose structure is kept for the next run of it."""

ORDER_MAX = 100
"""Molecules that a reaction of mass action takes, at most: its propensity has a factor for each."""

SIZE_MAX = 10_000
"""Operations and names of an expression with all definitions in it, at most."""


@dataclass(frozen=True)
class Structure:
    """The parts of a network that its code is made of.

    Attributes
    ----------
    species : tuple of str
        Names of the species.
    parameters : tuple of str
        Names of the parameters that are numbers.
    definitions : dict of str to Expression
        Parameters that are expressions, in terms of species, of parameters that are numbers, and of
        the time alone.
    reactions : tuple of Reaction
        Reactions, in one direction each.
    interventions : tuple of Intervention
        What changes the state when conditions become true, without definitions in it.
    """

    species: tuple[str, ...]
    parameters: tuple[str, ...]
    definitions: Mapping[str, Expression] = field(hash=False)
    reactions: tuple[Reaction, ...]
    interventions: tuple[Intervention, ...] = ()

    @cached_property
    def assigned(self) -> frozenset[str]:
        """Species and parameters that interventions change."""
        return frozenset(name for one in self.interventions for name, _ in one.assignments)

    @cached_property
    def changes(self) -> NDArray[np.int64]:
        """The change of each species by each reaction (species, reactions)."""
        out = np.zeros((len(self.species), len(self.reactions)), np.int64)
        for r, reaction in enumerate(self.reactions):
            for side, sign in ((reaction.reactants, -1), (reaction.products, 1)):
                for name, count in zip(side.names, side.counts, strict=True):
                    out[self.species.index(name), r] += sign * count
        return out

    @cached_property
    def constants(self) -> tuple[Expression, ...]:
        """Parts of propensities that are constant on each path, computed once."""
        return self._split[1]

    @cached_property
    def propensities(self) -> tuple[Expression, ...]:
        """The propensity of each reaction; ``#k`` is the name of constant k."""
        return self._split[0]

    @cached_property
    def whole_propensities(self) -> tuple[Expression, ...]:
        """The propensity of each reaction, in terms of species, parameters and the time."""
        return tuple(self._propensity(r) for r in range(len(self.reactions)))

    @cached_property
    def is_sure(self) -> tuple[bool, ...]:
        """Whether a propensity is a constant times numbers of molecules.

        It stays at or above 0 if the constant is, and no molecule is taken that is not there.
        """
        return tuple(
            reaction.is_mass_action and self.is_constant(self.rate(r))
            for r, reaction in enumerate(self.reactions)
        )

    @cached_property
    def depends_on_time(self) -> tuple[bool, ...]:
        """Whether the propensity of each reaction depends on the time itself."""
        return tuple(
            any(name.name == TIME_NAME for name in names_in(tree))
            for tree in self.whole_propensities
        )

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of all that propensities and interventions use, or that is assigned."""
        trees = [*self.whole_propensities]
        for one in self.interventions:
            trees += [one.condition, *(tree for _, tree in one.assignments)]
            trees += filter(None, (one.delay, one.priority))
        return self.assigned | {name.name for tree in trees for name in names_in(tree)}

    def affected(self, r: int) -> tuple[int, ...]:
        """Return the reactions whose propensity a reaction changes: its row of the graph.

        Gibson and Bruck 2000, doi:10.1021/jp993732q, call it the dependency graph.
        """
        changed = {self.species[i] for i in np.flatnonzero(self.changes[:, r])}
        return tuple(
            k for k, tree in enumerate(self.propensities)
            if any(name.name in changed for name in names_in(tree))
        )  # fmt: skip

    def is_constant(self, tree: Expression) -> bool:
        """Return whether a tree has one value on each path: no reaction changes it."""
        if isinstance(tree, Number):
            return True
        total = self._linear(tree)
        if total is not None and not (total @ self.changes).any():
            return not any(name.name in self.assigned for name in names_in(tree))
        if isinstance(tree, Name):
            return tree.name in self.parameters and tree.name not in self.assigned
        return all(self.is_constant(argument) for argument in tree.arguments)

    def _linear(self, tree: Expression) -> NDArray[np.float64] | None:
        """Return the coefficients of a sum of species; None if it is no such sum."""
        out = np.zeros(len(self.species))
        if isinstance(tree, Name) and tree.name in self.species:
            out[self.species.index(tree.name)] = 1.0
            return out
        if not isinstance(tree, Operation) or tree.function not in ("+", "-", "*"):
            return None
        left, right = tree.arguments
        if tree.function == "*":
            factor, rest = (left, right) if isinstance(left, Number) else (right, left)
            part = self._linear(rest)
            return part * factor.value if isinstance(factor, Number) and part is not None else None
        parts = self._linear(left), self._linear(right)
        if parts[0] is None or parts[1] is None:
            return None
        return parts[0] + parts[1] if tree.function == "+" else parts[0] - parts[1]

    def rate(self, r: int) -> Expression:
        """Return the rate of a reaction without definitions in it."""
        return replaced(self.reactions[r].rate, self.definitions)

    def _propensity(self, r: int) -> Expression:
        """Return the propensity of a reaction: Gillespie 1977, doi:10.1021/j100540a008."""
        reaction, rate = self.reactions[r], self.rate(r)
        if not reaction.is_mass_action:
            return rate
        sides = reaction.reactants
        combinations = [
            factor
            for name, count in zip(sides.names, sides.counts, strict=True)
            for factor in _combinations(Name(name), count)
        ]
        return product(rate, *combinations)

    @cached_property
    def _split(self) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
        """Return the propensities with the names of constants in them, and these constants."""
        known: dict[Expression, str] = {}
        trees = tuple(self._with_constants(tree, known) for tree in self.whole_propensities)
        return trees, tuple(known)

    def _with_constants(self, tree: Expression, known: dict[Expression, str]) -> Expression:
        if not isinstance(tree, Operation):
            return tree
        if self.is_constant(tree):
            return Name(known.setdefault(tree, f"#{len(known)}"))
        arguments = tuple(self._with_constants(a, known) for a in tree.arguments)
        return Operation(tree.function, arguments)


def _combinations(name: Name, count: int) -> Iterator[Expression]:
    """Yield factors of the number of ways to choose so many molecules: n (n - 1) / 2 of two."""
    yield name
    for k in range(1, count):
        less = Operation("-", (name, Number(float(k))))
        yield Operation("/", (less, Number(float(k + 1))))


@lru_cache(maxsize=STRUCTURES_KEPT)
def structure_of(
    species: tuple[str, ...],
    reactions: tuple[str, ...],
    parameters: tuple[tuple[str, str | None], ...],
    interventions: tuple[str, ...] = (),
) -> Structure:
    """Return the structure of a network, or raise for what is wrong in its texts.

    Parameters
    ----------
    species : tuple of str
        Names of the species.
    reactions : tuple of str
        Reactions with their rates.
    parameters : tuple of (str, str or None)
        Names of parameters, with the expression of those that are none of the numbers.
    interventions : tuple of str
        What happens when conditions become true.

    Raises
    ------
    ArgumentValueError
        With the position in a text.
    """
    known = {*species, *(name for name, _ in parameters), TIME_NAME}
    definitions = _definitions(dict(parameters), known)
    found: list[Reaction] = []
    for i, text in enumerate(reactions):
        parser = Parser(f"reactions[{i}]", text)
        for reaction in parser.reactions():
            _check_reaction(parser, reaction, species, known, definitions)
            found.append(reaction)
    numbers = tuple(name for name, text in parameters if text is None)
    changed = tuple(
        _intervention(f"interventions[{i}]", text, known, {*species, *numbers}, definitions)
        for i, text in enumerate(interventions)
    )
    return Structure(species, numbers, definitions, tuple(found), changed)


def _intervention(
    label: str, text: str, known: set[str], states: set[str], definitions: Mapping[str, Expression]
) -> Intervention:
    """Return an intervention without definitions in it, or raise for its names."""
    parser = Parser(label, text)
    one = parser.intervention()
    for (name, _), at in zip(one.assignments, one.places, strict=True):
        if name not in states:
            hint = did_you_mean(name, states)
            parser.fail("a species, or a parameter that is a number", at, repr(name), hint)
    for tree in (one.condition, one.delay, one.priority, *dict(one.assignments).values()):
        if tree is not None:
            check_names(parser, tree, known)

    def plain(tree: Expression | None) -> Any:
        return None if tree is None else replaced(tree, definitions)

    condition = with_time_alone(plain(one.condition))
    if condition is None:
        parser.fail(
            "comparisons of the time in the form 't >= 5'", len("when "), "another one",
            "The time must stand alone, times a number, or in a sum.",
        )  # fmt: skip
    return replace(
        one, condition=condition, delay=plain(one.delay), priority=plain(one.priority),
        assignments=tuple((name, plain(tree)) for name, tree in one.assignments),
    )  # fmt: skip


def _check_reaction(
    parser: Parser, reaction: Reaction, species: tuple[str, ...], known: set[str],
    definitions: Mapping[str, Expression],
) -> None:  # fmt: skip
    for side in (reaction.reactants, reaction.products):
        for name, at in zip(side.names, side.places, strict=True):
            if name not in species:
                expected = f"a species among {', '.join(species)}"
                parser.fail(expected, at, repr(name), did_you_mean(name, species))
    check_names(parser, reaction.rate, known)
    if not reaction.is_mass_action:
        return
    if sum(reaction.reactants.counts) > ORDER_MAX:
        expected = f"at most {ORDER_MAX} molecules before '->'"
        parser.fail(expected, reaction.reactants.places[0], f"{sum(reaction.reactants.counts)}")
    for used in names_in(reaction.rate):
        if used.name in reaction.reactants.names:
            parser.fail(
                "a rate constant after '->'", used.at, f"the reactant {used.name!r}",
                "It is multiplied by the numbers of reactants already. Write '=>' for a rate that"
                " is the whole propensity.",
            )  # fmt: skip


def check_names(parser: Parser, tree: Expression, known: set[str]) -> None:
    """Raise for a name in an expression that is no species, no parameter and not the time."""
    for name in names_in(tree):
        if name.name not in known:
            hint = did_you_mean(name.name, known - {TIME_NAME})
            if name.name == "N" and not hint:
                hint = "Say what it is, as in parameters={'N': 'S + I + R'}."
            parser.fail("a species, a parameter or t", name.at, repr(name.name), hint)


def _definitions(texts: Mapping[str, str | None], known: set[str]) -> dict[str, Expression]:
    """Return the parameters that are expressions, without each other in them."""
    trees: dict[str, Expression] = {}
    for name, text in texts.items():
        if text is not None:
            parser = Parser(f"parameters[{name!r}]", text)
            trees[name] = parser.expression()
            parser.end()
            check_names(parser, trees[name], known)
    resolved: dict[str, Expression] = {}
    for name in trees:
        _resolve(name, trees, resolved, ())
    return resolved


def _resolve(
    name: str, trees: Mapping[str, Expression], resolved: dict[str, Expression],
    above: tuple[str, ...],
) -> None:  # fmt: skip
    """Add a definition without other ones in it, each of which is resolved first."""
    if name in resolved:
        return
    if name in above:
        raise ArgumentValueError(
            "parameters: expected expressions that do not need each other, got"
            f" {' -> '.join((*above[above.index(name) :], name))}."
        )
    for inner in names_in(trees[name]):
        if inner.name in trees:
            _resolve(inner.name, trees, resolved, (*above, name))
    resolved[name] = replaced(trees[name], resolved)
    if size_of(resolved[name]) > SIZE_MAX:
        raise ArgumentValueError(
            f"parameters[{name!r}]: expected at most {SIZE_MAX:,} operations in all, got more."
        )
