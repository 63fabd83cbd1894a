"""The section [vary] of a job: scenarios as lists, parameters by path as distributions."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import montezarr as mz
from montezarr.cli import job
from montezarr.cli._group import cli
from montezarr.random.distributions import Normal
from montezarr.statistics.risk import estimate_risk


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a job and returns its file."""

    def made(vary, *, process="mu = 0.05\nsigma = 0.2", run="x0 = 100.0", output="", rest=""):
        file = tmp_path / "job.toml"
        file.write_text(
            f'[process]\nname = "GeometricBrownianMotion"\n{process}\n[vary]\n{vary}\n'
            f"[run]\n{run}\nn_paths = 2000\nT = 4\nseed = 1\n"
            f'[output]\nstore = "paths.zarr"\n{output}\n{rest}\n'
        )
        return file

    return made


def prepared(file):
    return job.prepare(job.load(file)).ds


def refusal(file):
    with pytest.raises(mz.ConfigError) as caught:
        prepared(file)
    text = str(caught.value)
    assert "\n" not in text
    return text


GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def test_a_list_is_a_dimension_of_scenarios(make):
    ds = prepared(make("sigma = [0.1, 0.3]\nmu = [0.0, 0.1, 0.2]"))
    vary = {
        "sigma": xr.DataArray([0.1, 0.3], dims="sigma"),
        "mu": xr.DataArray([0.0, 0.1, 0.2], dims="mu"),
    }
    xr.testing.assert_identical(
        ds.compute(), mz.simulate(GBM, 2000, 4, 100.0, seed=1, vary=vary).compute()
    )


def test_initial_states_of_several_variables_are_a_table(tmp_path):
    file = tmp_path / "job.toml"
    model = 'name = "Heston"\nmu = 0.0\nkappa = 1.0\ntheta = 0.04\nxi = 0.3\nrho = -0.5'
    text = (
        "[process]\n{}\n[vary]\nx0 = {{ s = [99.0, 101.0], v = {} }}\n"
        '[run]\nn_paths = 20\nT = 3\nseed = 1\n[output]\nstore = "a.zarr"\n'
    )
    file.write_text(text.format(model, 0.04))
    found = prepared(file).compute()
    assert found.s.dims == ("x0_s", "path", "time")
    assert list(found.x0_s.values) == [99.0, 101.0]
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.3, rho=-0.5)
    alone = mz.simulate(heston, 20, 3, {"s": 101.0, "v": 0.04}, seed=1)
    np.testing.assert_array_equal(found.s.sel(x0_s=101.0), alone.s)
    file.write_text(text.format(model, "true"))
    assert "v: expected a number or a list, got True" in refusal(file)


def test_lists_on_one_dimension_are_zipped_and_noise_may_be_independent(make):
    text = (
        'noise = "independent"\nmu = { values = [0.0, 0.1], dim = "case" }\n'
        '[vary.sigma]\nvalues = [0.1, 0.3]\ndim = "case"'
    )
    ds = prepared(make(text))
    assert ds.x.dims == ("case", "path", "time")
    assert ds.sigma.values.tolist() == [0.1, 0.3]
    assert ds.mz.recipe["noise"] == "independent"


def test_a_distribution_draws_a_value_for_each_path(make):
    file = make('x0 = { distribution = "Normal", mean = 100, sd = 5.0 }', run="")
    ds, vary = prepared(file), {"x0": Normal(100, 5.0)}
    assert ds.mz.recipe["vary"] == mz.simulate(GBM, 10, 4, seed=1, vary=vary).mz.recipe["vary"]
    assert "by path: Normal(mean=100, sd=5" in str(mz.plan(ds))


UNIFORM = '{ distribution = "Uniform", low = 0.1, high = 0.3 }'
NORMAL = '{ distribution = "Normal", mean = 0.05, sd = 0.01 }'


def test_the_sections_of_the_page_are_those_of_jobs(tmp_path):
    page = Path(__file__).parents[1] / "docs/how-to/command-line.md"
    blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    scenarios, design = (text for text in blocks if "[vary]" in text)
    rest = '[output]\nstore = "paths.zarr"\n'
    for text, run in (
        (scenarios, "[run]\nx0 = 100.0\nn_paths = 2000\nT = 4\nseed = 1\n"),
        (re.sub("^# (mu|x0)", r"\1", scenarios, flags=re.M).replace("mu = 0.05\n", ""),
         "[run]\nn_paths = 2000\nT = 4\nseed = 1\n"),
        ('[process]\nname = "GeometricBrownianMotion"\n'
         + design.replace("n_paths", "T = 4\nseed = 1\nn_paths"), ""),
    ):  # fmt: skip
        file = tmp_path / "job.toml"
        file.write_text(f"{text}\n{run}{rest}")
        assert prepared(file).x.dims[-2:] == ("path", "time")
    assert list(prepared(file).data_vars) == ["x", "x0", "mu", "sigma"]


