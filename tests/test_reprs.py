"""What objects say of themselves: what a person wants to read, aligned, short, and escaped."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.text import Card, Formula, duration, formula, speed
from montezarr.processes._built_in import built_in_processes
from montezarr.run._texts import grid_text, seed_text

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
EVIL = "<script>alert('x')</script>"
VOID = {"br", "img", "hr"}


class Own:
    def __init__(self, **parameters):
        self.__dict__.update(parameters)

    def sample_path(self, T, x0, rng):
        if rng.random() < 0.1:
            raise ValueError(f"no luck {EVIL}")
        return rng.normal(size=T + 1)


class Checker(HTMLParser):
    """Parses HTML and holds what a page must not have: open tags, scripts, things from outside."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "class"}
        assert not any("url(" in (value or "") for _, value in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(obj):
    """Return the visible text of an object's HTML, which has to be well made and harmless."""
    checker = Checker()
    checker.feed(obj._repr_html_())
    checker.close()
    assert not checker.open
    assert checker.tags <= {"div", "dl", "dt", "dd", "table", "tr", "th", "td", "i", "sub", "sup"}
    return checker.text


def check_text(text):
    lines = text.splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 100
    assert not any(line != line.rstrip() for line in lines)
    return text


def engine_result(**options):
    return mz.MonteCarloEngine(GBM).simulate(2000, 12, x0=100.0, seed=7, **options)


def last_snapshot(statistics=("mean", "max")):
    ds = mz.simulate(GBM, 4096, 2, x0=100.0, seed=1)
    payoff = ds.x.isel(time=-1).rename("payoff")
    return list(mz.stream(payoff, list(statistics)))[-1]


THINGS = {
    "process": lambda: GBM,
    "recipe": lambda: mz.simulate(GBM, 10, 5, seed=1).mz.recipe,
    "plan": lambda: mz.plan(mz.simulate(GBM, 10**8, 252, seed=1), ["mean", "q05"]),
    "endless plan": lambda: mz.plan(mz.simulate(GBM, None, 252, seed=1)),
    "result": engine_result,
    "snapshot": last_snapshot,
    "long snapshot": lambda: last_snapshot(
        [mz.Quantile(np.arange(1, 10) / 10), mz.Histogram(edges=range(50)), mz.Moments(), "max"]
    ),
    "accessor": lambda: mz.simulate(GBM, 10, 5, seed=1).mz,
    "array accessor": lambda: mz.simulate(GBM, 10, 5, seed=1).x.mz,
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_text_is_short_and_html_is_well_made(thing):
    thing = thing()
    check_text(str(thing))
    assert read(thing)


@pytest.mark.parametrize("kind", built_in_processes().values(), ids=built_in_processes())
def test_every_process_shows_its_equation_and_its_parameters(kind):
    assert kind.equation or kind is mz.ReactionNetwork  # of which each has its own reactions
    for process in kind.examples():
        text = check_text(str(process))
        for line in kind.equation.splitlines():
            assert line in text
        seen = read(process)
        assert kind.__name__ in seen
        if isinstance(process, mz.ReactionNetwork):  # its parameters are in three mappings
            for name, value in (*process.species, *process.parameters):
                assert f"{name} = {value}" in text
            continue
        for name in process.to_dict().keys() - {"name"}:
            if getattr(process, name) is not None:
                letter = {"mu": "μ", "sigma": "σ", "kappa": "κ", "theta": "θ", "xi": "ξ"}
                letter |= {"beta": "β", "gamma": "γ"}
                assert f"{letter.get(name, 'ρ' if name == 'rho' else name)} = " in text


def test_a_parameter_named_after_a_letter_has_the_symbol_of_the_equation():
    assert str(GBM).splitlines()[1:] == [
        "  equation    dX = μ X dt + σ X dW",
        "  parameters  μ = 0.05, σ = 0.2",
    ]
    seen = GBM._repr_html_()
    assert "d<i>X</i> = <i>μ</i> <i>X</i> d<i>t</i> + <i>σ</i> <i>X</i> d<i>W</i>" in seen


def test_the_repr_of_a_process_is_still_the_call_that_makes_it():
    for process in (GBM, *mz.MarkovChain.examples()):
        assert eval(repr(process), {**vars(mz)}) == process
    large = mz.MarkovChain(transition=np.eye(200), states=range(200))
    assert len(repr(large)) < 100
    assert "200 × 200 numbers" in check_text(str(large))


def test_a_process_of_ones_own_falls_back_to_its_name_and_parameters():
    class Pull(mz.Process):
        def sample(self, draws, grid, x0):
            return draws.gaussian_recursion(np.ones((3, grid.T)), x0)

    assert str(Pull()) == "Pull"
    assert read(Pull()) == "Pull"
    ds = mz.simulate(Own(rate=2, level=np.float32(0.5), _hidden=1), 100, 3, seed=2)
    assert "rate = 2, level = 0.5" in str(mz.plan(ds))
    assert "hidden" not in str(mz.plan(ds))
    assert str(ds.mz.recipe).startswith("Recipe of Own\n")
    assert "yours, with the digest" in str(ds.mz.recipe)


def test_the_recipe_is_the_attribute_and_reads_well():
    ds = mz.simulate(GBM, 100, 252, x0=100.0, dt=1 / 252, seed=[3, 4], keep=21)
    recipe = ds.mz.recipe
    assert dict(recipe) == recipe.to_dict() == json.loads(ds.attrs["montezarr"])
    assert len(recipe) == len(dict(recipe))
    text = str(recipe)
    for part in (
        "dX = μ X dt",
        "σ = 0.2",
        "from 0 to 1; 13 of 253 times kept",
        "[3, 4]",
        "x (float",
    ):
        assert part in text
    assert recipe.fingerprint in text
    assert ds.x.mz.recipe == recipe
    assert (ds.x.isel(time=-1) ** 2).mz.recipe == recipe


def test_the_recipe_of_a_store_reads_the_same(tmp_path):
    ds = mz.simulate(GBM, 100, 12, x0=100.0, seed=3)
    assert str(ds.mz.write(tmp_path / "a.zarr").mz.recipe) == str(ds.mz.recipe)


@pytest.mark.parametrize(
    ("grid", "keep", "text"),
    [
        ({"T": 1, "dt": 0.5}, None, "1 step of 0.5, from 0 to 0.5"),
        ({"T": 2000, "dt": 1.0}, [0, 5], "2,000 steps of 1, from 0 to 2000; 2 of 2,001 times kept"),
        ({"times": [0.0, 0.5, 3.0]}, None, "2 steps, from 0 to 3, as given"),
        ({"times": "no"}, None, "{'times': 'no'}"),
        ({"T": 10**400, "dt": 1.0}, None, "{'T': 1000"),
        ([], None, "[]"),
    ],
)
def test_times_in_words(grid, keep, text):
    assert grid_text(grid, keep).startswith(text)


def test_seeds_in_words():
    assert seed_text({"entropy": "42"}) == "42"
    assert seed_text({"entropy": ["1", "2"], "spawn_key": ["7"]}) == "[1, 2], spawn_key ['7']"
    assert seed_text(None) == "None"


def test_labels_stand_beside_their_variable():
    chain = mz.MarkovChain(transition=np.eye(6), states=list("abcdef"))
    recipe = mz.simulate(chain, 10, 2, x0="a", seed=1).mz.recipe
    assert "x (int32: a, b, c, d and 2 more)" in str(recipe)


def hostile(value):
    """Return a Dataset whose recipe has `value` wherever a text may stand."""
    ds = mz.simulate(GBM, 10, 5, seed=1)
    recipe = json.loads(ds.attrs["montezarr"])
    recipe |= {
        "process": {"name": value, value if isinstance(value, str) else "p": value, "mu": value},
        "sampler": value,
        "x0": {"x": value, "y": [value]},
        "grid": {"T": value, "dt": value},
        "keep": [value],
        "seed": {"entropy": value, "spawn_key": value},
        "variables": [{"name": value, "dtype": value, "labels": [value]}],
        "code": value,
        "options": value,
    }
    return ds.assign_attrs(montezarr=json.dumps(recipe))


@pytest.mark.parametrize(
    "value",
    [
        EVIL,
        "a\x1b[31m\nb\u202ec",
        "x" * 10_000,
        None,
        [],
        [[[[[1]]]]],
        {},
        10**400,
        -1,
        1e999,
        True,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_recipe_of_somebody_else_is_text_and_no_more(value):
    ds = hostile(value)
    for thing in (ds.mz.recipe, ds.mz):
        text = check_text(str(thing))
        assert text.replace("\n", "").isprintable()
        seen = read(thing)
        assert "<script" not in thing._repr_html_()
        if value == EVIL:
            assert EVIL in seen
            assert html.escape(EVIL) in thing._repr_html_()


def test_names_and_messages_of_the_user_are_escaped():
    process = Own(**{"label": EVIL, "<b>": 1})
    with pytest.warns(mz.MaskedPathsWarning):
        result = mz.MonteCarloEngine(process).simulate(100, 5, seed=2, on_error="mask")
    assert "no luck" in read(result)
    assert EVIL in read(result)
    assert f"label = {EVIL}" in read(mz.plan(result.dataset))
    payoff = mz.simulate(GBM, 2048, 2, seed=1).x.isel(time=-1).rename(EVIL)
    assert f"{EVIL}_mean" in read(list(mz.stream(payoff, "mean"))[-1])
    (kind,) = [type("<i>Evil</i>", (Own,), {})]
    assert "<i>Evil</i>: 10 paths" in read(mz.plan(mz.simulate(kind(), 10, 3, seed=3)))


def test_a_plan_says_what_where_and_what_it_costs():
    ds = mz.simulate(GBM, 10**8, 252, x0=100.0, dt=1 / 252, seed=42)
    with mz.backend("threads", n_jobs=2):
        plan = mz.plan(ds, "mean")
    text, seen = str(plan), read(plan)
    for part in (
        "GeometricBrownianMotion: 100,000,000 paths of 252 steps, 253 times kept",
        "dX = μ X dt + σ X dW, μ = 0.05, σ = 0.2",
        "threads (asked for", "2 workers",
        f"{plan.chunks:,} of {plan.chunk_paths:,} paths",
        "on one core", " on 2",
        "per worker", "in a store", "block by block",
    ):  # fmt: skip
        assert part in re.sub(r"\s+", " ", text)
        assert part in seen
    label = re.compile(r" {3,}|  (?:\S+ )*\S+ {2,}")
    assert len({label.match(line).end() for line in text.splitlines()[1:]}) == 1


def test_a_result_says_what_it_holds_and_where_it_came_from():
    result = engine_result(parallel=True, backend="threads", n_jobs=2)
    for text in (str(result), read(result)):
        for part in (
            "2,000 paths of GeometricBrownianMotion", "2,000 paths × 13 times, 203.1 KiB",
            "in memory", "threads (", "2 workers", "paths/s", "σ = 0.2",
        ):  # fmt: skip
            assert part in text
    heston = mz.MonteCarloEngine(mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9))
    assert "10 paths × 4 times × 2 variables" in str(heston.simulate(10, 3, seed=1))


def test_a_snapshot_shows_estimates_with_errors_first_and_names_the_rest():
    snapshot = last_snapshot(["max", "mean", mz.Quantile([0.25, 0.75])])
    seen, text = read(snapshot), str(snapshot)
    ds = snapshot.dataset
    for name in ("payoff_mean", "payoff_mean_cs_low"):
        assert f"{ds[name].item():.6g}" in seen
        assert f"{ds[name].item():.6g}" in text
    assert f"{ds.payoff_mean_se.item():.2g}" in seen
    assert "payoff_quantile[quantile=0.25]" in seen
    assert "payoff_quantile[quantile=0.75]" in text
    assert seen.index("payoff_mean") < seen.index("payoff_max")
    assert "4,096 paths" in seen
    assert "stopped" in seen
    assert "all paths" in seen
    assert re.search("also .*payoff_max", text)


def test_a_large_result_of_a_snapshot_is_shown_by_its_dimensions():
    ds = mz.simulate(GBM, 2048, 30, x0=100.0, seed=1)
    snapshot = next(iter(mz.stream(ds, "mean")))
    assert "x_mean(time: 31)" in read(snapshot)
    assert "to go" in read(snapshot)
    assert "also x_mean" in str(snapshot)


def test_a_verification_and_a_fit_are_tables(tmp_path):
    path = tmp_path / "a<b>.zarr"
    mz.simulate(GBM, 2000, 12, x0=100.0, seed=3).mz.write(path)
    found = mz.verify(path)
    assert "intact" in read(found)
    assert "a<b>.zarr" in read(found)
    chunk = max(path.rglob("c/*/*"), key=lambda file: file.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:-1])
    damaged = mz.verify(path)
    assert str(damaged.problems[0]) in read(damaged)
    ou = mz.OrnsteinUhlenbeck(theta=0.5, mu=1.0, sigma=0.3)
    fit = ou.fit(mz.simulate(ou, 1, 200, seed=1).x[0].values)
    assert f"{fit.process.sigma:.6g}" in read(fit)
    assert f"{fit.standard_errors['theta']:.2g}" in read(fit)
    assert "transition[1, 0]" in read(mz.MarkovChain.fit(list("abab" * 5)))
    assert "4 × 4 numbers" in read(mz.MarkovChain.fit(list("abcd" * 5)))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Xₖ₊₁ = x²", "<i>X</i><sub><i>k</i>+1</sub> = <i>x</i><sup>2</sup>"),
        ("d⟨W, Z⟩", "d⟨<i>W</i>, <i>Z</i>⟩"),
        ("Poisson(λ)", "Poisson(<i>λ</i>)"),
        ("μ = 1e-05", "<i>μ</i> = 1e-05"),
        ("a < b & c", "<i>a</i> &lt; <i>b</i> &amp; <i>c</i>"),
    ],
)
def test_mathematics_is_set(text, made):
    assert re.sub(' style="[^"]*"', "", formula(text)) == made


