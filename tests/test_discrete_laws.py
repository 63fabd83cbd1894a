"""Laws of chains, walks and counts: probabilities that sum to 1, near and far, and their checks."""

import numpy as np
import pytest
from scipy import stats

import montezarr as mz

WEATHER = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
LONG = [10**3, 10**6, 10**12, 10**18, 2**62 + 12345, 2**63 - 1]


@pytest.mark.parametrize("t", LONG)
def test_a_chain_reaches_its_stationary_law_and_stays(t):
    for start in ("calm", "storm"):
        found = WEATHER.distribution(t, start)
        np.testing.assert_allclose(found, [5 / 6, 1 / 6], rtol=1e-13)
        assert found.sum() == pytest.approx(1.0, abs=4e-16)
    assert WEATHER.probability([0, 1, 2, 0.5], t, 0) == pytest.approx([5 / 6, 1 / 6, 0, 0])


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_rows_of_any_power_sum_to_1_and_are_the_stationary_law(n):
    rng = np.random.default_rng(n)
    matrix = rng.dirichlet(np.full(n, 0.3), size=n)
    chain = mz.MarkovChain(transition=matrix)
    values, vectors = np.linalg.eig(np.array(chain.transition).T)
    law = np.real(vectors[:, np.argmax(values.real)])
    law /= law.sum()
    for t in LONG:
        for start in range(0, n, 5):
            found = chain.distribution(t, start)
            assert found.sum() == pytest.approx(1.0, abs=1e-14)
            np.testing.assert_allclose(found, law, atol=1e-11)


def test_a_chain_that_returns_is_where_it_was():
    cycle = mz.MarkovChain(transition=[[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    for t in LONG:
        assert cycle.distribution(t, 0).tolist() == np.eye(3)[t % 3].tolist()


@pytest.mark.parametrize("p", [1e-18, 1e-12, 1e-6])
def test_a_chain_that_hardly_moves_moves_in_the_end(p):
    slow = mz.MarkovChain(transition=[[1 - p, p], [p, 1 - p]])
    for t in (10**6, 10**12, 10**18):
        expected = -np.expm1(-2 * p * t) / 2
        assert slow.distribution(t, 0)[1] == pytest.approx(expected, rel=1e-5)
        assert slow.distribution(t, 0).sum() == pytest.approx(1.0, abs=4e-16)


@pytest.mark.parametrize("t", [0, 1, 2, 3, 10, 31])
def test_short_times_are_powers(t):
    matrix = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.0, 0.5, 0.5]])
    chain = mz.MarkovChain(transition=matrix)
    for start in range(3):
        expected = np.linalg.matrix_power(matrix, t)[start]
        np.testing.assert_allclose(chain.distribution(t, start), expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 7, 100])
def test_rows_of_each_precision_are_normalised(dtype, n):
    matrix = np.full((n, n), 1 / n).astype(dtype)
    for given in (matrix, [list(row) for row in matrix]):
        chain = mz.MarkovChain(transition=given)
        np.testing.assert_allclose(chain.transition, 1 / n, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(np.sum(chain.transition, axis=1), 1.0, rtol=1e-14)
        assert mz.MarkovChain.from_dict(chain.to_dict()) == chain
    rng = np.random.default_rng(n)
    rows = rng.dirichlet(np.ones(n), size=n).astype(dtype)
    np.testing.assert_allclose(
        np.sum(mz.MarkovChain(transition=rows).transition, axis=1), 1.0, rtol=1e-14
    )


@pytest.mark.parametrize(
    ("row", "expected"), [([1.0, -1e-17], [1.0, 0.0]), ([-1e-16, 1.0], [0.0, 1.0])]
)
def test_what_is_0_but_for_rounding_is_0(row, expected):
    chain = mz.MarkovChain(transition=[row, [0.5, 0.5]])
    assert chain.transition[0] == tuple(expected)
    assert not (np.signbit(chain.transition)).any()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[0.5, 0.5], [1.5, -0.5]], "got -0.5 in row 1, column 1"),
        ([[0.5, 0.5], [1.0 + 1e-9, -1e-9]], "got -1e-09 in row 1, column 1"),
        ([[0.5, 0.4], [0.0, 1.0]], "got a sum of 0.9 in row 0"),
        ([[0.5, 0.5], [0.0, 1 + 1e-6]], "got a sum of 1.000001 in row 1"),
        (np.array([[0.5, 0.5], [0.0, 0.999]], np.float32), "in row 1"),
        ([[1 / 3, 2 / 3], [0.33, 0.67001]], "within 1e-08, got a sum of 1.00001 in row 1"),
    ],
)
def test_the_entry_or_row_at_fault_is_named(matrix, words):
    with pytest.raises(ValueError, match="transition: expected probabilities") as caught:
        mz.MarkovChain(transition=matrix)
    assert words in str(caught.value)


@pytest.mark.parametrize("mean", [1e3, 1e6, 1e9, 1e12])
def test_a_count_far_on_has_its_law(mean):
    poisson = mz.PoissonProcess(rate=mean)
    sigma = mean**0.5
    k = np.unique(np.round(mean + sigma * np.linspace(-3, 3, 101)))
    x = (k - mean) / sigma
    # Edgeworth's expansion, whose next term is smaller than 1 / mean.
    expected = np.exp(-(x**2) / 2) / (2 * np.pi * mean) ** 0.5 * (1 + (x**3 - 3 * x) / (6 * sigma))
    np.testing.assert_allclose(poisson.probability(k, 1.0), expected, rtol=25 / mean + 1e-12)
    near = np.arange(np.floor(mean - 9 * sigma), mean + 9 * sigma)
    if len(near) < 10**6:
        assert poisson.probability(near, 1.0).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.3, 0.999])
@pytest.mark.parametrize("t", [10**3, 10**6, 10**9])
def test_a_walk_far_on_has_its_law(t, p):
    walk = mz.RandomWalk(p=p)
    mean, sigma = walk.mean(t), walk.variance(t) ** 0.5
    k = np.arange(np.floor(mean - 9 * sigma) - 60, mean + 9 * sigma + 60)
    found = walk.probability(k, t)
    assert found.sum() == pytest.approx(1.0, abs=1e-9)
    assert (found * k).sum() == pytest.approx(mean, abs=1e-6 * t**0.5)


def test_laws_are_those_of_scipy_everywhere():
    k = np.arange(0, 3000)
    for mean in (1e-3, 0.7, 5.0, 40.0, 800.0, 2500.0):
        found = mz.PoissonProcess(rate=mean).probability(k, 1.0)
        np.testing.assert_allclose(found, stats.poisson(mean).pmf(k), rtol=1e-11, atol=1e-300)
    for n in (1, 2, 15, 16, 17, 400):
        for p in (0.0, 1e-5, 0.3, 0.5, 1.0):
            found = mz.RandomWalk(p=p).probability(2 * np.arange(n + 1) - n, n)
            expected = stats.binom(n, p).pmf(np.arange(n + 1))
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-300)
    assert mz.RandomWalk(p=1.0).probability(0, 0) == 1.0
    assert mz.PoissonProcess(rate=2.0).probability([0, 1], 0.0).tolist() == [1.0, 0.0]