def told(ds, *entries):
    return {entry: ds.mz.recipe.get(entry) for entry in entries}


def test_a_joint_distribution_has_its_names_as_key(make):
    text = (
        '[vary."mu, sigma"]\ndistribution = "JointNormal"\nmean = { mu = 0.05, sigma = 0.2 }\n'
        "sd = [0.01, 0.01]\ncorrelation = [[1, 0.5], [0.5, 1]]"
    )
    found = prepared(make(text, process=""))
    joint = mz.JointNormal(
        {"mu": 0.05, "sigma": 0.2}, sd=[0.01, 0.01], correlation=[[1, 0.5], [0.5, 1]]
    )
    alone = mz.simulate(GBM, 2000, 4, 100.0, seed=1, vary={("mu", "sigma"): joint})
    assert told(found, "vary") == told(alone, "vary")
    xr.testing.assert_equal(found.compute(), alone.compute())


def test_a_distribution_of_scipy_is_named_as_in_python(make):
    stats = pytest.importorskip("scipy.stats")
    text = 'sigma = { distribution = "scipy.stats.triang", c = 0.5, loc = 0.1, scale = 0.2 }'
    found = prepared(make(text, process="mu = 0.05"))
    law = stats.triang(0.5, loc=0.1, scale=0.2)
    alone = mz.simulate(GBM, 2000, 4, 100.0, seed=1, vary={"sigma": law})
    assert told(found, "vary") == told(alone, "vary")
    xr.testing.assert_equal(found.compute(), alone.compute())


@pytest.mark.parametrize(
    ("text", "design"),
    [
        ('design = "saltelli"', lambda p: mz.saltelli(p, 500)),
        ('design = { name = "nested", replicates = 4 }',
         lambda p: mz.nested(p, 500, replicates=4)),
    ],
)  # fmt: skip
def test_a_design_takes_all_distributions_beside_scenarios(make, text, design):
    lists = "x0 = [90.0, 100.0]"
    found = prepared(make(f"{text}\nsigma = {UNIFORM}\n{lists}\nmu = {NORMAL}", process="", run=""))
    made = design({"sigma": mz.Uniform(0.1, 0.3), "mu": mz.Normal(0.05, 0.01)})
    vary = {made.names: made, "x0": xr.DataArray([90.0, 100.0], dims="x0")}
    alone = mz.simulate(GBM, 2000, 4, seed=1, vary=vary)
    assert told(found, "vary", "design") == told(alone, "vary", "design")
    xr.testing.assert_equal(found.compute(), alone.compute())


def test_a_job_with_a_design_is_run_and_read_by_its_statistic(make, tmp_path):
    file = make(f'design = "saltelli"\nsigma = {UNIFORM}\nmu = {NORMAL}', process="")
    done = CliRunner().invoke(cli, ["run", str(file), "--quiet"])
    assert done.exit_code == 0, done.output
    stored = mz.open(tmp_path / "paths.zarr")
    indices = mz.reduce(stored.x.isel(time=-1), mz.SobolIndices())
    assert indices.parameter.values.tolist() == ["sigma", "mu"]


def test_steps_may_be_fractions(make):
    ds = prepared(make('dt = ["1/252", "1/52", 0.5]'))
    assert ds.dt.values.tolist() == [1 / 252, 1 / 52, 0.5]


def test_a_parameter_that_varies_needs_no_value_in_the_process(make):
    both = (
        prepared(make("sigma = [0.1, 0.3]", process=p))
        for p in ("mu = 0.05", "mu = 0.05\nsigma = 0.7")
    )
    for ds in both:
        np.testing.assert_array_equal(
            ds.x.sel(sigma=0.3),
            mz.simulate(mz.GeometricBrownianMotion(mu=0.05, sigma=0.3), 2000, 4, 100.0, seed=1).x,
        )


