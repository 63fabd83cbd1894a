"""Texts of reaction networks: reactions, expressions, errors with their position, bounds."""

import math
import random

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.processes.networks._bounds import bounds_of
from montezarr.processes.networks._code import Source
from montezarr.processes.networks._expressions import (
    INFIX,
    LOGICAL,
    Name,
    Number,
    Operation,
    source_of,
    text_of,
)
from montezarr.processes.networks._functions import compiled_functions, python_functions
from montezarr.processes.networks._parser import Parser
from montezarr.processes.networks._structure import structure_of

SIR = {
    "species": {"S": 990, "I": 10, "R": 0},
    "reactions": ["S + I -> 2 I @ beta / N", "I -> R @ gamma"],
    "parameters": {"beta": 2.0, "gamma": 1.0, "N": "S + I + R"},
}


def tree_of(text):
    parser = Parser("rate", text)
    tree = parser.expression()
    parser.end()
    return tree


def value_of(tree, **names):
    return eval(source_of(tree, lambda name: name), {**python_functions(), **names})


VALUES = {"A": 3.0, "B": 0.25, "t": 1.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("2 ** 3 ** 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("2 ** -1", 0.5),
        ("8 / 4 / 2 - 1 - 1", -1.0),
        ("-A * B", -0.75),
        ("(A + B) * t", 4.875),
        ("where(A > 2 and not B > 1, 10, 20)", 10.0),
        ("where(A == 3 or B != 3 and A < 0, 1, 2)", 1.0),
        ("where(not A <= 2, 1, 2)", 1.0),
        ("max(A, min(B, t)) + abs(-t)", 4.5),
        ("exp(-A) * sqrt(B) + sin(pi / 2)", math.exp(-3.0) * 0.5 + 1.0),
        ("1.5e2 + .5", 150.5),
        ("A ** B", 3.0**0.25),
        ("A**2 + A**3 + A**4 + A**1", 9.0 + 27.0 + 81.0 + 3.0),
        ("floor(2.5) + ceil(2.5) - log(1) + log10(100)", 7.0),
    ],
)
def test_expressions_have_the_usual_order_of_operations(text, value):
    tree = tree_of(text)
    assert value_of(tree, **VALUES) == pytest.approx(value, rel=1e-15)
    assert tree_of(text_of(tree)) == tree


TWO_NUMBERS = [name for name in INFIX if name not in LOGICAL]
COMPARISONS = [name for name in INFIX if name in LOGICAL and name not in ("and", "or")]


def random_tree(choice, depth, is_number=True):
    if not is_number:
        if depth < 2:
            name, parts = choice.choice(COMPARISONS), (True, True)
        else:
            name, parts = choice.choice([("and", (0, 0)), ("or", (0, 0)), ("not", (0,))])
    elif depth <= 0:
        number = choice.choice([3.0, 0.1, 1 / 3, 1e-20, 2.0**70, 0.1 + 1e-15, math.inf])
        return choice.choice([Name("A"), Name("t"), Number(number), Number(-number)])
    else:
        name = choice.choice([*TWO_NUMBERS, "**", "neg", "neg", "abs", "max", "where"])
        parts = {"neg": (1,), "abs": (1,), "where": (0, 1, 1)}.get(name, (1, 1))
    return Operation(name, tuple(random_tree(choice, depth - 1, bool(part)) for part in parts))


def as_read(tree):
    """Return a tree as the parser makes it, in which a minus is an operation."""
    if isinstance(tree, Number) and tree.value < 0:
        return Operation("neg", (Number(-tree.value),))
    if isinstance(tree, Operation):
        return Operation(tree.function, tuple(map(as_read, tree.arguments)))
    return tree


@pytest.mark.parametrize("seed", range(30))
def test_the_text_of_a_tree_is_read_as_the_tree(seed):
    choice = random.Random(seed)
    for _ in range(20):
        tree = random_tree(choice, choice.randrange(6))
        assert tree_of(text_of(tree)) == as_read(tree), text_of(tree)
    assert value_of(tree_of("min(1e999, A)"), A=3.0) == 3.0