def test_durations_and_speeds_have_the_units_that_a_person_uses():
    seconds = [
        0,
        2e-6,
        0.5,
        1,
        119,
        119.99,
        3600,
        7199.9,
        86_400,
        10**6,
        float("inf"),
        float("nan"),
    ]
    assert [duration(s) for s in seconds] == [
        "0 µs", "2 µs", "500 ms", "1 s", "119 s", "2 min 0 s", "60 min 0 s", "2 h 0 min",
        "24 h 0 min", "11 days 14 h", "unknown", "unknown",
    ]  # fmt: skip
    assert [speed(v) for v in (0.5, 123.4, 1_234_567.0)] == [
        "0.5 paths/s", "123 paths/s", "1,230,000 paths/s",
    ]  # fmt: skip


def test_a_card_cuts_what_is_too_long():
    rows = [(f"row {i}", "word " * 200) for i in range(40)]
    table = [("name", "value"), *((f"n{i}", str(i)) for i in range(40))]
    check_text(Card("t" * 300, rows, table).text())
    card = Card("title", [("", Formula("x"))], table, note="end")
    assert "and 28 more" in card.text()
    assert "and 28 more" in card.html()
    assert "n12" not in card.html()


def test_what_prints_as_a_table_is_one_line_in_a_message():
    with pytest.raises(mz.ArgumentTypeError) as error:
        mz.reduce(engine_result(), "mean")
    assert "\n" not in str(error.value)
    assert "got montezarr.SimulationResult: 2,000 paths" in str(error.value)


def test_a_recipe_and_the_store_of_its_run_are_told_by_the_same_words(tmp_path):
    from montezarr.store._info import info

    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    ds = mz.simulate(chain, 5, 3, x0="storm", seed=[3, 4], stream="a")
    mz.write(ds, tmp_path / "chain.zarr")
    text, card = str(info(tmp_path / "chain.zarr")), str(ds.mz.recipe)
    for told in ("[3, 4], stream 'a'", "[[0.9, 0.1], [0.5, 0.5]]", "[calm, storm]"):
        assert told in text
        assert told in card
    assert "x0 storm, sample" in text
    mz.write(mz.simulate(GBM, 5, 3, seed=1), tmp_path / "gbm.zarr")
    text = str(info(tmp_path / "gbm.zarr"))
    assert "GeometricBrownianMotion(mu=0.05, sigma=0.2)" in text
    assert "x0 the default of the process" in text
