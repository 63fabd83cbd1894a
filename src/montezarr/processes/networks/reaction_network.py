"""Reaction networks given as text."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import (
    check_choice,
    check_int,
    check_real,
    did_you_mean,
    type_error,
    value_error,
)
from montezarr.core.text import Card
from montezarr.processes._base import EventVariable, Rows
from montezarr.processes._per_path import checked_numbers, unknown_parameter
from montezarr.processes.networks._direct import METHODS
from montezarr.processes.networks._equations import equations_of, reaction_rows
from montezarr.processes.networks._network import (
    EVENTS_MAX,
    NetworkProcess,
    Numbers,
    event_variables,
)
from montezarr.processes.networks._parser import COUNT_MAX, EVENT_NAMES, RESERVED, RUN_NAMES
from montezarr.processes.networks._structure import Structure, structure_of


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionNetwork(NetworkProcess):
    """Numbers of molecules, people or others that change by reactions at random times. Exact.

    Each reaction happens at a rate, its propensity a(x, t): in a short time dt with the probability
    a dt. The state is a Markov jump process, sampled event by event.

    A reaction is text, ``"S + I -> 2 I @ beta / N"``: what it takes, what it gives, and its rate.
    The arrow says what the rate is.

    - ``->`` mass action: the rate is that of one combination of reactants. The propensity is the
      rate times the number of combinations: ``k * A * B`` of ``A + B``, ``k * A * (A - 1) / 2`` of
      ``2 A``, ``k`` of nothing (``0``). No reactant may stand in such a rate.
    - ``=>`` the rate is the whole propensity, such as ``"S => P @ v * S / (K + S)"``. It must be 0
      where a reactant is missing.
    - ``<->`` mass action there and back, with two rates: ``"2 A <-> B @ k1, k2"``.

    Rates are expressions of numbers, parameters, species, and the time ``t``, with ``+ - * / **``,
    comparisons, ``and or not``, ``where(condition, a, b)``, and ``abs exp log log10 sqrt sin cos
    tan asin acos atan sinh cosh tanh floor ceil min max pi``.

    Numbers are molecules, not concentrations, and a rate constant is per combination of molecules
    and unit of time. In a volume V a constant k of concentrations is ``k / V`` for two different
    reactants and ``2 * k / V`` for two of one kind.

    Parameters
    ----------
    species : mapping of str to int
        Initial numbers by species, in order; ``x0=`` of `simulate` replaces them.
    reactions : sequence of str
        Reactions with their rates.
    parameters : mapping of str to float or str
        Values of the names in rates: a number, or an expression such as ``"S + I + R"``. Numbers
        may vary, by ``vary=`` of `simulate`.
    method : {"direct", "next_reaction"}
        How paths are sampled: by Gillespie's direct method, or by Anderson's next reaction method,
        in which each reaction has a clock of its own. Both are exact; rates that depend on the time
        need the direct method.
    output : {"grid", "events"}
        What a path is: the numbers at the times of the grid; or its events from the first to the
        last of these times, with ``event_time``, ``reaction`` and the numbers after each.
    record : sequence of str, optional
        Species whose numbers are kept; all by default. With events there may be none.
    interventions : sequence of str
        What happens to the state when a condition turns true, as events of SBML: ``"when t >= 30
        set beta = beta / 2"``, ``"when X > 100 after 2 set X = 0"``. Between condition and ``set``
        there may be, in this order, ``after`` a delay, ``priority`` of those at one time,
        ``from_start`` if a condition that is true at the start counts as turned, ``cancelled`` if
        nothing is done where it ends before the delay does, and ``late`` if the values are those
        after the delay. The time must be linear in a condition.
    event_limit : int
        Events that a path may have before it fails, since it explodes: reactions together with
        times at which none happened (looked at where rates depend on the time, or cut short by an
        intervention) and the first numbers of clocks; and as many interventions. The room of paths
        of events is another number, ``max_events`` of `simulate`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a text that is not valid, with the position in it; for names that are unknown or not
        free; for numbers that are negative or fractional.

    References
    ----------
    Anderson, A modified next reaction method for simulating chemical systems with time dependent
    propensities and delays, Journal of Chemical Physics 127, 2007, doi:10.1063/1.2799998.
    Gillespie, Exact stochastic simulation of coupled chemical reactions, Journal of Physical
    Chemistry 81, 1977, doi:10.1021/j100540a008.
    Gibson and Bruck, Efficient exact stochastic simulation of chemical systems with many species
    and many channels, Journal of Physical Chemistry A 104, 2000, doi:10.1021/jp993732q.

    Examples
    --------
    >>> import montezarr as mz
    >>> sir = mz.ReactionNetwork(
    ...     species={"S": 990, "I": 10, "R": 0},
    ...     reactions=["S + I -> 2 I @ beta / N", "I -> R @ gamma"],
    ...     parameters={"beta": 2.0, "gamma": 1.0, "N": "S + I + R"},
    ... )
    >>> sir.stoichiometry
    array([[-1,  0],
           [ 1, -1],
           [ 0,  1]])
    >>> ds = mz.simulate(sir, n_paths=1000, T=30, dt=1.0, seed=1)
    >>> ds.I.dims, ds.I.dtype
    (('path', 'time'), dtype('int64'))
    """

    species: tuple[tuple[str, int], ...]
    reactions: tuple[str, ...]
    parameters: tuple[tuple[str, Any], ...] = ()
    method: str = "direct"
    output: str = "grid"
    record: tuple[str, ...] | None = None
    interventions: tuple[str, ...] = ()
    event_limit: int = EVENTS_MAX

    def __post_init__(self) -> None:
        check_choice("output", self.output, ("grid", "events"))
        named = EVENT_NAMES if self.output == "events" else set[str]()
        self.set_field("species", _check_species(self.species, named))
        taken = dict.fromkeys((name for name, _ in self.species), "a species")
        self.set_field("parameters", _check_parameters(self.parameters, taken, named))
        self.set_field("reactions", _check_texts("reactions", self.reactions))
        self.set_field("interventions", _check_texts("interventions", self.interventions, 0))
        check_choice("method", self.method, METHODS)
        self.set_field(
            "event_limit", check_int("event_limit", self.event_limit, minimum=1, maximum=EVENTS_MAX)
        )
        if self.record is not None:
            least = int(self.output == "grid")
            self.set_field("record", _check_record(self.record, list(taken), least))
        structure = self.structure  # raises for what is wrong in the texts
        if self.method != "direct" and any(structure.depends_on_time):
            raise value_error(
                "method", "'direct', which is exact for rates that depend on the time", self.method
            )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        pairs = cls(
            species={"A": 12, "B": 3},  # type: ignore[arg-type]
            reactions=("2 A <-> B @ k1, k2", "0 -> A @ k3"),
            parameters={"k1": 0.1, "k2": 0.5, "k3": 2.0},  # type: ignore[arg-type]
        )
        alone = cls(
            species={"X": 5},  # type: ignore[arg-type]
            reactions=("0 => X @ v / (1 + (X / K)**2)", "X -> 0 @ 1"),
            parameters={"v": 8.0, "K": 4.0},  # type: ignore[arg-type]
        )
        return pairs, alone

    @classmethod
    def from_sbml(cls, path: str | Path, **options: Any) -> Self:
        """Return the network of a file in the Systems Biology Markup Language, level 2 or 3.

        Amounts are numbers of molecules, and kinetic laws are propensities. Compartments, initial
        amounts and concentrations, local parameters, assignment rules, rate rules with constant
        rates, function definitions, and events with triggers, delays and priorities are read;
        reversible reactions if their law is a difference. Other features are refused, each by its
        name. Needs ``python-libsbml`` (``pip install "montezarr[sbml]"``).

        Parameters
        ----------
        path : str or Path
            The file.
        **options
            Further arguments of `ReactionNetwork`, such as ``record``.

        Raises
        ------
        ArgumentValueError
            If the file is no valid SBML, or has what is not supported.
        """
        from montezarr.processes.networks._sbml import arguments_of

        return cls(**{**arguments_of(path), **options})

    @property
    def structure(self) -> Structure:
        """What the network is apart from its numbers."""
        told = tuple((k, v if isinstance(v, str) else None) for k, v in self.parameters)
        names = tuple(name for name, _ in self.species)
        return structure_of(names, self.reactions, told, self.interventions)

    @property
    def numbers(self) -> Numbers:
        """What the loop over paths gets."""
        names = [name for name, _ in self.species]
        kept = names if self.record is None else self.record
        places = tuple(map(names.index, kept))
        return Numbers(self.structure, dict(self.parameters), places, self.event_limit, self.method)

    @property
    def event_variables(self) -> tuple[EventVariable, ...]:
        """The variables of paths of events; see `Process.event_variables`."""
        return event_variables(self.numbers) if self.output == "events" else ()

    @property
    def stoichiometry(self) -> NDArray[np.int64]:
        """The change of each species by each reaction, (species, reactions)."""
        return self.structure.changes.copy()

    def to_equations(self) -> str:
        """Return the propensities and the rate equations of the numbers as text.

        The rate equations ``dX/dt = sum of change times propensity`` describe means where all rates
        are linear, and the limit of large numbers otherwise (Kurtz 1970, doi:10.2307/3212147).
        """
        return equations_of(self.structure)

    def default_x0(self) -> Any:
        """Return the initial numbers: of one species alone, or in the order of the species."""
        counts = tuple(count for _, count in self.species)
        return counts if len(counts) > 1 else counts[0]

    def with_parameters(self, **values: Any) -> Self:
        """Return the network with other values of some parameters; see `Process.with_parameters`.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For an unknown name, or a value that is no finite number.
        """
        for name, value in values.items():
            self._check_number(name)
            check_real(name, value)
        return replace(self, parameters={**dict(self.parameters), **values})  # type: ignore[arg-type]

    def check_values(self, name: str, values: Any) -> Rows:
        """Return the values of one parameter for n paths; see `Process.check_values`."""
        self._check_number(name)
        return checked_numbers(name, values)

    def with_arrays(self, values: Mapping[str, Rows]) -> Self:
        """Return a copy with one number per path in some parameters; see `Process.with_arrays`."""
        for name in values:
            self._check_number(name)
        arrays = {name: np.asarray(array, np.float64) for name, array in values.items()}
        out = copy.copy(self)
        out.set_field("parameters", tuple({**dict(self.parameters), **arrays}.items()))
        return out

    def arrays_per_path(self) -> dict[str, Rows]:
        """Return the parameters that have one number per path; see `Process.arrays_per_path`."""
        return {name: value for name, value in self.parameters if isinstance(value, np.ndarray)}

    def _check_number(self, name: str) -> None:
        """Raise unless a parameter is a number."""
        known = dict(self.parameters)
        if name not in known:
            raise unknown_parameter(type(self).__name__, name, known)
        if isinstance(known[name], str):
            raise type_error(name, "a parameter that is a number", known[name])

    def _card(self) -> Card:
        rows = reaction_rows(self.structure, self.species, self.parameters)
        return Card(type(self).__name__, [*rows])


def _pairs(name: str, value: Any, expected: str, named: set[str]) -> list[tuple[Any, Any]]:
    """Return the entries of a mapping, or of pairs as in JSON; some names mean something else."""
    try:
        entries = value.items() if isinstance(value, Mapping) else value
        pairs = [(key, entry) for key, entry in entries]
    except (TypeError, ValueError) as error:
        raise type_error(name, expected, value) from error
    keys = [key for key, _ in pairs]
    if not all(isinstance(key, str) for key in keys):
        raise type_error(name, expected, value)
    for key in keys:
        if not key.isidentifier() or key in RESERVED | named | {"path", "time"}:
            raise value_error(name, "identifiers that mean nothing else", key)
    if len(set(keys)) < len(keys):
        raise value_error(name, "each name once", keys)
    return pairs


def _check_species(value: Any, named: set[str]) -> tuple[tuple[str, int], ...]:
    pairs = _pairs("species", value, "a mapping of names to initial numbers", named)
    if not pairs:
        raise value_error("species", "one species or more", value)
    return tuple(
        (name, check_int(f"species[{name!r}]", count, minimum=0, maximum=COUNT_MAX))
        for name, count in pairs
    )


def _check_parameters(
    value: Any, taken: Mapping[str, str], named: set[str]
) -> tuple[tuple[str, Any], ...]:
    expected = "a mapping of names to numbers or expressions"
    pairs = _pairs("parameters", value, expected, named | RUN_NAMES)
    out: list[tuple[str, Any]] = []
    for name, entry in pairs:
        if name in taken:
            raise value_error("parameters", "names of their own", f"{name}, {taken[name]}")
        is_text = isinstance(entry, str)
        out.append((name, entry if is_text else check_real(f"parameters[{name!r}]", entry)))
    return tuple(out)


def _check_texts(name: str, value: Any, least: int = 1) -> tuple[str, ...]:
    expected = "a sequence of texts, such as ['A -> B @ k']"
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise type_error(name, expected, value)
    for text in value:
        if not isinstance(text, str):
            raise type_error(name, expected, text)
    if len(value) < least:
        raise value_error(name, "one or more", value)
    return tuple(value)


def _check_record(value: Any, species: list[str], least: int) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise type_error("record", "a sequence of names of species", value)
    for name in value:
        if name not in species:
            expected = f"species among {', '.join(species)}"
            raise value_error("record", expected, name, did_you_mean(str(name), species))
    if len(set(value)) < len(value) or len(value) < least:
        raise value_error("record", "one or more species, each once", value)
    return tuple(value)
