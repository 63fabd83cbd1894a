"""Transition densities and probabilities: those of SciPy, with integral 1 and known moments."""

import numpy as np
import pytest
from scipy import integrate, stats

import montezarr as mz
from montezarr.processes._base import HasDensity, HasMean, HasProbability, HasVariance
from montezarr.processes._built_in import built_in_processes

EXAMPLES = [process for kind in built_in_processes().values() for process in kind.examples()]
DENSE = [process for process in EXAMPLES if isinstance(process, HasDensity)]
DISCRETE = [process for process in EXAMPLES if isinstance(process, HasProbability)]


def start(process):
    return process.default_x0() or 0.7


def reach(process, t, x0):
    """Return an interval that all but 1e-12 of the probability lies in."""
    spread = 9 * np.sqrt(process.variance(t, x0))
    if isinstance(process, mz.GeometricBrownianMotion):
        drift = (process.mu - process.sigma**2 / 2) * t
        return tuple(x0 * np.exp(drift + side * 9 * process.sigma * t**0.5) for side in (-1, 1))
    mean = process.mean(t, x0)
    return mean - spread, mean + spread


def test_the_processes_that_know_their_distribution():
    assert {type(process).__name__ for process in DENSE} == {
        "BrownianMotion", "GeometricBrownianMotion", "OrnsteinUhlenbeck",
    }  # fmt: skip
    assert {type(process).__name__ for process in DISCRETE} == {
        "MarkovChain", "PoissonProcess", "RandomWalk",
    }  # fmt: skip


@pytest.mark.parametrize("process", DENSE, ids=repr)
@pytest.mark.parametrize("t", [0.01, 1.0, 5.0])
def test_a_density_has_integral_1_and_the_moments_that_the_process_states(process, t):
    assert isinstance(process, HasMean)
    assert isinstance(process, HasVariance)
    x0 = start(process)
    low, high = reach(process, t, x0)
    mean, variance = process.mean(t, x0), process.variance(t, x0)
    for power, expected in ((0, 1.0), (1, 0.0), (2, variance)):
        found, _ = integrate.quad(
            lambda x, k=power: (x - mean) ** k * process.density(x, t, x0), low, high,
            epsabs=1e-12, limit=200,
        )  # fmt: skip
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(1, variance))


def test_densities_are_those_of_scipy():
    x = np.linspace(0.05, 4, 50)
    gbm = mz.GeometricBrownianMotion(mu=0.3, sigma=0.4)
    law = stats.lognorm(s=0.4 * 1.5**0.5, scale=1.2 * np.exp((0.3 - 0.08) * 1.5))
    assert gbm.density(x, 1.5, 1.2) == pytest.approx(law.pdf(x), rel=1e-12)
    bm = mz.BrownianMotion(mu=-0.5, sigma=2.0)
    assert bm.density(x, 3.0, 1.0) == pytest.approx(stats.norm(-0.5, 2 * 3**0.5).pdf(x), rel=1e-12)
    ou = mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.5)
    law = stats.norm(1 + 2 * np.exp(-1), (0.25 * (1 - np.exp(-2)) / 4) ** 0.5)
    assert ou.density(x, 0.5, 3.0) == pytest.approx(law.pdf(x), rel=1e-11)


def test_a_density_of_several_times_and_states_broadcasts():
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    table = gbm.density(np.linspace(0.5, 2, 5)[:, None], np.array([0.5, 1.0]), 1.0)
    assert table.shape == (5, 2)
    assert table[3, 1] == gbm.density(1.625, 1.0, 1.0)
    assert isinstance(gbm.density(1.0, 1.0), float)


@pytest.mark.parametrize("process", DENSE, ids=repr)
def test_where_all_paths_are_one_number_there_is_no_density(process):
    assert np.isnan(process.density(start(process), 0.0, start(process)))
    still = type(process).from_dict({**process.to_dict(), "sigma": 0.0})
    assert np.isnan(still.density([0.5, 1.0], 1.0, start(process))).all()


@pytest.mark.parametrize("process", DENSE, ids=repr)
def test_the_density_of_no_number_is_none(process):
    x0 = start(process)
    assert np.isnan(process.density(np.nan, 1.0, x0))
    assert np.isnan(process.density([np.nan, 1.0], 1.0, x0)).tolist() == [True, False]


@pytest.mark.parametrize("process", DISCRETE, ids=repr)
def test_the_probability_of_no_number_is_none(process):
    found = process.probability([np.nan, 1.0, 0.5], 2, 0)
    assert np.isnan(found).tolist() == [True, False, False]
    assert found[2] == 0


def test_a_price_is_never_negative():
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    assert gbm.density([-1.0, 0.0], 1.0, 1.0).tolist() == [0.0, 0.0]
    assert gbm.density(-0.9, 1.0, -1.0) == gbm.density(0.9, 1.0, 1.0)


@pytest.mark.parametrize("t", [0, 1, 7, 40])
def test_probabilities_sum_to_1_and_have_the_moments_that_the_process_states(t):
    for process in (mz.RandomWalk(), mz.RandomWalk(p=0.3), mz.PoissonProcess(rate=3.0)):
        k = np.arange(-60, 500)
        p = process.probability(k, t, 2)
        assert p.sum() == pytest.approx(1.0, abs=1e-12)
        assert (p * k).sum() == pytest.approx(process.mean(t, 2), abs=1e-9)
        square = (p * (k - process.mean(t, 2)) ** 2).sum()
        assert square == pytest.approx(process.variance(t, 2), abs=1e-8)


def test_probabilities_are_those_of_scipy():
    k = np.arange(0, 400)
    poisson = mz.PoissonProcess(rate=30.0)
    assert poisson.probability(k + 5, 4.0, 5) == pytest.approx(
        stats.poisson(120.0).pmf(k), rel=1e-11, abs=1e-300
    )
    walk = mz.RandomWalk(p=0.3)
    assert walk.probability(2 * k - 50 + 3, 50, 3) == pytest.approx(
        stats.binom(50, 0.3).pmf(k), rel=1e-12
    )
    big = mz.PoissonProcess(rate=1e6)
    at = np.array([10**6 - 3000, 10**6, 10**6 + 3000])
    assert big.probability(at, 1.0) == pytest.approx(stats.poisson(1e6).pmf(at), rel=1e-8)


def test_what_cannot_be_reached_has_probability_0():
    assert mz.RandomWalk().probability([1, 0.5, 6, -6], 4).tolist() == [0, 0, 0, 0]
    assert mz.PoissonProcess(rate=1.0).probability([-1, 0.5], 1.0).tolist() == [0, 0]
    assert mz.RandomWalk(p=1.0).probability([3, 1, -3], 3).tolist() == [1, 0, 0]
    assert mz.RandomWalk(p=0.0).probability([3, 1, -3], 3).tolist() == [0, 0, 1]
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    assert chain.probability([-1, 2, 0.5], 3, 0).tolist() == [0, 0, 0]


def test_probabilities_of_a_chain_are_its_distribution():
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    assert chain.probability([0, 1], 5, 1).tolist() == chain.distribution(5, "storm").tolist()
    assert chain.probability(1, 1, 0) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="x0"):
        chain.probability(0, 1, 2)
    with pytest.raises(ValueError, match="t"):
        chain.probability(0, -1, 0)
