"""Models in SBML: the discrete stochastic models test suite, what is read, what is refused."""

from pathlib import Path

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.errors import ArgumentValueError, SamplerError

DSMTS = Path(__file__).parent / "data" / "dsmts"
MODELS = ["003-01", "002-09", "002-01", "001-01", "001-03", "002-02", "004-01"]
PATHS = 10_000

pytest.importorskip("libsbml")


@pytest.mark.parametrize("method", ["direct", "next_reaction"])
@pytest.mark.parametrize(
    "model",
    [*MODELS[:1], *(pytest.param(model, marks=pytest.mark.slow) for model in MODELS[1:])],
)
def test_models_of_the_stochastic_test_suite_have_their_exact_moments(model, method):
    network = mz.ReactionNetwork.from_sbml(DSMTS / f"dsmts-{model}.xml", method=method)
    tables = [
        np.genfromtxt(DSMTS / f"dsmts-{model}-{kind}.csv", delimiter=",", skip_header=1).T
        for kind in ("mean", "sd")
    ]
    ds = mz.simulate(network, n_paths=PATHS, times=tables[0][0], seed=20)
    for mean, sd, name in zip(tables[0][1:], tables[1][1:], network.variables, strict=True):
        x = ds[name].values.astype(float)
        moving = sd > 0
        assert (x[:, ~moving] == mean[~moving]).all()
        x, mean, sd = x[:, moving], mean[moving], sd[moving]
        z = np.sqrt(PATHS) * (x.mean(axis=0) - mean) / sd
        squares = (x - mean) ** 2
        error = np.sqrt(2 / PATHS) * sd**2
        if model == "001-03":
            error = squares.std(axis=0) / np.sqrt(PATHS)
        y = (x.var(axis=0, ddof=1) - sd**2) / error
        # Of 50 times (the seed is fixed), more than 2 are outside with a probability below 0.1 %.
        assert (np.abs(z) >= 3).sum() <= 2
        assert (np.abs(y) < 5).all()


HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfFunctionDefinitions><functionDefinition id="twice"><math
 xmlns="http://www.w3.org/1998/Math/MathML"><lambda><bvar><ci>z</ci></bvar><apply><times/><cn>2</cn>
 <ci>z</ci></apply></lambda></math></functionDefinition></listOfFunctionDefinitions>
<listOfCompartments><compartment id="cell" size="2" constant="true"/></listOfCompartments>
<listOfSpecies>
<species id="A" compartment="cell" initialConcentration="50" hasOnlySubstanceUnits="false"
 boundaryCondition="false" constant="false"/>
<species id="t" compartment="cell" initialAmount="7" hasOnlySubstanceUnits="true"
 boundaryCondition="false" constant="false"/>
<species id="F" compartment="cell" initialAmount="2.5" hasOnlySubstanceUnits="true"
 boundaryCondition="true" constant="false"/></listOfSpecies>
<listOfParameters><parameter id="k" value="0.5" constant="false"/>
<parameter id="total" constant="false"/>
<parameter id="line" value="1" constant="false"/></listOfParameters>
"""
MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'
REACTION = """<reaction id="{id}" reversible="{reversible}" fast="{fast}"><listOfReactants>
<speciesReference species="A" stoichiometry="{number}" constant="true"/></listOfReactants>
<listOfProducts><speciesReference species="t" stoichiometry="1" constant="true"/>
<speciesReference species="F" stoichiometry="1" constant="true"/></listOfProducts>
<kineticLaw>{law}<listOfLocalParameters><localParameter id="k" value="3"/></listOfLocalParameters>
</kineticLaw></reaction>"""
LAW = "<apply><times/><apply><ci>twice</ci><ci>k</ci></apply><ci>A</ci><ci>cell</ci></apply>"
RULES = (
    '<assignmentRule variable="total">'
    + MATH.format("<apply><plus/><ci>t</ci><ci>F</ci></apply>")
    + '</assignmentRule><rateRule variable="line">'
    + MATH.format("<apply><times/><cn>2</cn><ci>k</ci></apply>")
    + "</rateRule>"
)
EVENT = """<event id="e" useValuesFromTriggerTime="true"><trigger initialValue="true"
 persistent="false">{trigger}</trigger><priority>{priority}</priority><delay>{delay}</delay>
