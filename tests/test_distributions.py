"""Distributions of parameters: values by address, exact quantiles, both implementations."""

import hashlib
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import montezarr as mz
from montezarr.random.distributions import _base, _kernel, _reference
from montezarr.random.distributions._base import FIRST_SLOT, parameter_slot, parameter_slots
from montezarr.random.distributions._built_in import (
    as_distribution,
    built_in_distributions,
    distribution_from_dict,
)
from montezarr.random.distributions._densities import MAX_SHAPE, MIN_SHAPE
from montezarr.random.seeding import as_root_seed

LEAST = 2.0**-54
EXAMPLES = [example for kind in built_in_distributions().values() for example in kind.examples()]
SINGLE = [example for example in EXAMPLES if not example.names]
MODULES = {"reference": _reference, "kernel": _kernel}


@pytest.fixture(params=MODULES)
def implementation(request, monkeypatch):
    """Compute by one implementation, whatever the number of values."""
    least = 0 if request.param == "kernel" else 2**62
    monkeypatch.setattr(_base, "KERNEL_FROM", least)
    return request.param


def drawn(distribution, seed, **options):
    """Return the values that a distribution draws as one array (parameters, n)."""
    if distribution.names:
        return np.stack(list(distribution.draw(seed, **options).values()))
    return distribution.draw(seed, "rate", **options)[None]


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, "<f8").tobytes()).hexdigest()[:16]


# The address of a value


def test_a_slot_is_of_the_name_alone_and_belongs_to_the_run():
    word = hashlib.sha256("σ".encode()).digest()[:4]
    assert parameter_slot("σ") == 2**31 + int.from_bytes(word, "little") % 2**31
    slots = {parameter_slot(f"parameter {k}") for k in range(1000)}
    assert len(slots) == 1000
    assert min(slots) >= FIRST_SLOT
    assert max(slots) < 2**32


def test_two_names_of_one_slot_are_refused():
    first, second = "theta_58264", "theta_81382"
    assert parameter_slot(first) == parameter_slot(second)
    with pytest.raises(mz.ArgumentValueError, match="with another slot than 'theta_58264', got"):
        mz.JointNormal(mean={first: 0.0, second: 0.0}, sd=[1.0, 1.0])
    assert parameter_slots(["b", "a", "b"]) == {"b": parameter_slot("b"), "a": parameter_slot("a")}


def test_values_can_be_made_by_hand():
    key = np.random.SeedSequence(42).generate_state(2)
    slot = 2**31 + int(np.frombuffer(hashlib.sha256(b"R0").digest(), "<u4")[0]) % 2**31
    k = []
    for path in range(50, 60):  # Philox is tested in test_draws.py
        w = mz.Draws(tuple(key.tolist()), path, 1).words(0, slot)[:, 0].tolist()
        k.append(w[1] << 21 | w[0] >> 11)
    u = [(number + 0.5) * 2.0**-53 for number in k]
    found = mz.Normal(2.0, 0.3).draw(42, "R0", start=50, n=10)
    assert found == pytest.approx(stats.norm(2.0, 0.3).ppf(u), rel=1e-14)
    found = mz.Uniform(0.0, 1.0).draw(42, "R0", start=50, n=10)
    assert found == pytest.approx(u, rel=1e-15)


def test_uniforms_are_exact_in_both_tails_and_never_at_an_end():
    k = np.array([0, 1, 2**51 + 7, 2**52 - 1, 2**52, 2**53 - 2, 2**53 - 1])
    for module in MODULES.values():
        tail = module.tails(k * 2.0**-53)
        expected = [-(2 * int(i) + 1) if i < 2**52 else 2 * (2**53 - 1 - int(i)) + 1 for i in k]
        assert (tail * 2.0**54).tolist() == expected


@pytest.mark.parametrize("distribution", EXAMPLES, ids=repr)
def test_any_range_of_paths_has_the_values_of_the_whole(distribution):
    whole = drawn(distribution, 7, start=2**32 - 700, n=1500)
    for start, stop in ((0, 0), (0, 1), (1, 20), (20, 900), (900, 1500)):
        part = drawn(distribution, 7, start=2**32 - 700 + start, n=stop - start)
        assert part.tobytes() == np.ascontiguousarray(whole[:, start:stop]).tobytes()