def random_text(choice, depth):
    if depth == 0 or choice.random() < 0.15:
        return choice.choice(["A", "B", "t", "1", "2.5", "0.1"])
    inside = [random_text(choice, depth - 1) for _ in range(3)]
    return choice.choice([
        "({0} + {1})", "{0} - ({1})", "{0} * {1}", "{0} / (1 + abs({1}))", "-{0}", "({0}) ** 2",
        "({0}) ** 3", "({0}) ** 6", "({0}) ** 1.5", "abs({0}) ** {1}", "exp(-abs({0}))", "sin({0})",
        "cos({0} * {1})", "min({0}, {1})", "max({0}, {1})", "where({0} > {1}, {1}, {2})",
        "tanh({0})", "log(1 + abs({0}))", "sqrt(abs({0}))", "cosh(tanh({0}))", "floor({0})",
        "({0}) / ({1})",
    ]).format(*inside)  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_a_bound_is_above_and_below_the_values_at_all_times(seed):
    tree = tree_of(random_text(random.Random(seed), 4))
    structure = structure_of(("A",), ("A -> 0 @ 1",), (("B", None),))
    source = Source(structure)
    low, high = bounds_of(source, tree, "0")
    place = {"A": "s0", "B": "p0", "t": "t"}
    names = {"s0": np.float64(3), "p0": np.float64(0.25), "infinity": np.inf, **python_functions()}
    for start, end in ((0.0, 4.0), (0.5, 0.6), (2.0, 2.0)):
        at = {**names, "t": np.float64(start), "until": np.float64(end)}
        with np.errstate(all="ignore"):
            exec(source.text, at)
            bounds = [eval(end, at) for end in (low, high)]
            for t in np.linspace(start, end, 41):
                found = eval(source_of(tree, place.__getitem__), {**names, "t": np.float64(t)})
                if not np.isnan(found) and not np.isnan(bounds).any():
                    slack = 1e-12 * (1 + abs(found))
                    assert bounds[0] - slack <= found <= bounds[1] + slack


@pytest.mark.parametrize("name", [n for n in python_functions() if n != "tell"])
def test_functions_have_the_same_bits_compiled_and_in_python(name):
    numba = pytest.importorskip("numba")
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    python, compiled = python_functions()[name], compiled_functions()[name]
    two = name in ("f_power", "f_min", "f_max", "f_times")
    numbers = [0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 1e-300, 1e300, 710.0, -750.0, 2.0, 3.0]
    with np.errstate(all="ignore"):
        for a in map(np.float64, numbers):
            for b in map(np.float64, numbers if two else [0.0]):
                arguments = (a, b) if two else (a,)
                one, other = np.float64(python(*arguments)), np.float64(compiled(*arguments))
                assert one == other or (np.isnan(one) and np.isnan(other)), arguments


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("S + I -> 2 I @ beta / (N", 24, "expected ')'"),
        ("S + Q -> I @ beta", 4, "expected a species among S, I, R"),
        ("S -> I @ beta * foo", 16, "expected a species, a parameter or t"),
        ("S -> I @ beta * S", 16, "a rate constant after '->'"),
        ("S -> I", 6, "expected '@' and a rate"),
        ("S I @ beta", 2, "expected '->', '=>' or '<->'"),
        ("2.5 S -> I @ 1", 0, "a whole number of molecules"),
        ("S + -> I @ 1", 4, "the name of a species"),
        ("S -> 9223372036854775808 I @ 1", 5, "fewer than 2**53 molecules"),
        ("0 -> 9007199254740991 I + I @ 1", 26, "fewer than 2**53 molecules in all"),
        ("99 S + 2 I -> 0 @ 1", 3, "at most 100 molecules before '->'"),
        ("S -> I @ sun(3)", 9, "Did you mean 'sin'"),
        ("S => I @ S > 3", 9, "got a condition"),
        ("S => I @ 1 < S < 3", 15, "one comparison"),
        ("S => I @ where(S, 1, 2)", 15, "got a number"),
        ("S => I @ max(1)", 9, "2 arguments of max"),
        ("S -> I @ 1 $", 11, "a number, a name or an operator"),
        ("S -> I @ 1 2", 11, "an operator or the end"),
        ("S <-> I @ 1", 11, "the rate of the way back"),
        ("S -> I @ " + "(" * 99 + "1" + ")" * 99, 74, "at most 64 brackets"),
        ("S -> I @ __import__('os')", 20, "a number, a name or an operator"),
        ("S -> I @ beta.real", 13, "a number, a name or an operator"),
    ],
)
def test_an_error_in_a_reaction_has_its_position(text, place, message):
    with pytest.raises(ArgumentValueError) as caught:
        mz.ReactionNetwork(**{**SIR, "reactions": [text]})
    shown = str(caught.value)
    assert message in shown
    assert shown.startswith("reactions[0]: expected")
    assert f"at position {place}" in shown
    assert shown.splitlines()[-1].index("^") == place + 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("species", {}, "one species or more"),
        ("species", {"S": -1}, "from 0 to"),
        ("species", {"t": 1}, "mean nothing else"),
        ("parameters", {"dt": 1.0}, "mean nothing else, got 'dt'"),
        ("parameters", {"x0": 1.0}, "mean nothing else, got 'x0'"),
        ("species", [("S", 1), ("S", 2)], "each name once"),
        ("parameters", {"S": 1.0}, "names of their own"),
        ("parameters", {"beta": float("nan")}, "parameters['beta']"),
        ("parameters", {"beta": 1.0, "gamma": 1.0, "N": "2 * M", "M": "N"}, "N -> M -> N"),
        ("parameters", {"beta": 1.0, "gamma": 1.0}, "Say what it is"),
        ("reactions", [], "one or more"),
        ("record", ["Q"], "species among"),
        ("record", [], "one or more species"),
        ("method", "fastest", "method"),
        ("output", "both", "output"),
        ("event_limit", 0, "event_limit"),
    ],
)
def test_what_is_wrong_in_a_network_is_named(field, value, message):
    with pytest.raises(ArgumentValueError) as caught:
        mz.ReactionNetwork(**{**SIR, field: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["reaction", "event", "event_time", "n_events", "truncated"])
def test_names_of_variables_of_events_are_no_names_beside_them(name):
    one = {"species": {name: 1}, "reactions": [f"{name} -> 0 @ 1"]}
    assert mz.ReactionNetwork(**one).variables == (name,)
    other = {"species": {"A": 1}, "reactions": [f"A -> 0 @ {name}"], "parameters": {name: 1.0}}
    for arguments in (one, other):
        with pytest.raises(ArgumentValueError, match=f"mean nothing else, got '{name}'"):
            mz.ReactionNetwork(**arguments, output="events")


def test_a_number_stays_a_number_in_a_copy_with_other_parameters():
    network = mz.ReactionNetwork(**SIR)
    assert dict(network.with_parameters(beta=3).parameters)["beta"] == 3.0
    with pytest.raises(ArgumentTypeError, match="beta: expected a finite number, got '2 "):
        network.with_parameters(beta="2 * gamma")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("species", "S"),
        ("species", {"S": 2.5}),
        ("reactions", "A -> B @ 1"),
        ("reactions", [1]),
        ("parameters", 3),
        ("record", "S"),
    ],
)
def test_what_is_of_another_type_is_named(field, value):
    with pytest.raises(ArgumentTypeError, match=field):
        mz.ReactionNetwork(**{**SIR, field: value})


