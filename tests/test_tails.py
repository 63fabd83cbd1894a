"""Heavy tails: estimates that a few values carry are named, and others are left alone."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.random.seeding import BLOCK
from montezarr.statistics import Sample
from montezarr.statistics import _tails as tails_module
from montezarr.statistics._tails import judge, merge_tails, tails_of

ALL = ("mean", "std", "variance", mz.Moments())

ORDINARY = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "Poisson": lambda rng, n: rng.poisson(2.0, n),
    "Bernoulli": lambda rng, n: rng.random(n) < 0.001,
    "Bernoulli as numbers": lambda rng, n: (rng.random(n) < 0.001) * 1.0,
    "lognormal(0.5)": lambda rng, n: rng.lognormal(0.0, 0.5, n),
    "payoff": lambda rng, n: np.maximum(rng.lognormal(0.0, 0.2, n) - 1.05, 0.0),
    "prices": lambda rng, n: 4000.0 * rng.lognormal(0.0, 0.2, n),
    "constant": lambda rng, n: np.full(n, 0.1),
    "normal at 1e6": lambda rng, n: 1e6 + rng.standard_normal(n),
}

HEAVY = {
    "Cauchy": (lambda rng, n: rng.standard_cauchy(n), "mean std variance skewness kurtosis"),
    "Pareto(1.2)": (lambda rng, n: rng.pareto(1.2, n), "std variance skewness kurtosis"),
    "lognormal(1.5)": (
        lambda rng, n: rng.lognormal(0.0, 1.5, n), "std variance skewness kurtosis",
    ),
}  # fmt: skip


def array(values, **options):
    return xr.DataArray(np.asarray(values), dims="path", name="x", **options)


def named(obj, statistics=ALL, **options):
    """Return the estimates that a reduction warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mz.reduce(obj, statistics, **options)
    told = [w for w in caught if isinstance(w.message, mz.HeavyTailWarning)]
    assert len(told) <= 1  # once per call
    if told:
        assert told[0].filename == __file__  # where the call stands
    return {name for w in told for name in w.message.estimates}


@pytest.mark.parametrize("n", [100, 4096, 100_000])
@pytest.mark.parametrize("law", ORDINARY)
def test_ordinary_values_are_left_alone(law, n):
    for seed in range(8):
        values = ORDINARY[law](np.random.default_rng(seed), n)
        assert not named(array(values), ["mean", "std", "variance"])
    if n == 100_000 and law != "lognormal(0.5)":
        assert not named(array(ORDINARY[law](np.random.default_rng(0), n)), mz.Moments())


@pytest.mark.parametrize("n", [2000, 50_000])
@pytest.mark.parametrize("law", HEAVY)
def test_heavy_tails_are_told_of(law, n):
    draw, wanted = HEAVY[law]
    runs = [named(array(draw(np.random.default_rng(seed), n))) for seed in range(20)]
    for name in wanted.split():
        assert sum(f"x_{name}" in found for found in runs) >= 17


def test_fourth_powers_need_lighter_tails_than_a_mean():
    """Student's t with 3 degrees of freedom has a variance, and no fourth moment."""
    runs = [named(array(np.random.default_rng(seed).standard_t(3, 100_000))) for seed in range(10)]
    assert not any("x_mean" in found for found in runs)
    assert sum("x_variance" in found for found in runs) >= 8


def told(draw, n, runs):
    """Return the share of samples of which the mean is told of."""
    count = 0
    for seed in range(runs):
        values = draw(np.random.default_rng(seed), n)
        whole = n // BLOCK * BLOCK
        tails = tails_of(Sample(values[:whole].reshape(1, -1, BLOCK), 0, None, 2))
        tails = tails_of(Sample(values[None, None, whole:], whole, None, 2), tails)
        total = np.array([((values - values.mean()) ** 2).sum()])
        count += judge(tails, 1, np.array([n]), np.array([values.mean()]), total).is_heavy[0]
    return count / runs


