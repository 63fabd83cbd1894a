"""Models of the Systems Biology Markup Language, as the arguments of a reaction network.

SBML level 3 version 2 core, doi:10.1515/jib-2017-0081. Kinetic laws are rates of events per unit of
time (the discrete stochastic reading of the test suite), so that amounts are numbers of molecules.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.optional import import_optional
from montezarr.processes.networks._expressions import (
    TIME_NAME,
    Expression,
    Name,
    Number,
    Operation,
    names_in,
    text_of,
)
from montezarr.processes.networks._parser import EVENT_NAMES, RESERVED, RUN_NAMES
from montezarr.processes.networks._sbml_math import tree_of, unsupported

LEGAL = (
    RESERVED | EVENT_NAMES | RUN_NAMES
    | {"path", "time", "when", "after", "priority", "set", "late", "cancelled"}
)  # fmt: skip
"""Names of SBML that get an underscore at their end, since they mean something else here."""


def arguments_of(path: str | Path) -> dict[str, Any]:
    """Return the arguments of `ReactionNetwork` for the model of a file.

    Raises
    ------
    ArgumentValueError
        If it cannot be read, is no valid SBML, or uses a feature that is not supported, which is
        named.
    """
    libsbml = import_optional("libsbml", extra="sbml", purpose="from_sbml")
    document = libsbml.readSBMLFromString(_read(Path(path)))
    if document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) or document.getModel() is None:
        raise value_error("path", "a valid SBML model", _first_error(libsbml, document))
    for package in range(document.getNumPlugins()):
        name = document.getPlugin(package).getPackageName()
        if name != "l3v2extendedmath" and document.getPackageRequired(name):
            unsupported(f"the package {name!r}")
    for option in (
        "expandFunctionDefinitions", "promoteLocalParameters", "expandInitialAssignments"
    ):  # fmt: skip
        properties = libsbml.ConversionProperties()
        properties.addOption(option, True)
        if document.convert(properties) != libsbml.LIBSBML_OPERATION_SUCCESS:
            unsupported(f"what the conversion {option!r} of libsbml cannot do")
    return _Model(document.getModel()).arguments()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # with a byte order mark or without
    except OSError as error:
        problem = f"{file.name}: {error.strerror or error}."
        raise value_error("path", "an SBML file that can be read", str(file), problem) from error
    except UnicodeDecodeError as error:
        raise value_error("path", "an SBML file in UTF-8", str(file), f"{file.name}.") from error


def _first_error(libsbml: Any, document: Any) -> str:
    errors = (document.getError(i) for i in range(document.getNumErrors()))
    severe = [error for error in errors if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    return f"line {severe[0].getLine()}: {severe[0].getShortMessage()}" if severe else "no model"


class _Model:
    """A model of libsbml, and what its names are in a network."""

    def __init__(self, model: Any):
        self.model = model
        self.rules = {rule.getVariable(): rule for rule in _all(model.getListOfRules())}
        listed = (model.getListOfCompartments(), model.getListOfParameters(),
                  model.getListOfSpecies())  # fmt: skip
        self.names = _names_of([one.getId() for entries in listed for one in _all(entries)])
        """Names of the network, by those of quantities in the model."""
        self.species: dict[str, int] = {}
        self.parameters: dict[str, Any] = {}
        self.concentrations: dict[str, str] = {}
        """Species that are amounts here and concentrations in expressions, and their compartments.

        Also those that reactions do not change, which are parameters here.
        """

    def arguments(self) -> dict[str, Any]:
        self._refuse()
        for compartment in _all(self.model.getListOfCompartments()):
            size = compartment.getSize() if compartment.isSetSize() else 1.0
            self._quantity(compartment.getId(), size)
        for parameter in _all(self.model.getListOfParameters()):
            value = parameter.getValue() if parameter.isSetValue() else float("nan")
            self._quantity(parameter.getId(), value)
        for species in _all(self.model.getListOfSpecies()):
            self._add_species(species)
        for name, rule in self.rules.items():
            self.parameters[self._name(name)] = text_of(self._definition(name, rule))
        reactions = [
            text for one in _all(self.model.getListOfReactions()) for text in self._reaction(one)
        ]
        # Events that set nothing change nothing.
        events = [one for one in _all(self.model.getListOfEvents()) if one.getNumEventAssignments()]
        changes = [self._intervention(one) for one in events]
        if not self.species:
            raise value_error("path", "a species that reactions can change in the model", "none")
        for name, value in self.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                got = "none" if math.isnan(value) else value
                raise value_error("path", f"a finite value of {name!r} in the model", got)
        return {
            "species": self.species, "parameters": self.parameters, "reactions": reactions,
            "interventions": changes,
        }  # fmt: skip

    def _refuse(self) -> None:
        model = self.model
        if model.getNumConstraints():
            unsupported("constraints")
        if model.getNumInitialAssignments():
            unsupported(f"the initial assignment of {model.getInitialAssignment(0).getSymbol()!r}")
        if model.isSetConversionFactor():
            unsupported("conversion factors")
        for rule in _all(model.getListOfRules()):
            if rule.isAlgebraic():
                unsupported("algebraic rules")
        if not model.getNumReactions():
            raise value_error("path", "a model with reactions", "none")

    def _quantity(self, name: str, value: float) -> None:
        if name not in self.rules:
            self.parameters[self._name(name)] = float(value)
        elif not self.rules[name].isAssignment():
            self.parameters[self._name(_at_0(name))] = float(value)

    def _add_species(self, species: Any) -> None:
        name = species.getId()
        if species.isSetConversionFactor():
            unsupported(f"the conversion factor of {name!r}")
        if not species.getHasOnlySubstanceUnits():
            self.concentrations[name] = species.getCompartment()
        if name in self.rules:
            if not self.rules[name].isAssignment():
                unsupported(f"the rate rule of the species {name!r}")
            self.concentrations.pop(name, None)  # the rule gives what expressions use
            return
        amount = species.getInitialAmount()
        if species.isSetInitialConcentration():
            size = self.parameters.get(self._name(species.getCompartment()))
            if not isinstance(size, float):
                unsupported(f"an initial concentration of {name!r} in a compartment with a rule")
            amount = species.getInitialConcentration() * size
        if species.getBoundaryCondition():
            self.parameters[self._name(name)] = float(amount)
            return
        if not math.isfinite(amount):
            expected = f"a finite initial amount of {name!r} in the model"
            raise value_error("path", expected, "none" if math.isnan(amount) else amount)
        if not abs(amount - round(amount)) <= 1e-9 * abs(amount) or amount < 0:
            raise value_error("path", f"a whole number of molecules of {name!r}", amount)
        self.species[self._name(name)] = round(amount)

    def _definition(self, name: str, rule: Any) -> Expression:
        tree = self._tree(rule.getMath())
        if rule.isAssignment():
            return tree
        # d/dt of what nothing changes is a line.
        used = {one.name for one in names_in(tree)}
        constant = {key for key, value in self.parameters.items() if isinstance(value, float)}
        if not used <= constant or used & self._assigned():
            unsupported(f"the rate rule of {name!r}, unless its rate is constant")
        slope = Operation("*", (tree, Name(TIME_NAME)))
        return Operation("+", (Name(self._name(_at_0(name))), slope))

    def _assigned(self) -> set[str]:
        return {
            self._name(one.getVariable())
            for event in _all(self.model.getListOfEvents())
            for one in _all(event.getListOfEventAssignments())
        }

    def _name(self, name: str) -> str:
        """Return the name in the network of a species, compartment or parameter."""
        if name not in self.names:
            unsupported(f"the use of {name!r}, which is no species, compartment or parameter")
        return self.names[name]

    def _place(self, name: str) -> Expression:
        known = Name(self._name(name))
        if name in self.concentrations:
            return Operation("/", (known, Name(self._name(self.concentrations[name]))))
        return known

    def _tree(self, node: Any) -> Expression:
        if node is None:
            unsupported("elements that lack their math")
        return tree_of(node, self._place)

    def _reaction(self, reaction: Any) -> list[str]:
        name = reaction.getId()
        if reaction.isSetFast() and reaction.getFast():
            unsupported(f"the fast reaction {name!r}")
        law = reaction.getKineticLaw()
        if law is None or law.getMath() is None:
            unsupported(f"the reaction {name!r} without a kinetic law")
        left = self._side(name, reaction.getListOfReactants())
        right = self._side(name, reaction.getListOfProducts())
        tree = self._tree(law.getMath())
        if not reaction.getReversible():
            return [f"{left} => {right} @ {text_of(tree)}"]
        ways = _both_ways(tree)
        if ways is None:
            unsupported(f"the reversible reaction {name!r}, unless its law is a difference")
        there, back = ways
        return [f"{left} => {right} @ {text_of(there)}", f"{right} => {left} @ {text_of(back)}"]

    def _side(self, reaction: str, references: Any) -> str:
        counts: dict[str, int] = {}
        for one in _all(references):
            name = self._name(one.getSpecies())
            number = one.getStoichiometry() if one.isSetStoichiometry() else 1.0
            varies = one.isSetStoichiometryMath() or (one.getId() and one.getId() in self.rules)
            if varies or number != round(number) or number < 0:
                unsupported(f"a number of {name!r} in {reaction!r} that is not whole, or varies")
            if name in self.species and number:
                counts[name] = counts.get(name, 0) + round(number)
        return " + ".join(f"{n} {name}" for name, n in counts.items()) or "0"

    def _intervention(self, event: Any) -> str:
        trigger = event.getTrigger()
        if trigger is None or trigger.getMath() is None:
            unsupported("events without a trigger")
        parts = [f"when {text_of(self._tree(trigger.getMath()))}"]
        if event.getDelay() is not None and event.getDelay().getMath() is not None:
            parts.append(f"after {text_of(self._tree(event.getDelay().getMath()))}")
        if event.getPriority() is not None and event.getPriority().getMath() is not None:
            parts.append(f"priority {text_of(self._tree(event.getPriority().getMath()))}")
        if trigger.isSetInitialValue() and not trigger.getInitialValue():
            parts.append("from_start")
        if trigger.isSetPersistent() and not trigger.getPersistent():
            parts.append("cancelled")
        if not event.getUseValuesFromTriggerTime():
            parts.append("late")
        trees = {
            one.getVariable(): self._tree(one.getMath())
            for one in _all(event.getListOfEventAssignments())
        }
        assignments = [f"{self._name(name)} = {text_of(self._set(name, trees))}" for name in trees]
        return f"{' '.join(parts)} set {', '.join(assignments)}"

    def _set(self, name: str, trees: dict[str, Expression]) -> Expression:
        """Return what an event that sets names to trees makes of the quantity of a name."""
        if name in self.rules:
            unsupported(f"an event that sets {name!r}, which has a rule")
        if name not in self.concentrations:
            return trees[name]
        # If the event sets the compartment too, the concentration is that in its new size.
        compartment = self.concentrations[name]
        return Operation("*", (trees[name], trees.get(compartment, Name(self._name(compartment)))))


def _names_of(names: list[str]) -> dict[str, str]:
    """Return names of a network for those of a model, and for values at 0 (`_at_0`); all differ."""
    used = set(names) - LEGAL

    def free(name: str) -> str:
        while name in used:
            name += "_"
        used.add(name)
        return name

    found = {name: free(f"{name}_") if name in LEGAL else name for name in names}
    return found | {_at_0(name): free(f"{found[name]}_at_0") for name in names}


def _at_0(name: str) -> str:
    """Return the key of the value of a name at time 0; names of SBML have no spaces."""
    return f"{name} at 0"


def _all(entries: Any) -> list[Any]:
    return [entries.get(i) for i in range(entries.size())]


def _both_ways(tree: Expression) -> tuple[Expression, Expression] | None:
    """Return the two rates whose difference a law is; None if it is none."""
    if not isinstance(tree, Operation):
        return None
    if tree.function == "-" and len(tree.arguments) == 2:
        return tree.arguments[0], tree.arguments[1]
    if tree.function == "*":
        left, right = tree.arguments
        for factor, inside, is_left in ((left, right, True), (right, left, False)):
            ways = _both_ways(inside)
            if ways is not None and not isinstance(factor, Number):
                pairs = [(factor, w) if is_left else (w, factor) for w in ways]
                return Operation("*", pairs[0]), Operation("*", pairs[1])
    return None