<listOfEventAssignments><eventAssignment variable="A">{value}</eventAssignment>
</listOfEventAssignments></event>"""
GEQ = "<apply><geq/><ci>t</ci><cn>9</cn></apply>"


def written(tmp_path, rules=RULES, law=LAW, events="", extra="", **options):
    options = {"id": "R1", "reversible": "false", "fast": "false", "number": "1", **options}
    reaction = REACTION.format(law=MATH.format(law), **options)
    text = HEAD + (f"<listOfRules>{rules}</listOfRules>" if rules else "") + extra
    text += f"<listOfReactions>{reaction}</listOfReactions>"
    text += (f"<listOfEvents>{events}</listOfEvents>" if events else "") + "</model></sbml>"
    path = tmp_path / "model.xml"
    path.write_text(text, encoding="utf-8")
    return path


def event(delay="<cn>2</cn>"):
    parts = {"trigger": GEQ, "priority": "<cn>1</cn>", "delay": delay, "value": "<cn>3</cn>"}
    return EVENT.format(**{name: MATH.format(math) for name, math in parts.items()})


def test_amounts_names_rules_and_functions_are_read(tmp_path):
    network = mz.ReactionNetwork.from_sbml(written(tmp_path, events=event()), record=["t_"])
    assert dict(network.species) == {"A": 100, "t_": 7}
    values = dict(network.parameters)
    assert values["F"] == 2.5
    assert values["total"] == "t_ + F"
    assert values["line"] == "line_at_0 + 2 * k * t"
    (reaction,) = network.reactions
    assert reaction.startswith("1 A => 1 t_ @ 2 * ")
    assert reaction.endswith("* (A / cell) * cell")
    assert network.interventions == ("when t_ >= 9 after 2 priority 1 cancelled set A = 3 * cell",)
    ds = mz.simulate(network, n_paths=4000, times=[0.0, 0.1], seed=1)
    share = 1 - np.exp(-6 * 0.1)
    x = ds.t_.values[:, 1] - 7
    assert abs(x.mean() - 100 * share) < 4 * np.sqrt(100 * share * (1 - share) / 4000)


TIME = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol>'


def changed_in(path, changes):
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


CONCENTRATION = [(
    'initialAmount="2.5" hasOnlySubstanceUnits="true"',
    'initialConcentration="1" hasOnlySubstanceUnits="false"',
)]  # fmt: skip
"""Changes that make of the species F, which reactions do not change, a concentration of 1."""


def set_at_5(*assignments):
    trigger = MATH.format(f"<apply><geq/>{TIME}<cn>5</cn></apply>")
    listed = "".join(
        f'<eventAssignment variable="{name}">{MATH.format(math)}</eventAssignment>'
        for name, math in assignments
    )
    if listed:
        listed = f"<listOfEventAssignments>{listed}</listOfEventAssignments>"
    return (
        '<event useValuesFromTriggerTime="true"><trigger initialValue="true" persistent="true">'
        f"{trigger}</trigger>{listed}</event>"
    )


def test_an_event_sets_the_concentration_of_a_species_that_reactions_do_not_change(tmp_path):
    path = written(tmp_path, law="<ci>F</ci>", events=set_at_5(("F", "<cn>5</cn>")))
    network = mz.ReactionNetwork.from_sbml(changed_in(path, CONCENTRATION))
    values = dict(network.parameters)
    assert values["F"] == 2.0
    assert values["total"] == "t_ + F / cell"
    assert network.reactions == ("1 A => 1 t_ @ F / cell",)
    assert network.interventions == ("when t >= 5 set F = 5 * cell",)
    ds = mz.simulate(network, n_paths=1000, times=[0.0, 5.0, 10.0], seed=3)
    x = ds.t_.values[:, 1:] - 7
    assert (np.abs(x.mean(axis=0) - [5, 30]) < 4 * np.sqrt(np.array([5, 30]) / 1000)).all()


@pytest.mark.parametrize("name", ["A", "F"])
def test_an_event_that_sets_the_size_too_sets_the_concentration_in_the_new_size(name, tmp_path):
    sizes = "<apply><times/><cn>2</cn><ci>cell</ci></apply>"
    events = set_at_5(("cell", sizes), (name, "<cn>3</cn>"))
    size = ('size="2" constant="true"', 'size="2" constant="false"')
    path = changed_in(written(tmp_path, events=events), [*CONCENTRATION, size])
    network = mz.ReactionNetwork.from_sbml(path)
    expected = f"when t >= 5 set cell = 2 * cell, {name} = 3 * (2 * cell)"
    assert network.interventions == (expected,)


def test_names_that_get_an_underscore_stay_apart(tmp_path):
    path = written(tmp_path, law="<apply><times/><ci>t</ci><ci>t_</ci><ci>line</ci></apply>")
    more = "".join(
        f'<parameter id="{name}" value="{value}" constant="true"/>'
        for name, value in {"t_": 5, "line_at_0": 8}.items()
    )
    text = path.read_text(encoding="utf-8").replace("</listOfParameters>", more + "{}", 1)
    path.write_text(text.format("</listOfParameters>"), encoding="utf-8")
    network = mz.ReactionNetwork.from_sbml(path)
    assert dict(network.species) == {"A": 100, "t__": 7}
    values = dict(network.parameters)
    assert (values["t_"], values["line_at_0"], values["line_at_0_"]) == (5.0, 8.0, 1.0)
    assert values["line"] == "line_at_0_ + 2 * k * t"
    assert network.reactions == ("1 A => 1 t__ @ t__ * t_ * line",)


def test_a_reversible_reaction_is_two_where_its_law_is_a_difference(tmp_path):
    law = "<apply><times/><ci>cell</ci><apply><minus/><ci>A</ci><ci>t</ci></apply></apply>"
    network = mz.ReactionNetwork.from_sbml(written(tmp_path, law=law, reversible="true"))
    assert network.reactions == ("1 A => 1 t_ @ cell * (A / cell)", "1 t_ => 1 A @ cell * t_")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"fast": "true"}, "the fast reaction 'R1'"),
        ({"reversible": "true"}, "the reversible reaction 'R1'"),
        ({"number": "1.5"}, "a number of 'A' in 'R1' that is not whole"),
        ({"law": "<apply><factorial/><ci>A</ci></apply>"}, "factorial"),
        (
            {"rules": f"<algebraicRule>{MATH.format('<ci>k</ci>')}</algebraicRule>" + RULES},
            "algebraic rules",
        ),
        (
            {"rules": RULES.replace("<cn>2</cn>", "<ci>A</ci>")},
            "the rate rule of 'line', unless its rate is constant",
        ),
        (
            {"extra": f"<listOfConstraints><constraint>{MATH.format(GEQ)}</constraint>"
             "</listOfConstraints>"},
            "constraints",
        ),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_its_name(changed, named, tmp_path):
    with pytest.raises(ArgumentValueError) as caught:
        mz.ReactionNetwork.from_sbml(written(tmp_path, **changed))
    assert str(caught.value).startswith("path: expected SBML without")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [(("initialAmount=\"7\"", ""), "a finite initial amount of 't' in the model, got 'none'"),
     (("initialAmount=\"7\"", "initialAmount=\"INF\""), "a finite initial amount of 't'")],
)  # fmt: skip
def test_an_initial_amount_that_is_no_number_is_refused_by_its_name(changed, message, tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace(*changed), encoding="utf-8")
    with pytest.raises(ArgumentValueError, match=message):
        mz.ReactionNetwork.from_sbml(path)


def test_negative_and_long_numbers_keep_their_values(tmp_path):
    law = "<apply><power/><cn>-3</cn><cn>2</cn></apply><cn>0.12345678901234566</cn>"
    network = mz.ReactionNetwork.from_sbml(written(tmp_path, law=f"<apply><times/>{law}</apply>"))
    assert network.reactions == ("1 A => 1 t_ @ (-3) ** 2 * 0.12345678901234566",)


def test_a_file_that_is_no_sbml_is_refused(tmp_path):
    path = tmp_path / "model.xml"
    path.write_text("<sbml><model></sbml>", encoding="utf-8")
    with pytest.raises(ArgumentValueError, match="a valid SBML model"):
        mz.ReactionNetwork.from_sbml(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "an SBML file that can be read, got .*model.xml: No such file"),
        (b"<sbml>\xff</sbml>", "an SBML file in UTF-8, got .*model.xml"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(data, message, tmp_path):
    path = tmp_path / "model.xml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ArgumentValueError, match=message):
        mz.ReactionNetwork.from_sbml(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert dict(mz.ReactionNetwork.from_sbml(path).species) == {"A": 100, "t_": 7}


VERSION_2 = [
    ("level3/version1", "level3/version2"), ('version="1"><model', 'version="2"><model'),
    (' fast="false"', ""),
]  # fmt: skip
FIXED = [*VERSION_2, ('boundaryCondition="false"', 'boundaryCondition="true"')]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(' initialAmount="2.5"', "")], "a finite value of 'F' in the model, got 'none'"),
        ([('"2.5"', '"INF"')], "a finite value of 'F' in the model, got inf"),
        (FIXED, "a species that reactions can change in the model, got 'none'"),
    ],
)
def test_a_value_that_a_model_lacks_is_named(changes, message, tmp_path):
    path = changed_in(written(tmp_path, events=set_at_5() if changes is FIXED else ""), changes)
    with pytest.raises(ArgumentValueError, match=message):
        mz.ReactionNetwork.from_sbml(path)


def test_an_event_that_sets_nothing_changes_nothing(tmp_path):
    path = changed_in(written(tmp_path, events=set_at_5()), VERSION_2)
    assert mz.ReactionNetwork.from_sbml(path).interventions == ()


def test_a_name_of_what_is_no_quantity_is_refused(tmp_path):
    other = REACTION.format(
        law=MATH.format("<ci>R1</ci>"), id="R2", reversible="false", fast="false", number=1
    )
    end = "</listOfReactions>"
    path = changed_in(written(tmp_path), [(end, other + end), *VERSION_2])
    with pytest.raises(ArgumentValueError, match="the use of 'R1', which is no species"):
        mz.ReactionNetwork.from_sbml(path)


# --- interventions -------------------------------------------------------------------------------

STORY = {
    "species": {"X": 0, "Y": 3},
    "reactions": ["0 -> X @ a", "X -> 0 @ m"],
    "parameters": {"a": 1.0, "m": 0.1},
    "interventions": [
        "when t > 25 set X = 50, a = 2 * a",
        "when X >= 12 and t > 3 after 2 cancelled late set Y = X",
        "when 2 - t / 10 < -1 priority 1 set Y = 9",
        "when t >= 30 priority 2 set Y = 8",
        "when X >= 0 from_start set Y = 4",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["a", "a * (1 + 0 * t)"], ids=["direct", "thinning"])
def test_interventions_come_in_time_and_in_order(rate):
    network = mz.ReactionNetwork(
        **{**STORY, "reactions": [f"0 -> X @ {rate}", "X -> 0 @ m"]}, output="events"
    )
    ds = mz.simulate(network, n_paths=400, times=[0.0, 50.0], seed=2)
    codes, times, y = ds.reaction.values, ds.event_time.values, ds.Y.values
    assert set(times[codes == 2]) == {np.nextafter(25.0, 26.0)}
    assert (ds.X.values[codes == 2] == 50).all()
    assert set(times[codes == 6]) == {0.0}
    assert (codes[:, 0] == 6).all()
    assert set(times[codes == 4]) <= {30.0, np.nextafter(30.0, 31.0)}
    assert set(times[codes == 5]) == {30.0}
    for path in range(400):
        order = codes[path][(codes[path] == 4) | (codes[path] == 5)].tolist()
        assert order == [5, 4]
    late = codes == 3
    assert (y[late] == ds.X.values[late]).all()
    assert (y[late] >= 12).all()
    grid, x0 = mz.TimeGrid.of(10, 5.0), network.check_x0(None, "int64")
    found = [
        network.sample_events(mz.Draws.of(2, n=4, implementation=which), grid, x0, 300)
        for which in ("kernel", "reference")
    ]
    assert np.array_equal(found[0][1], found[1][1])
    for name, array in found[0][0].items():
        for j, count in enumerate(found[0][1]):
            assert np.array_equal(array[:count, j], found[1][0][name][:count, j])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at t > 3 set X = 1", "expected 'when' and a condition at position 0"),
        ("when t > 3 set Q = 1", "a species, or a parameter that is a number at position 15"),
        ("when t > 3", "expected 'set'"),
        ("when sin(t) > 0 set X = 1", "in the form 't >= 5' at position 5"),
        ("when X set X = 1", "expected a condition at position 5, got a number"),
    ],
)
def test_an_error_in_an_intervention_has_its_position(text, message):
    with pytest.raises(ArgumentValueError) as caught:
        mz.ReactionNetwork(**{**STORY, "interventions": [text]})
    assert message in str(caught.value)


def test_an_intervention_comes_where_its_line_in_the_time_is_met():
    times = {
        "17.6 * (t - 14.8) >= 3.2": 3.2 / 17.6 + 14.8,
        "not 3.1 - 0.7 * t >= X / 3": 3.1 / 0.7,
        "t * 1.1 == 7.7": 7.0,
    }
    network = mz.ReactionNetwork(
        species={"X": 0, "B": 1}, reactions=["X -> 0 @ 1"], output="events",
        interventions=[f"when {condition} set B = 7" for condition in times],
    )  # fmt: skip
    draws = mz.Draws.of(1, n=1, implementation="reference")
    grid, x0 = mz.TimeGrid.of(1, 20.0), network.check_x0(None, "int64")
    found, counts = network.sample_events(draws, grid, x0, 3)
    assert counts.tolist() == [3]
    assert found["reaction"][:, 0].tolist() == [2, 3, 1]
    assert found["event_time"][:, 0] == pytest.approx(sorted(times.values()), rel=1e-14)


AT_ONCE = "when A >= 1 from_start set A = 0", "when A < 1 set A = 1"
IN_TURN = "when A >= 1 after 1e-9 from_start set A = 0", "when A < 1 after 1e-9 set A = 1"


@pytest.mark.parametrize(
    ("interventions", "message"),
    [
        (AT_ONCE, "at most 10,000 at one time, got more at t=0"),
        (IN_TURN, "at most 15,000 events on a path"),
    ],
)
@pytest.mark.parametrize("output", ["grid", "events"])
def test_interventions_that_set_each_other_off_end_with_an_error(interventions, message, output):
    network = mz.ReactionNetwork(
        species={"A": 1}, reactions=["0 => A @ 0"], interventions=interventions, output=output,
        event_limit=15_000,
    )  # fmt: skip
    draws = mz.Draws.of(1, n=1, implementation="reference")
    arguments = draws, mz.TimeGrid.of(1, 1.0), network.check_x0(None, "int64")
    with pytest.raises(ArgumentValueError, match=message):
        network.sample(*arguments) if output == "grid" else network.sample_events(*arguments, 9)


@pytest.mark.slow
def test_interventions_that_set_each_other_off_end_in_compiled_code():
    network = mz.ReactionNetwork(species={"A": 1}, reactions=["0 => A @ 0"], interventions=AT_ONCE)
    with pytest.raises(SamplerError, match="'when A >= 1 from_start set A = 0': do they set each"):
        mz.simulate(network, n_paths=2, T=1, dt=1.0, seed=1).A.compute()


def test_an_intervention_that_sets_half_a_molecule_is_named():
    network = mz.ReactionNetwork(**{**STORY, "interventions": ["when t >= 1 set X = 0.5"]})
    with pytest.raises(SamplerError, match=r"intervention 'when t >= 1 set X = 0.5': .* got 0.5"):
        mz.simulate(network, n_paths=2, T=2, dt=1.0, seed=1).X.compute()