def test_seed_stream_and_name_have_values_of_their_own():
    prior = mz.Normal(0.0, 1.0)
    base = prior.draw(1, "mu", n=4)
    assert (base == prior.draw(1, "mu", n=4)).all()
    for other in (
        prior.draw(2, "mu", n=4),
        prior.draw(1, "nu", n=4),
        prior.draw(1, "mu", n=4, stream="asset 2"),
    ):
        assert not set(other) & set(base)
    key = as_root_seed(1, "asset 2").philox_key()
    low_level = prior.of_paths(key, parameter_slot("mu"), 3, 2)
    assert (low_level == prior.draw(1, "mu", start=3, n=2, stream="asset 2")).all()


# The bits are a format


DIGESTS = {
    "Beta(a=2.0, b=5.0)": "de093075386bbb4b",
    "Beta(a=0.5, b=0.5)": "484ab839e79c2155",
    "Beta(a=1000000.0, b=1.0)": "6bffd2bb62a67557",
    "Discrete(values=(2.0, 1.0, 5.0), probabilities=(0.25, 0.25,": "10332393c96154df",
    "Discrete(values=(-1.0, 0.5, 3.0), probabilities=None)": "4a468cabcd9debce",
    "Gamma(shape=2.5, scale=0.5)": "e85ef02b4527e316",
    "Gamma(shape=0.3, scale=4.0)": "a3be9e35f0e1e67e",
    "Gamma(shape=1000000.0, scale=1.0)": "68afbcc352ea96fa",
    "JointNormal(mean=(('a', 1.0), ('b', -2.0)), covariance=((0.": "e163bcd909011f17",
    "LogNormal(mean=0.0, sd=1.0)": "0a9fdf0e2a52d421",
    "LogNormal(mean=-2.0, sd=0.25)": "a76302739cc3a8fb",
    "Normal(mean=0.0, sd=1.0)": "cba5eb7fc9df062d",
    "Normal(mean=-2.0, sd=0.25)": "320292ec53b6cc8a",
    "Uniform(low=0.0, high=1.0)": "5aac806fbe52ebff",
    "Uniform(low=-3.5, high=11.0)": "66e4a836187f3487",
}


@pytest.mark.parametrize("distribution", EXAMPLES, ids=repr)
def test_values_keep_their_bits(distribution, implementation):
    values = drawn(distribution, 42, start=10**12, n=700)
    assert digest(values) == DIGESTS[repr(distribution)[:59]]


def test_quantiles_keep_their_bits_over_all_shapes(implementation):
    tail = ends(300)
    shapes = (1e-3, 0.02, 0.5, 1.0, 7.5, 4e3, 1e6, 1e9)
    gamma = [mz.Gamma(shape, 1.0).at_tails(tail) for shape in shapes]
    beta = [mz.Beta(a, b).at_tails(tail) for a in shapes[::2] for b in shapes[1::2]]
    assert digest(np.stack(gamma)) == "2320b97919461acd"
    assert digest(np.stack(beta)) == "2fd39be1ba86b4d7"


def ends(n):
    """Return signed tail probabilities, in both tails from 1/2 down to the least."""
    halvings = np.linspace(1, 53, n).round(2)
    p = np.ldexp(1.0 - (halvings % 1.0) / 2, -halvings.astype(int))  # the same on every machine
    p[-1] = LEAST
    return np.concatenate([-p, p[::-1]])


SHAPES = st.floats(np.log(MIN_SHAPE), np.log(MAX_SHAPE)).map(
    lambda x: float(np.clip(np.exp(x), MIN_SHAPE, MAX_SHAPE))
)


@given(SHAPES, SHAPES, st.integers(0, 2**32))
@settings(deadline=None, max_examples=8)
def test_kernel_and_reference_agree_on_every_bit(a, b, seed):
    rng = np.random.default_rng(seed)
    tail = np.concatenate([ends(20), _reference.tails(rng.random(500))])
    gamma, beta = _base_tables(a, b)
    for name, arguments in (
        ("normal", ()),
        ("uniform", (-a, b)),
        ("affine", (a, b, False)),
        ("affine", (np.log(a), np.log10(b + 1), True)),
        ("scaled_exp", (gamma, a)),
        ("logistic", (beta,)),
    ):
        one, other = (getattr(module, name)(tail, *arguments) for module in MODULES.values())
        assert one.tobytes() == other.tobytes()
        assert not np.isnan(one).any()