def test_a_mean_is_told_of_where_its_interval_covers_too_little_and_no_other():
    """Of 2000 samples of 4000 values, 94 % or more of ± 1.96 se hold the mean of the first three.

    They hold it in 92, 90, 78 and 45 % of those of lognormal(2) and Pareto(2), (1.5) and (1.2).
    """
    for index, most in ((4.0, 0.02), (3.0, 0.08)):
        assert told(lambda rng, n, index=index: rng.pareto(index, n), 4000, 100) <= most
    assert told(lambda rng, n: rng.lognormal(0.0, 1.0, n), 4000, 100) <= 0.02
    assert told(lambda rng, n: rng.lognormal(0.0, 2.0, n), 4000, 100) >= 0.8
    for index, least in ((2.0, 0.4), (1.5, 0.85), (1.2, 0.95)):
        assert told(lambda rng, n, index=index: rng.pareto(index, n), 4000, 100) >= least
    assert told(lambda rng, n: rng.standard_cauchy(n), 4000, 100) >= 0.97
    assert told(lambda rng, n: rng.standard_cauchy(n), 600, 100) >= 0.95


def test_a_mean_of_rare_payoffs_is_left_alone():
    """Few are above zero, and none carries the mean: 2 % of the sum of squares, an index of .4."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        payoffs = np.where(rng.random(200_000) < 0.02, rng.lognormal(0.0, 0.8, 200_000), 0.0)
        assert not named(array(payoffs), mz.Mean())


SHORTFALLS = [mz.ExpectedShortfall(0.95), mz.ExpectedShortfall((0.99, 0.999), tail="lower")]


@pytest.mark.parametrize("n", [100, 2000, 100_000])
@pytest.mark.parametrize("law", ORDINARY)
def test_shortfalls_of_ordinary_values_are_left_alone(law, n):
    for seed, shortfall in itertools.product(range(4), SHORTFALLS):
        assert not named(array(ORDINARY[law](np.random.default_rng(seed), n) * 1.0), shortfall)


@pytest.mark.parametrize("n", [600, 10_000, 100_000])
def test_a_shortfall_is_told_of_by_its_own_tail(n):
    """A mean of Pareto's law with index 1 / 1.2 has no variance: only the upper tail is heavy."""
    upper, lower = mz.ExpectedShortfall(0.99), mz.ExpectedShortfall(0.99, tail="lower")
    found = []
    for seed in range(20):
        x = array(np.random.default_rng(seed).pareto(1.2, n))
        found.append(named(x, upper))
        assert not named(x, lower)
        assert named(-x, lower) == found[-1]
    assert sum("x_expected_shortfall" in names for names in found) >= 14
    assert set().union(*found) == {"x_expected_shortfall"}


def test_the_warning_says_what_and_why():
    values = array(np.random.default_rng(1).standard_cauchy(10_000))
    with pytest.warns(mz.HeavyTailWarning) as caught:
        mz.reduce(values, ["mean", "median"])
    warning = caught[0].message
    share, pareto = warning.estimates["x_mean"]
    square = (values.values - values.values.mean()) ** 2
    assert share == pytest.approx(square.max() / square.sum())
    assert 0.5 < pareto < 1.6
    assert "x_mean (one term is" in str(warning)
    assert "Pareto k-hat" in str(warning)
    assert "median" not in str(warning)
    assert "10,000 paths" in str(warning)
    assert str(pickle.loads(pickle.dumps(warning))) == str(warning)
    assert issubclass(mz.HeavyTailWarning, mz.MontezarrWarning)


def test_every_way_tells():
    rng = np.random.default_rng(2)
    x = array(rng.standard_cauchy(5000))
    for obj in (x, x.chunk(path=700), x.to_dataset()):
        assert named(obj, "mean") == {"x_mean"}
    assert named(x, "mean", by=array(rng.random(5000) < 0.5).rename("g")) == {"x_mean"}
    both = xr.Dataset({"a": x, "b": array(rng.standard_normal(5000))})
    assert named(both, ["mean", mz.Covariance("variable")]) == {
        "a_mean", "covariance", "correlation",
    }  # fmt: skip
    path = xr.DataArray(rng.standard_cauchy((5000, 3)), dims=("path", "time"), name="x")
    assert named(path, mz.Covariance()) == {"x_covariance", "x_correlation"}
    assert named(path, "mean") == {"x_mean"}
    with pytest.warns(mz.HeavyTailWarning, match="x_mean"):
        *_, last = mz.stream(x, "mean")
    assert last["x_mean_cs_high"] == np.inf  # nor is a sequence claimed
    with pytest.warns(mz.HeavyTailWarning, match="x_mean"):
        mz.reduce(x, "mean", compute=False).compute()