def test_expressions_of_many_definitions_are_refused_before_they_fill_the_memory():
    chain = {f"p{i}": f"p{i - 1} + p{i - 1}" for i in range(1, 40)}
    with pytest.raises(ArgumentValueError, match="at most 10,000 operations"):
        mz.ReactionNetwork(
            species={"A": 1}, reactions=["A -> 0 @ p39"], parameters={"p0": 1, **chain}
        )


def test_propensities_count_combinations_of_reactants():
    network = mz.ReactionNetwork(
        species={"A": 7, "B": 4},
        reactions=["A + B -> 0 @ 2", "2 A -> B @ 2", "3 A -> 0 @ 2", "0 -> A @ 2", "A => B @ 2"],
    )
    at = {"A": np.float64(7), "B": np.float64(4)}
    found = [value_of(tree, **at) for tree in network.structure.whole_propensities]
    assert found == [2 * 7 * 4, 2 * math.comb(7, 2), 2 * math.comb(7, 3), 2, 2]
    assert network.stoichiometry.tolist() == [[-1, -2, -3, 1, -1], [-1, 1, 0, 0, 1]]


def test_what_no_reaction_changes_is_computed_once():
    structure = mz.ReactionNetwork(**SIR).structure
    assert [text_of(tree) for tree in structure.constants] == ["beta / (S + I + R)"]
    assert structure.is_sure == (True, True)
    assert structure.affected(1) == (0, 1)
    open_one = mz.ReactionNetwork(**{**SIR, "reactions": [*SIR["reactions"], "0 -> S @ gamma"]})
    assert open_one.structure.is_sure == (False, True, True)


def test_equations_and_cards_say_what_the_network_is():
    network = mz.ReactionNetwork(**SIR)
    assert network.to_equations().splitlines() == [
        "a1 = beta / (S + I + R) * S * I", "a2 = gamma * I",
        "dS/dt = -a1", "dI/dt = a1 - a2", "dR/dt = a2",
    ]  # fmt: skip
    shown = str(network)
    for part in ("S + I -> 2 I @ beta / N", "S = 990", "N = S + I + R", "β = 2"):
        assert part in shown
    assert "2 I" in network._repr_html_()
    assert eval(repr(network), {"ReactionNetwork": mz.ReactionNetwork}) == network
