"""The section [vary] of a job: scenarios as lists, parameters by path as distributions."""

import json
import re
from dataclasses import asdict

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
        ('sigma = { distribution = "Norml", mean = 1 }', "sigma: distribution: .*Normal"),
        ("sigma = { value = [0.1] }", r"\[vary\] sigma: unknown key value\. .*Did you mean values"),
        ("sigma = { values = 0.1 }", r"\[vary\] sigma: values: expected a list"),
        ("sigma = { values = [0.1], dim = 3 }", r"\[vary\] sigma: dim: expected a string"),
        ('sigma = { values = [0.1], dim = "time" }', r"\[vary\] sigma: .*other than 'time'"),
        ("sigma = { distribution = 3 }", r"\[vary\] sigma: distribution: expected the name"),
        ('sigma = { distribution = "scipy" }', r"\[vary\] sigma: distribution: expected the name"),
        ('sigma = { distribution = "Normal" }', r"\[vary\] sigma: distribution"),
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
