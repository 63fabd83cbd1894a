"""Frozen distributions of SciPy as distributions of parameters: a list of names, and a check."""

import json
import pickle
import warnings

import numpy as np
import pytest
from scipy import stats

import montezarr as mz
from montezarr.core.optional import import_optional
from montezarr.random.distributions import _scipy_stats
from montezarr.random.distributions._base import parameter_slot
from montezarr.random.distributions._built_in import as_distribution, distribution_from_dict
from montezarr.random.distributions._scipy_stats import (
    CONTINUOUS,
    DISCRETE,
    KNOWN,
    ScipyDistribution,
)

LEAST = 2.0**-54

FROZEN = [
    stats.norm(0.1, 2),
    stats.gamma(2.0, scale=0.5),
    stats.truncnorm(a=-1, b=2, loc=3.0),
    stats.t(4),
    stats.triang(0.3, 1, 2),
    stats.weibull_min(1.5),
    stats.invgamma(3.0),
    stats.poisson(3),
    stats.binom(10, 0.3),
    stats.randint(1, 7),
]


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda frozen: frozen.dist.name)
def test_draws_are_the_quantiles_of_scipy(frozen):
    prior = as_distribution(frozen)
    u = mz.Draws.of(5, n=2000).uniform(0, parameter_slot("a")) + LEAST
    values = prior.draw(5, "a", n=2000)
    np.testing.assert_allclose(values, frozen.ppf(u), rtol=1e-9)
    assert prior.low <= values.min()
    assert values.max() <= prior.high
    assert np.isfinite([prior.low, prior.high]).all()
    assert prior.moments() == pytest.approx((frozen.mean(), frozen.var()), rel=1e-12)
    parts = [prior.draw(5, "a", start=start, n=500) for start in range(0, 2000, 500)]
    assert np.concatenate(parts).tobytes() == values.tobytes()


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda frozen: frozen.dist.name)
def test_json_and_pickle_bring_it_back(frozen):
    prior = as_distribution(frozen)
    data = json.loads(json.dumps(prior.to_dict()))
    assert data["name"] == "scipy"
    assert data["distribution"] == frozen.dist.name
    assert distribution_from_dict(data) == prior
    assert hash(prior) == hash(distribution_from_dict(data))
    assert pickle.loads(pickle.dumps(prior)) == prior


def test_there_are_examples_as_of_every_distribution():
    for example in ScipyDistribution.examples():
        assert ScipyDistribution.from_dict(example.to_dict()) == example
        assert np.isfinite(example.draw(1, "a", n=5)).all()


def test_arguments_are_recorded_by_name_and_as_given():
    data = as_distribution(stats.truncnorm(-1, 2.5, scale=np.float64(3))).to_dict()
    assert data["arguments"] == {"a": -1, "b": 2.5, "scale": 3.0}
    assert as_distribution(stats.poisson(3, 1)).to_dict()["arguments"] == {"mu": 3, "loc": 1}


def test_upper_quantiles_are_exact_where_scipy_has_them():
    prior = as_distribution(stats.expon())
    assert prior.high == pytest.approx(54 * np.log(2), rel=1e-15)
    assert as_distribution(stats.poisson(3)).high == 26


def test_every_name_of_the_list_is_one_of_scipy_with_an_inverse():
    for names, kind in ((CONTINUOUS, stats.rv_continuous), (DISCRETE, stats.rv_discrete)):
        for name in names:
            assert isinstance(getattr(stats, name), kind), name
            assert getattr(stats, name).name in KNOWN
    assert tuple(sorted(KNOWN)) == KNOWN


def test_other_values_are_no_distribution():
    for value in (0.3, [1, 2], np.arange(3), "norm", None, stats.describe([1, 2])):
        assert as_distribution(value) is None


class Own(stats.rv_continuous):
    def _pdf(self, x):
        return 1.0 + 0 * x


def users():
    return Own(a=0, b=1, name="norm")()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (stats.norm, r"expected a frozen distribution, got scipy.stats.norm .* Take scipy.stats.n"),
        (
            stats.levy_stable(1.5, 0.0),
            "expected a distribution with an inverse, got levy_stable. Those of scipy.stats",
        ),
        (
            stats.multivariate_normal([0, 0]),
            "expected a distribution with an inverse, got multivariate_n",
        ),
        (stats.rv_histogram(np.histogram([1.0, 2.0, 3.0])), "expected a distribution with an inv"),
        (users(), "expected a distribution with an inverse, got norm"),
    ],
    ids=["not frozen", "slow", "several", "histogram", "own"],
)
def test_what_is_not_on_the_list_is_refused_with_the_list(value, message):
    with pytest.raises(mz.ArgumentTypeError, match=f"distribution: {message}"):
        as_distribution(value)


def test_parameters_are_single_numbers_that_the_distribution_accepts():
    with pytest.raises(mz.ArgumentTypeError, match=r"arguments\['loc'\]: .* single numbers"):
        as_distribution(stats.norm([1, 2], 1))
    with pytest.raises(mz.ArgumentValueError, match="arguments: expected those of gamma"):
        as_distribution(stats.gamma(-1.0))


def test_a_store_names_what_is_on_the_list_and_nothing_else():
    data = as_distribution(stats.gamma(2.0)).to_dict()
    for change, message in (
        ({"distribution": "levy_stable"}, "distribution: expected one of"),
        ({"distribution": "os"}, "distribution: expected one of"),
        ({"arguments": {"a": 2.0, "c": 1.0}}, "arguments: expected those of gamma"),
        ({"arguments": [1]}, "arguments: expected a mapping"),
        ({"arguments": {"a": "x"}}, r"arguments\['a'\]: expected a finite number"),
        ({"check": 3}, "check: expected text"),
        ({"more": 3}, "distribution: expected the entries"),
    ):
        with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=message):
            distribution_from_dict({**data, **change})


def test_other_quantiles_than_those_recorded_are_an_error_that_names_the_versions():
    data = as_distribution(stats.gamma(2.0)).to_dict() | {"version": "1.1.0"}
    found = distribution_from_dict(data)  # another version with the same bits
    assert found.to_dict() == data
    data["check"] = "0" * 64
    with pytest.raises(mz.ReplayError, match=r"gamma: .*of SciPy 1\.1\.0, got [0-9a-f]{12} of Sci"):
        distribution_from_dict(data)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    data = as_distribution(stats.gamma(2.0)).to_dict()

    def absent(package, **options):
        return import_optional("no_such_package", **options)

    monkeypatch.setattr(_scipy_stats, "import_optional", absent)
    _scipy_stats._frozen.cache_clear()
    with pytest.raises(mz.MissingDependencyError, match=r'pip install "montezarr\[scipy\]"'):
        distribution_from_dict(data)


def test_extreme_quantiles_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for frozen in FROZEN:
            prior = as_distribution(frozen)
            assert np.isfinite(prior.at_tails(np.array([-LEAST, -0.5, 0.5, LEAST]))).all()