def _base_tables(a, b):
    from montezarr.random.distributions._densities import beta_table, gamma_table

    return gamma_table(a), beta_table(a, b)


# Quantiles are right


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        (mz.Normal(0.3, 2.0), stats.norm(0.3, 2.0)),
        (mz.LogNormal(0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
        (mz.Gamma(0.4, 2.0), stats.gamma(0.4, scale=2.0)),
        (mz.Gamma(1.0, 1.0), stats.expon()),
        (mz.Gamma(150.0, 0.1), stats.gamma(150.0, scale=0.1)),
        (mz.Beta(0.5, 0.5), stats.arcsine()),
        (mz.Beta(2.0, 5.0), stats.beta(2.0, 5.0)),
        (mz.Beta(40.0, 0.7), stats.beta(40.0, 0.7)),
        (mz.Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    ],
    ids=lambda value: repr(value) if isinstance(value, mz.Distribution) else value.dist.name,
)
def test_quantiles_are_those_of_scipy_in_both_tails(distribution, law):
    p = np.abs(ends(400)[:400])
    # The quantile of the normal distribution is near 0 where it is no longer relative.
    near = 1e-15 if distribution.low < 0 else 0.0
    np.testing.assert_allclose(distribution.at_tails(-p), law.ppf(p), rtol=1e-12, atol=near)
    np.testing.assert_allclose(distribution.at_tails(p), law.isf(p), rtol=1e-12, atol=near)
    mean, variance = distribution.moments()
    assert (mean, variance) == pytest.approx((law.mean(), law.var()), rel=1e-12)


TO_40_DIGITS = [  # of mpmath 1.3; a negative probability is one of the upper tail
    (mz.Gamma(0.001, 1.0), -1e-05, 3.2120674518989703),
    (mz.Gamma(0.001, 1.0), -LEAST, 27.188377033440397),
    (mz.Gamma(0.05, 1.0), 1e-05, 5.844632057286584e-101),
    (mz.Gamma(0.05, 1.0), 0.3, 2.0378971887326644e-11),
    (mz.Gamma(0.7, 1.0), LEAST, 5.226909385844261e-24),
    (mz.Gamma(12.0, 1.0), LEAST, 0.23805312653974637),
    (mz.Gamma(12.0, 1.0), -LEAST, 66.230337152691066),
    (mz.Gamma(1e6, 1.0), LEAST, 991730.21243006863),
    (mz.Gamma(1e6, 1.0), 1e-05, 995740.83764362175),
    (mz.Gamma(1e6, 1.0), 0.3, 999475.35791723596),
    (mz.Gamma(1e6, 1.0), -1e-05, 1004270.621882642),
    (mz.Gamma(1e6, 1.0), -LEAST, 1008314.9630352318),
    (mz.Beta(0.001, 2.0), -1e-05, 0.86522321430346297),
    (mz.Beta(0.001, 2.0), -LEAST, 0.9999996669664184),
    (mz.Beta(0.3, 0.1), LEAST, 5.8321410288144797e-53),
    (mz.Beta(0.3, 0.1), 0.3, 0.72098931498089685),
    (mz.Beta(2.0, 5.0), LEAST, 1.923731643031798e-9),
    (mz.Beta(800.0, 0.5), LEAST, 0.95710215991813731),
    (mz.Beta(800.0, 0.5), 0.3, 0.99932864427880962),
]


@pytest.mark.parametrize(("distribution", "p", "expected"), TO_40_DIGITS)
def test_quantiles_of_extreme_shapes_are_exact(distribution, p, expected):
    assert distribution.at_tails(np.array([-p]))[0] == pytest.approx(expected, rel=1e-13)


@given(SHAPES, SHAPES)
@settings(deadline=None, max_examples=8)
def test_the_probability_of_a_quantile_is_where_it_was_taken(a, b):
    p = np.abs(ends(60)[:60])
    for x, lower, upper, slope in (
        _with_probabilities(mz.Gamma(a, 1.0), p, special.gammainc, special.gammaincc, a),
        _with_probabilities(mz.Beta(a, b), p, special.betainc, special.betaincc, a, b),
    ):
        low, high = x
        # SciPy's lower tail has six digits for large shapes.
        spread = 1e-12 * (1 + slope) if max(a, b) < 1e3 else 1e-5 * (1 + slope)
        is_number = (low > 1e-290) & (low < 0.999)
        np.testing.assert_allclose(lower[is_number], p[is_number], rtol=spread)
        is_number = (high > 1e-290) & (high < 0.999)
        np.testing.assert_allclose(upper[is_number], p[is_number], rtol=spread)


def _with_probabilities(distribution, p, lower, upper, *shapes):
    low, high = distribution.at_tails(-p), distribution.at_tails(p)
    # How many units p moves for a unit of x, both relative: about 8 standard deviations at most.
    slope = 80 * np.sqrt(min(shapes))
    return (low, high), lower(*shapes, low), upper(*shapes, high), slope


@given(SHAPES, SHAPES, st.integers(0, 2**32))
@settings(deadline=None, max_examples=8)
def test_quantiles_increase(a, b, seed):
    u = np.sort(np.random.default_rng(seed).random(2000))
    tail = _reference.tails(u)
    for distribution in (mz.Gamma(a, b), mz.Beta(a, b), mz.Normal(-a, b), mz.Uniform(-a, b)):
        values = np.concatenate(
            [[distribution.low], distribution.at_tails(tail), [distribution.high]]
        )
        assert (np.diff(values) >= 0).all()


def test_tails_of_a_symmetric_distribution_are_mirrored_to_the_bit():
    tail = ends(500)
    z = _reference.normal(tail)
    assert z.tobytes() == (-z[::-1]).tobytes()
    assert z[0] == 0.0
    assert z[500] == pytest.approx(8.292361075813595, rel=1e-15)


def test_a_quantile_is_taken_at_probabilities_that_draws_reach():
    prior = mz.Normal(1.0, 2.0)
    assert prior.quantile(0.5) == 1.0
    assert type(prior.quantile(0.25)) is float
    grid = np.array([[0.1, 0.5], [0.9, 1 - 2.0**-53]])
    assert prior.quantile(grid) == pytest.approx(stats.norm(1.0, 2.0).ppf(grid), rel=1e-14)
    assert prior.quantile(LEAST) == prior.low
    assert prior.low < prior.quantile(2 * LEAST)
    for wrong in (0.0, 1.0, -0.1, float("nan"), [0.5, 1e-17]):
        with pytest.raises(mz.ArgumentValueError, match=r"p: expected probabilities >= 2\*\*-54"):
            prior.quantile(wrong)
    with pytest.raises(mz.ArgumentTypeError, match="p: expected probabilities, got 'half'"):
        prior.quantile("half")


@pytest.mark.parametrize("distribution", SINGLE, ids=repr)
def test_draws_lie_between_low_and_high_and_these_are_reached(distribution, implementation):
    reached = distribution.at_tails(_reference.tails(np.array([0.0, 1 - 2.0**-53])))
    assert np.isfinite(reached).all()
    if not isinstance(distribution, mz.Uniform):  # whose low and high are its parameters
        assert reached.tolist() == [distribution.low, distribution.high]
    values = distribution.draw(3, "x", n=20_000)
    assert distribution.low <= values.min()
    assert values.max() <= distribution.high


# Draws have the distribution


@pytest.mark.parametrize("distribution", SINGLE, ids=repr)
def test_mean_and_variance_of_draws(distribution):
    values = distribution.draw(2024, "theta", n=200_000)
    mean, variance = distribution.moments()
    centred = values - mean
    assert abs(centred.mean()) < 4 * np.sqrt(variance / len(values))
    fourth = (centred**4).mean()
    error = np.sqrt((fourth - variance**2) / len(values))
    assert abs((centred**2).mean() - variance) < 4 * error


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        (mz.Normal(0.3, 2.0), stats.norm(0.3, 2.0)),
        (mz.Gamma(0.4, 2.0), stats.gamma(0.4, scale=2.0)),
        (mz.Beta(2.0, 5.0), stats.beta(2.0, 5.0)),
        (mz.Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    ],
    ids=lambda value: repr(value) if isinstance(value, mz.Distribution) else value.dist.name,
)
def test_draws_pass_the_test_of_kolmogorov_and_smirnov(distribution, law):
    assert stats.kstest(distribution.draw(77, "theta", n=50_000), law.cdf).pvalue > 1e-3