def test_a_job_with_scenarios_runs_plans_and_is_described(make, tmp_path):
    pytest.importorskip("matplotlib")
    file = make("sigma = [0.1, 0.2, 0.3]", process="mu = 0.05", output='plot = "fan.png"')
    call = CliRunner().invoke
    planned = call(cli, ["plan", str(file)])
    assert "3 scenarios × 2,000 paths" in planned.output
    assert "σ varies" in planned.output
    told = json.loads(call(cli, ["plan", str(file), "--json"]).output)
    assert told["varied"] == {"sigma": "by scenario, along sigma (3): 0.1, 0.2, 0.3"}
    done = call(cli, ["run", str(file), "--quiet"])
    assert "3 scenarios × 2,000 paths written" in done.output
    assert "Varies: sigma by scenario, along sigma (3): 0.1, 0.2, 0.3" in done.output
    assert (tmp_path / "fan.png").read_bytes()[:4] == b"\x89PNG"
    again = json.loads(call(cli, ["run", str(file), "--quiet", "--json"]).output)
    assert (again["reused"], again["scenarios"]) == (True, 3)
    assert again["process"] == {"name": "GeometricBrownianMotion", "mu": 0.05}
    about = call(cli, ["info", str(tmp_path / "paths.zarr")])
    assert "GeometricBrownianMotion(mu=0.05, sigma varies)" in about.output
    assert call(cli, ["verify", str(tmp_path / "paths.zarr"), "--level", "3"]).exit_code == 0