def test_the_sequence_of_a_mean_waits_for_more_than_a_few_hits():
    rate, runs, missed, claimed = 0.001, 20, 0, 0
    with mz.backend("synchronous"):
        for seed in range(runs):
            x = array(np.random.default_rng(seed).poisson(rate, 2**15) * 2.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", mz.HeavyTailWarning)
                found = [
                    (s["x_mean_cs_low"].item(), s["x_mean_cs_high"].item())
                    for s in mz.stream(x, "mean", every=2048)
                ]
            missed += not all(low <= 2 * rate <= high for low, high in found)
            claimed += np.isfinite(found[-1]).all()
            assert np.isinf(found[0]).all()
    assert missed <= 2
    assert claimed >= 0.75 * runs


# The state.


def fields_of(tails):
    return [np.asarray(field).tobytes() for field in tails]


def sample(values, block):
    cells = values.reshape(2, -1, BLOCK)
    return Sample(np.ascontiguousarray(cells), block * BLOCK, None, 4)


def test_tails_do_not_depend_on_how_blocks_come_together(monkeypatch):
    rng = np.random.default_rng(0)
    values = rng.standard_cauchy((2, 200 * BLOCK))
    values[:, rng.random(200 * BLOCK) < 0.01] = np.nan
    whole = tails_of(sample(values, 0))
    for cuts in ([0, 1, 200], [0, 63, 64, 130, 200], list(range(0, 201, 8))):
        parts = [
            tails_of(sample(values[:, a * BLOCK : b * BLOCK], a))
            for a, b in itertools.pairwise(cuts)
        ]
        merged = parts.pop(rng.integers(len(parts)))
        while parts:
            merged = merge_tails(parts.pop(rng.integers(len(parts))), merged)
        assert fields_of(merged) == fields_of(whole)
        grown = None
        for a, b in itertools.pairwise(cuts):
            grown = tails_of(sample(values[:, a * BLOCK : b * BLOCK], a), grown)
        assert fields_of(grown) == fields_of(whole)
    monkeypatch.setattr(tails_module, "compiled", lambda: None)
    assert fields_of(tails_of(sample(values, 0))) == fields_of(whole)


def test_tails_are_the_largest_and_smallest_values():
    values = np.random.default_rng(3).standard_normal((2, 3 * BLOCK))
    found = tails_of(sample(values, 0))
    parts = np.sort(values.reshape(2, 3, BLOCK))  # of each block 32 at most
    largest, smallest = parts[..., -32:].reshape(2, -1), parts[..., :32].reshape(2, -1)
    np.testing.assert_array_equal(found.high, np.sort(largest)[:, -64:])
    np.testing.assert_array_equal(found.low, np.sort(smallest)[:, :64])
    assert found.n.tolist() == [3 * BLOCK] * 2


def test_a_state_of_an_earlier_version_goes_on_without_a_word_about_tails(tmp_path, monkeypatch):
    x = array(np.random.default_rng(2).standard_cauchy(5000))
    with pytest.warns(mz.HeavyTailWarning):
        snapshots = list(mz.stream(x, "mean"))
    snapshots[1].save(tmp_path / "new")
    with pytest.warns(mz.HeavyTailWarning):
        *_, last = mz.stream(x, "mean", resume_from=tmp_path / "new")
    np.testing.assert_array_equal(last["x_mean"], snapshots[-1]["x_mean"])

    from montezarr.reduction.streaming import _state

    dump = _state.dump_states
    monkeypatch.setattr(_state, "dump_states", lambda *args, with_tails: dump(*args))
    snapshots[1].save(tmp_path / "old")
    *_, last = mz.stream(x, "mean", resume_from=tmp_path / "old")  # what came before is not known
    np.testing.assert_array_equal(last["x_mean"], snapshots[-1]["x_mean"])


# Intervals of variances.


@pytest.mark.parametrize(
    ("draw", "variance", "n"),
    [
        (lambda rng, n: rng.standard_normal(n), 1.0, 100),
        (lambda rng, n: rng.exponential(size=n), 1.0, 100),
        (lambda rng, n: rng.poisson(2.0, n) + 0.0, 2.0, 4096),
        (lambda rng, n: rng.exponential(size=n), 1.0, 4096),
        (lambda rng, n: rng.random(n), 1 / 12, 100),
    ],
)
def test_intervals_of_variances_cover(draw, variance, n):
    runs, covered = 400, 0
    statistic = mz.Variance()
    for seed in range(runs):
        values = draw(np.random.default_rng(seed), n)
        state = None
        for start in range(0, n, BLOCK):
            part = statistic.chunk(Sample(values[None, None, start : start + BLOCK]))
            state = part if state is None else statistic.merge(state, part)
        found = statistic.finalize(state, mz.Source())
        low, high = found["variance_low"].values, found["variance_high"].values
        covered += bool((low <= variance) & (variance <= high))
    assert covered >= (0.93 - 3 * (0.05 * 0.95 / runs) ** 0.5) * runs


def test_intervals_of_variances_hold_the_estimate_and_are_above_zero():
    rng = np.random.default_rng(4)
    for values in (
        rng.standard_normal(3), rng.lognormal(0, 2, 50), np.array([1.0, 2.0]), np.full(40, 3.0),
        rng.choice([-1.0, 1.0], 1000), 1e9 + rng.random(500),
    ):  # fmt: skip
        found = mz.reduce(array(values), ["std", mz.Variance(ddof=0)])
        for name in ("x_std", "x_variance"):
            low, high = found[f"{name}_low"], found[f"{name}_high"]
            assert 0 <= low <= found[name] <= high
            assert (low < high) == (np.ptp(values) > 0)
    assert np.isnan(mz.reduce(array([1.0]), "std").x_std_low)
    root = mz.reduce(array(values), ["std", "variance"])
    np.testing.assert_allclose(root.x_std_high**2, root.x_variance_high)


@pytest.mark.parametrize("n", [300, 3000, 20_000])
def test_a_constant_has_no_spread_and_no_tail(n):
    values = np.arange(1, 61) / 100.0 * 1.07
    x = xr.DataArray(np.broadcast_to(values, (n, 60)), dims=("path", "time"), name="x")
    found = mz.reduce(x, ["mean", "std", "variance"])
    assert (found.x_mean_se == 0).all()
    assert (found.x_std == 0).all()
    assert (found.x_variance == 0).all()


@pytest.mark.parametrize("n", [850, 950, 1000, 1024, 1100, 1500, 2048, 2500])
def test_samples_of_about_one_block_raise_no_false_alarm(n):
    rng = np.random.default_rng(0)
    x = xr.DataArray(rng.exponential(size=(n, 40)), dims=("path", "time"), name="x")
    mz.reduce(x, ["mean", "std"])


def test_intervals_of_covariances_hold_the_estimate_and_those_of_itself_are_of_variances():
    x = np.random.default_rng(5).exponential(size=(100, 3))
    x[:, 2] += x[:, 1]
    found = mz.reduce(xr.DataArray(x, dims=("path", "time"), name="x"), mz.Covariance())
    variance = mz.reduce(xr.DataArray(x, dims=("path", "time"), name="x"), "variance")
    for name in ("x_covariance", "x_correlation"):
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
    for end in ("low", "high"):
        diagonal = np.diag(found[f"x_covariance_{end}"].values)
        np.testing.assert_allclose(diagonal, variance[f"x_variance_{end}"])
    assert -1 < found.x_correlation_low[1, 2] < found.x_correlation_high[1, 2] < 1
    same = mz.reduce(xr.DataArray(x[:, [0, 0]], dims=("path", "time"), name="x"), mz.Covariance())
    assert same.x_correlation_low.values.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_bin_without_a_value_has_an_interval_that_ends_above_zero():
    found = mz.reduce(array(np.linspace(0.0, 0.99, 100)), mz.Histogram(edges=[0.0, 1.0, 3.0]))
    assert found.x_density_low.values[1] == 0 < found.x_density_high.values[1] < 0.02
    assert found.x_density_low.values[0] < found.x_density_high.values[0] == 1