# Discrete


def test_a_discrete_quantile_is_the_least_value_with_this_probability():
    given = mz.Discrete([5, 1.0, 2], [0.5, 0.25, 0.25])
    p = [0.1, 0.25, 0.2500001, 0.5, 0.5000001, 0.9]
    assert given.quantile(p).tolist() == [1, 1, 2, 2, 5, 5]
    assert (given.low, given.high, given.values) == (1.0, 5.0, (5.0, 1.0, 2.0))
    rare = mz.Discrete([0, 1, 2], [2.0**-60, 1 - 2.0**-53, 2.0**-53])
    assert (rare.low, rare.high) == (1.0, 2.0)
    assert mz.Discrete([3.0]).draw(1, "a", n=3).tolist() == [3.0, 3.0, 3.0]
    assert mz.Discrete([1, 2], [0.0, 1.0]).low == 2.0


def test_a_discrete_distribution_of_many_values_is_exact_and_quick():
    many = mz.Discrete(np.arange(20_000))
    p = (np.arange(20_000) + 0.5) / 20_000
    assert (many.quantile(p) == np.arange(20_000)).all()


# Several together


def test_a_joint_distribution_has_its_covariance():
    covariance = np.array([[0.25, -0.12, 0.0], [-0.12, 0.16, 0.05], [0.0, 0.05, 1.0]])
    prior = mz.JointNormal({"kappa": 2.0, "theta": 0.04, "xi": -1.0}, covariance)
    found = drawn(prior, 5, n=200_000)
    assert found.mean(axis=1) == pytest.approx([2.0, 0.04, -1.0], abs=0.01)
    np.testing.assert_allclose(np.cov(found), covariance, atol=0.01)
    assert prior.names == ("kappa", "theta", "xi")
    assert prior.moments()["theta"] == (0.04, 0.16)
    for name, values in prior.draw(5, n=2000).items():
        assert prior.low[name] <= values.min()
        assert values.max() <= prior.high[name]