def test_a_picture_has_two_dimensions_of_scenarios(make, tmp_path):
    pytest.importorskip("matplotlib")
    file = make("sigma = [0.1, 0.3]\nmu = [0.0, 0.1]", output='plot = "fan.png"')
    done = CliRunner().invoke(cli, ["run", str(file), "--quiet"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "fan.png").read_bytes()[:4] == b"\x89PNG"


def test_the_risk_is_that_of_each_scenario_beside_its_closed_form(make, tmp_path):
    pytest.importorskip("matplotlib")
    file = make(
        "sigma = [0.1, 0.3]", output='plot = "fan.png"', run="x0 = 100.0",
        rest="[risk]\nlevels = [0.95, 0.9]",
    )  # fmt: skip
    done = CliRunner().invoke(cli, ["run", str(file), "--quiet"])
    assert "sigma = 0.3: loss over the horizon, in percent of the initial value" in done.output
    told = json.loads(CliRunner().invoke(cli, ["run", str(file), "--quiet", "--json"]).output)
    assert told["risk"] == told["closed_form"] == []
    for one, sigma in zip(told["by_scenario"], (0.1, 0.3), strict=True):
        assert one["scenario"] == {"sigma": sigma}
        process = mz.GeometricBrownianMotion(mu=0.05, sigma=sigma)
        x = mz.simulate(process, 2000, 4, 100.0, seed=1).x.isel(time=[0, -1])
        alone = estimate_risk(1 - (x[:, 1] / x[:, 0]).values, [0.95, 0.9])
        for found, exact, expected in zip(one["risk"], one["closed_form"], alone, strict=True):
            assert found == pytest.approx(asdict(expected))
            for name in ("value_at_risk", "expected_shortfall"):
                assert abs(found[name] - exact[name]) < 4 * found[f"{name}_se"]


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("sigma = 0.1", r"job\.toml:6: \[vary\] sigma: expected a list"),
        ("sigma = []", r"\[vary\] sigma: expected one value or more"),
        ('sigma = [0.1, "a"]', r"\[vary\] sigma: value 2: expected a number, got 'a'"),
        ("sigma = [0.1, true]", r"\[vary\] sigma: value 2: expected a number"),
        ("sigma = [0.1, nan]", r"\[vary\] sigma: expected finite numbers, got nan at"),
        ("sigm = [0.1]", r"job\.toml:6: \[vary\] sigm: .*Did you mean 'sigma'"),
        ("sigma = [0.1, -0.2]", r"job\.toml:6: \[vary\] sigma: .*-0\.2"),
        ('sigma = { distribution = "Norml", mean = 1 }', r"sigma: distribution: .*mean 'Normal'\?"),
        ('sigma = { distribution = "Normal", mean = 1, std = 2 }', "unknown key std.* mean sd[?]"),
        ('sigma = { distribution = "Normal", mean = 1 }', r"\[vary\] sigma: sd: missing"),
        ('sigma = { distribution = "Normal", mean = 1, sd = -1 }', "distribution: sd: .*-1"),
        ('sigma = { distribution = "scipy.stats.triag", c = 0.5 }', "mean 'scipy.stats.triang'"),
        ('sigma = { distribution = "scipy.stats.triang" }', "distribution: arguments: .*triang"),
        ('sigma = { distribution = "scipy.stats.triang", c = "a" }', "sigma: distribution: .*'c'"),
        ('"mu, sigma" = [0.1]', r"job\.toml:6: \[vary\] mu, sigma: expected a joint"),
        ('"mu, " = [0.1]', r"\[vary\] mu, : expected names of parameters"),
        ('"mu, sigma" = { distribution = "Normal", mean = 1, sd = 2 }', "joint distribution"),
        ('"mu, sgma" = { distribution = "JointNormal", mean = { mu = 0, sigma = 1 }, sd = [1, 1] }',
         "the key .*'mu', 'sigma'"),
        ('"mu, sigma" = { distribution = "JointNormal", mean = { mu = 0, sigma = 1 } }',
         "distribution: covariance: expected a matrix, or sd="),
        ('design = "saltelli"', r"\[vary\] design: expected parameters with a distribution"),
        ('design = "saltell"\nmu = { distribution = "Uniform", low = 0, high = 1 }',
         r"job\.toml:6: \[vary\] design: name: .*mean 'saltelli'\?"),
        ('design = { name = "nested" }\nmu = { distribution = "Uniform", low = 0, high = 1 }',
         "design: replicates: missing"),
        ('design = { name = "nested", replicate = 2 }\n'
         'mu = { distribution = "Uniform", low = 0, high = 1 }',
         "design: unknown key replicate.*mean replicates"),
        ('design = { name = "nested", replicates = 1 }\n'
         'mu = { distribution = "Uniform", low = 0, high = 1 }', "design: replicates: .*got 1"),
        ('design = 3', r"\[vary\] design: expected \{ name ="),
        ('design = "saltelli"\nmu = { distribution = "Uniform", low = 0, high = 1 }',
         r"\[run\] n_paths: expected a multiple of 3"),
        ("sigma = { value = [0.1] }", r"\[vary\] sigma: unknown key value\. .*Did you mean values"),
        ("sigma = { values = 0.1 }", r"\[vary\] sigma: values: expected a list"),
        ("sigma = { values = [0.1], dim = 3 }", r"\[vary\] sigma: dim: expected a string"),
        ('sigma = { values = [0.1], dim = "time" }', r"\[vary\] sigma: .*other than 'time'"),
        ("sigma = { distribution = 3 }", r"\[vary\] sigma: distribution: expected a name"),
        ('sigma = { distribution = "scipy" }', r"\[vary\] sigma: distribution: .*SciPy, such as"),
        ('sigma = { distribution = "Normal" }', r"\[vary\] sigma: mean: missing"),
        ('noise = "common"', r"\[vary\]: expected a parameter"),
        ('noise = "other"\nsigma = [0.1]', r"\[vary\] noise: expected .common. or .independent."),
        ('dt = ["1/0"]', r"\[vary\] dt: expected a number or a fraction"),
        ("x0 = [90.0, 100.0]", r"\[vary\] x0: .*not given as an argument too"),
        ("[vary.sigma]\nvalues = 3", r"job\.toml:6: \[vary\] sigma: values: expected a list"),
    ],
)  # fmt: skip
def test_a_section_that_cannot_be_meant_is_refused_in_one_line(make, vary, said):
    assert re.search(said, refusal(make(vary)))


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("sgima = [0.1, 0.2]", r"job\.toml:5: \[vary\] sgima: .*Did you mean 'sigma'"),
        ("sigma = [-0.1, 0.2]", r"job\.toml:5: \[vary\] sigma: expected .* got -0\.1"),
        ('sigma = { distribution = "Normal", mean = -1, sd = 0.1 }',
         r"job\.toml:5: \[vary\] sigma: expected "),
        ('"mu, sgima" = { distribution = "JointNormal", mean = { mu = 0, sgima = 1 },'
         " sd = [1, 1] }", r"job\.toml:5: \[vary\] mu, sgima: .*Did you mean 'sigma'"),
    ],
)  # fmt: skip
def test_an_entry_without_which_the_process_lacks_a_parameter_is_named(make, vary, said):
    assert re.search(said, refusal(make(vary, process="mu = 0.05" if "mu" not in vary else "")))


@pytest.mark.parametrize(
    ("vary", "output", "rest", "said"),
    [
        ("dt = [0.1, 0.2]", "", "[risk]\nlevels = [0.95]", "levels: is relative to one x0"),
        ("sigma = [0.1]\nmu = [0.0]\nx0 = [1.0]\ndt = [0.1]", 'plot = "f.png"', "",
         "plot: a fan chart has at most 3 dimensions"),
        (f"sigma = {[0.1 + i / 100 for i in range(20)]}", 'plot = "f.png"', "", "plot: .*most 12"),
        (f"sigma = {[0.1 + i / 100 for i in range(70)]}\nmu = [0.0]", 'plot = "f.png"', "",
         "plot: .*most 64 entries"),
    ],
)  # fmt: skip
def test_results_that_scenarios_do_not_have_are_refused_before_the_run(
    make, tmp_path, vary, output, rest, said
):
    run = "" if "x0" in vary else "x0 = 100.0"
    assert re.search(said, refusal(make(vary, run=run, output=output, rest=rest)))
    assert not (tmp_path / "paths.zarr").exists()