def test_a_joint_distribution_is_made_of_the_normal_draws_of_its_names():
    prior = mz.JointNormal(
        mean={"a": 1.0, "b": -2.0}, sd=[0.5, 3.0], correlation=[[1, 0.6], [0.6, 1]]
    )
    z = {name: mz.Normal(0.0, 1.0).draw(9, name, n=600) for name in "ab"}
    found = prior.draw(9, n=600)
    assert (found["a"] == 1.0 + 0.5 * z["a"]).all()
    np.testing.assert_allclose(found["b"], -2.0 + 1.8 * z["a"] + 2.4 * z["b"], atol=1e-14)
    slot = parameter_slot("b")
    key = as_root_seed(9).philox_key()
    assert (prior.of_paths(key, slot, 0, 600) == found["b"]).all()
    alone = mz.JointNormal(mean={"b": -2.0}, sd=[3.0])
    assert (alone.draw(9, n=5)["b"] == mz.Normal(-2.0, 3.0).draw(9, "b", n=5)).all()


# JSON


@pytest.mark.parametrize("distribution", EXAMPLES, ids=repr)
def test_json_and_pickle_bring_a_distribution_back(distribution):
    data = json.loads(json.dumps(distribution.to_dict()))
    found = distribution_from_dict(data)
    assert found == distribution
    assert hash(found) == hash(distribution)
    assert pickle.loads(pickle.dumps(distribution)) == distribution
    assert drawn(found, 1, n=5).tobytes() == drawn(distribution, 1, n=5).tobytes()
    assert as_distribution(distribution) is distribution


def test_only_distributions_of_the_list_are_read():
    for name in ("Distribution", "os.system", None, 3):
        with pytest.raises(mz.ArgumentValueError, match=r"name: expected one of Beta, .*, scipy"):
            distribution_from_dict({"name": name})
    data = {**mz.Normal(0, 1).to_dict(), "scale": 1.0}
    with pytest.raises(mz.ArgumentValueError, match="unknown parameter 'scale'"):
        distribution_from_dict(data)


def test_making_and_describing_a_distribution_imports_neither_numba_nor_scipy():
    code = (
        "import sys, montezarr as mz; prior = mz.Gamma(2.0, 1.0); prior.draw(1, 'a', n=10);"
        "prior.low, prior.to_dict(); print({'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mz.Uniform(1, 1), r"high: expected a number > low = 1, got 1\.0"),
        (lambda: mz.Uniform(-1e308, 1e308), "high: expected high - low to be a finite number"),
        (lambda: mz.Uniform("a", 1), "low: expected a finite number, got 'a' of type str"),
        (lambda: mz.Normal(0, 0), "sd: expected a finite number > 0, got 0"),
        (lambda: mz.Normal(0, float("nan")), "sd: expected a finite number > 0, got nan"),
        (lambda: mz.Normal(0, 1e308), "sd: expected a distribution of finite numbers"),
        (lambda: mz.LogNormal(0, 100), "sd: expected a distribution of finite numbers"),
        (lambda: mz.Gamma(1e-4, 1), r"shape: expected a finite number >= 0\.001 and <= 1e\+09"),
        (lambda: mz.Gamma(2, 0), r"scale: expected a finite number >= 1e-290, got 0"),
        (lambda: mz.Gamma(2, 1e308), "scale: expected a distribution of finite numbers"),
        (lambda: mz.Beta(2, 0), r"b: expected a finite number >= 0\.001 and <= 1e\+09, got 0"),
        (lambda: mz.Discrete([]), "values: expected finite numbers in 1 dimension"),
        (lambda: mz.Discrete([1, 2], [0.5]), "one probability for each of 2 values"),
        (lambda: mz.Discrete([1, 2], [1.5, -0.5]), r"probabilities: expected numbers >= 0, got -0"),
        (lambda: mz.Discrete([1, 2], [1, 2]), r"probabilities: expected the sum 1, got 3\.0\. Div"),
        (lambda: mz.JointNormal({}, []), "mean: expected a mapping of the names"),
        (lambda: mz.JointNormal(3, [[1]]), "mean: expected a mapping of the names"),
        (lambda: mz.JointNormal({3: 1}, [[1]]), "name: expected the name of a parameter, got 3"),
        (lambda: mz.JointNormal([("a", 1), ("a", 2)], np.eye(2)), "mean: expected each name once"),
        (lambda: mz.JointNormal({"a": "b"}, [[1]]), r"mean\['a'\]: expected a finite number"),
        (lambda: mz.JointNormal({"a": 1}), "covariance: expected a matrix, or sd=, got None"),
        (lambda: mz.JointNormal({"a": 1}, np.eye(2)), r"a matrix \(1, 1\), for 1 parameters, got"),
        (
            lambda: mz.JointNormal({"a": 1, "b": 1}, [[1, 0.5], [0.4, 1]]),
            "covariance: expected a symmetric matrix",
        ),
        (
            lambda: mz.JointNormal({"a": 1, "b": 1}, [[1, 2], [2, 1]]),
            "covariance: expected a positive definite matrix",
        ),
        (lambda: mz.JointNormal({"a": 1}, [[1]], sd=[1]), "sd: expected None where covariance"),
        (lambda: mz.JointNormal({"a": 1}, sd=[1, 2]), "sd: expected 1 numbers"),
        (lambda: mz.JointNormal({"a": 1}, sd=[0]), "sd: expected a finite number > 0"),
        (
            lambda: mz.JointNormal({"a": 1}, sd=[1], correlation=[[2]]),
            "correlation: expected ones on the diagonal",
        ),
        (lambda: mz.JointNormal({"a": 1}, sd=[1]).draw(1, "a"), "name: expected None, since"),
        (lambda: mz.JointNormal({"a": 1}, sd=[1]).quantile(0.5), "a distribution of one parameter"),
        (lambda: mz.Normal(0, 1).draw(1), "name: expected the name of a parameter, got None"),
        (lambda: mz.Normal(0, 1).draw(1, ""), "name: expected the name of a parameter, got ''"),
        (lambda: mz.Normal(0, 1).draw(1, "\ud800"), "It cannot be written in UTF-8"),
        (lambda: mz.Normal(0, 1).draw(-1, "a"), "seed: expected a non-negative integer"),
        (lambda: mz.Normal(0, 1).draw(1, "a", start=2**63 - 1, n=2), "n: expected"),
    ],
)
def test_bad_input_is_refused_by_name(make, message):
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=message):
        make()
