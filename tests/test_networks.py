"""Paths of reaction networks: the numbers they are made of, the contracts, and known laws."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import SamplerError

REACTIONS = ["S + I -> 2 I @ beta / N", "I -> R @ gamma"]
PARAMETERS = {"beta": 2.0, "gamma": 1.0, "N": "S + I + R"}
SIR = mz.ReactionNetwork(
    species={"S": 90, "I": 10, "R": 0}, reactions=REACTIONS, parameters=PARAMETERS
)
OF_EVENTS = mz.ReactionNetwork(
    species={"S": 90, "I": 10, "R": 0}, reactions=REACTIONS, parameters=PARAMETERS,
    output="events", record=["I"],
)  # fmt: skip
RUN = {"T": 10, "dt": 0.5, "seed": 3}
SPAN = {"times": [0.0, 5.0], "seed": 3}

SEASONS = mz.ReactionNetwork(
    species={"X": 4},
    reactions=[
        "0 -> X @ k * (1 + sin(2 * pi * t)) + where(t > 2, t - 2, 0)",
        "X -> 0 @ d / (1 + t)",
    ],
    parameters={"k": 3.0, "d": 0.5},
)


def alike(a, b):
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def same(a, b):
    return all(alike(a[name].values, b[name].values) for name in b.data_vars)


# --- the numbers ---------------------------------------------------------------------------------


def test_event_e_takes_the_exponential_of_step_2e_and_the_uniform_number_of_step_2e_plus_1():
    ds = mz.simulate(SIR, n_paths=2, **RUN)
    for path in range(2):
        draws = mz.Draws.of(3, start=path, n=1)
        s, i, r, t, states = 90, 10, 0, 0.0, []
        for event in range(200):
            rates = 2.0 / (s + i + r) * s * i, 1.0 * i
            total = rates[0] + rates[1]
            wait = draws.exponential(2 * event)[0] / total if total else np.inf
            while len(states) <= 10 and 0.5 * len(states) < t + wait:
                states.append((s, i, r))
            if len(states) > 10:
                break
            t += wait
            if draws.uniform(2 * event + 1)[0] * total < rates[0]:
                s, i = s - 1, i + 1
            else:
                i, r = i - 1, r + 1
        for k, name in enumerate("SIR"):
            assert ds[name][path].values.tolist() == [state[k] for state in states]


BY_CLOCKS = mz.ReactionNetwork(
    species=SIR.species, reactions=REACTIONS, parameters=PARAMETERS, method="next_reaction"
)


def test_clocks_ring_at_the_exponential_numbers_of_a_path_in_order():
    ds = mz.simulate(BY_CLOCKS, n_paths=1, **RUN)
    numbers = iter(mz.Draws.of(3).exponential(range(600))[::2, 0])
    state, t, states = [90, 10, 0], 0.0, []
    clocks, rings = [0.0, 0.0], [next(numbers), next(numbers)]
    while len(states) <= 10:
        s, i, r = state
        rates = 2.0 / (s + i + r) * s * i, 1.0 * i
        left = [
            (ring - clock) / rate if rate else np.inf
            for ring, clock, rate in zip(rings, clocks, rates, strict=True)
        ]
        which = int(np.argmin(left))
        while len(states) <= 10 and 0.5 * len(states) < t + left[which]:
            states.append(tuple(state))
        if len(states) > 10:
            break
        clocks = [clock + rate * left[which] for clock, rate in zip(clocks, rates, strict=True)]
        t, clocks[which] = t + left[which], rings[which]
        rings[which] += next(numbers)
        state = [s - 1, i + 1, r] if which == 0 else [s, i - 1, r + 1]
    for k, name in enumerate("SIR"):
        assert ds[name][0].values.tolist() == [one[k] for one in states]


@pytest.mark.parametrize(
    "network",
    [BY_CLOCKS, pytest.param(SEASONS, marks=pytest.mark.slow), SIR],
    ids=["clocks", "thinning", "direct"],
)
def test_python_and_compiled_code_give_the_same_bits(network):
    grid = mz.TimeGrid.of(10, 0.5)
    x0 = network.check_x0(None, "int64")
    rows = [
        network.sample(mz.Draws.of(3, start=7, n=12, implementation=which), grid, x0)
        for which in ("kernel", "reference")
    ]
    assert np.array_equal(*rows)
    events = network.with_parameters()
    events.set_field("output", "events")
    found = [
        events.sample_events(mz.Draws.of(3, n=6, implementation=which), grid, x0, 64)
        for which in ("kernel", "reference")
    ]
    assert np.array_equal(found[0][1], found[1][1])
    for name, array in found[0][0].items():
        for j, count in enumerate(found[0][1]):
            kept = slice(min(count, 64))
            assert np.array_equal(array[kept, j], found[1][0][name][kept, j])


# --- contracts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "run"), [
        (SIR, RUN),
        pytest.param(OF_EVENTS, SPAN, marks=pytest.mark.slow),
        pytest.param(SEASONS, RUN, marks=pytest.mark.slow),
    ],
    ids=["grid", "events", "thinning"],
)  # fmt: skip
def test_chunks_stores_and_replay_give_the_same_paths(network, run, tmp_path):
    whole = mz.simulate(network, n_paths=3000, **run)
    parts = mz.simulate(network, n_paths=3000, chunks=1024, **run)
    assert same(parts, whole)
    again = mz.replay(parts, 2345)
    assert same(again, whole.isel(path=2345))
    mz.write(mz.simulate(network, n_paths=1024, **run), tmp_path / "s.zarr")
    mz.extend(tmp_path / "s.zarr", n_paths=3000)
    assert mz.verify(tmp_path / "s.zarr", level=3)
    stored = mz.open(tmp_path / "s.zarr")
    assert same(stored, whole.isel({d: slice(n) for d, n in stored.sizes.items()}))
    assert mz.replay(stored, 2999).sizes == {k: v for k, v in stored.sizes.items() if k != "path"}


@pytest.mark.slow
def test_reductions_and_virtual_stores_of_events_and_counts():
    ds = mz.simulate(OF_EVENTS, n_paths=2500, **SPAN)
    counts = mz.reduce(ds[["n_events"]], "mean")
    assert float(counts.n_events_mean) == ds.n_events.values.mean()
    for network, run in ((SIR, RUN), (OF_EVENTS, SPAN)):
        ds = mz.simulate(network, n_paths=2500, **run)
        again = xr.open_zarr(mz.VirtualStore(ds), consolidated=False, chunks=None)
        assert np.array_equal(again.I.values, ds.I.values, equal_nan=True)


def test_scenarios_and_paths_with_parameters_of_their_own_are_separate_runs():
    ds = mz.simulate(
        SIR, n_paths=1100, **RUN,
        vary={"beta": xr.DataArray([0.5, 2.0], dims="beta"), "gamma": mz.Uniform(0.5, 1.5)},
    )  # fmt: skip
    for path in (0, 1099):
        one = SIR.with_parameters(gamma=float(ds.gamma[path]), beta=0.5)
        alone = mz.simulate(one, n_paths=path + 1, **RUN)
        assert np.array_equal(alone.I[path].values, ds.I.isel(beta=0)[path].values)
    starts = {"S": xr.DataArray([50, 90], dims="start"), "I": 10, "R": 0}
    ds = mz.simulate(SIR, n_paths=100, **RUN, vary={"x0": starts})
    assert np.array_equal(ds.I.isel(start=1).values, mz.simulate(SIR, 100, **RUN).I.values)
    each = {"S": np.arange(100), "I": np.full(100, 10), "R": np.zeros(100, int)}
    ds = mz.simulate(SIR, n_paths=100, x0=each, **RUN)
    alone = mz.simulate(SIR, n_paths=51, x0={"S": 50, "I": 10, "R": 0}, **RUN)
    assert np.array_equal(ds.R[50].values, alone.R[50].values)


def test_events_on_a_grid_are_the_paths_on_the_grid():
    ds = mz.simulate(OF_EVENTS, n_paths=500, **SPAN)
    on_grid = mz.on_grid(ds, np.arange(11) * 0.5, "I", before=10)
    assert np.array_equal(on_grid.values, mz.simulate(SIR, n_paths=500, **RUN).I.values)
    assert ds.reaction.attrs["flag_meanings"].split() == ["S_+_I_->_2_I", "I_->_R"]


@pytest.mark.slow
def test_a_record_of_some_species_has_their_paths_alone():
    one = mz.ReactionNetwork(
        species=SIR.species, reactions=REACTIONS, parameters=PARAMETERS, record=["R"]
    )
    ds = mz.simulate(one, n_paths=50, **RUN)
    assert list(ds.data_vars) == ["R"]
    assert np.array_equal(ds.R.values, mz.simulate(SIR, n_paths=50, **RUN).R.values)
    other = mz.simulate(one, n_paths=50, x0={"S": 0, "I": 10, "R": 0}, **RUN)
    assert other.R.values.max() <= 10


def test_room_for_events_is_told_and_may_cut_paths():
    with pytest.raises(SamplerError, match=r"path 0: returned more than 20 events"):
        mz.simulate(OF_EVENTS, n_paths=50, max_events=20, **SPAN).I.compute()
    cut = mz.simulate(OF_EVENTS, n_paths=50, max_events=20, on_overflow="truncate", **SPAN)
    whole = mz.simulate(OF_EVENTS, n_paths=50, **SPAN)
    assert np.array_equal(cut.n_events.values, np.minimum(whole.n_events.values, 20))
    assert np.array_equal(cut.truncated.values, whole.n_events.values > 20)
    assert np.array_equal(cut.I.values, whole.I.values[:, :20])


# --- failures ------------------------------------------------------------------------------------


FAILURES = [
    ("X => Y @ 3", ["'X => Y'", "a negative number at t=", "X=-1"]),
    ("X -> 2 X @ k", ["at most 5,000 events on a path"]),
    ("X -> 0 @ k - X0", ["rate of 'X -> 0'", ">= 0, got -"]),
    ("X -> 0 @ 1 - t", ["rate of 'X -> 0'", "got -", "at t="]),
    ("0 -> X @ 1 / (X - 5)", ["expected a finite sum, got inf"]),
    ("0 => X @ log(4 - X)", ["rate of '0 => X'", "got nan"]),
    ("0 -> X @ 1 / abs(t - 1)", ["rate of '0 -> X'", "a finite bound over the next", "inf at t="]),
    ("2 Y -> 0 @ 2 - k", ["rate of '2 Y -> 0'", ">= 0, got -1.0 at t=0", "Y=0"]),
]


@pytest.mark.parametrize(
    ("reaction", "messages"),
    [
        *FAILURES[:2],
        FAILURES[-1],
        *(pytest.param(*case, marks=pytest.mark.slow) for case in FAILURES[2:-1]),
    ],
)
def test_a_failure_names_path_time_reaction_and_state(reaction, messages):
    network = mz.ReactionNetwork(
        species={"X": 5, "Y": 0}, reactions=[reaction.replace("X0", "10")], event_limit=5000,
        parameters={"k": 3.0},
    )  # fmt: skip
    with pytest.raises(SamplerError) as caught:
        mz.simulate(network, n_paths=2000, T=3, dt=2.0, seed=1).X.compute()
    shown = str(caught.value)
    assert shown.startswith("ReactionNetwork: path 0")
    for message in messages:
        assert message in shown


@pytest.mark.slow
def test_the_lowest_path_that_fails_is_named():
    network = mz.ReactionNetwork(species={"X": 60}, reactions=["X => 0 @ where(X > 12, X, -1)"])
    with pytest.raises(SamplerError) as caught:
        mz.simulate(network, n_paths=2000, T=1, dt=1.2, seed=1).X.compute()
    path = caught.value.path
    assert path
    before = mz.simulate(network, n_paths=path, T=1, dt=1.2, seed=1).X.values
    assert before.min() > 12


@pytest.mark.parametrize(
    ("x0", "message"),
    [
        ({"S": -1, "I": 0, "R": 0}, r"x0\['S'\]: .* got -1"),
        ({"S": 2.5, "I": 0, "R": 0}, r"x0\['S'\]: .* got 2.5"),
        ({"S": 2**53, "I": 0, "R": 0}, "x0"),
        ({"S": 2, "I": 0}, "S, I, R"),
    ],
)
def test_initial_numbers_are_whole_and_not_negative(x0, message):
    with pytest.raises(ValueError, match=message):
        mz.simulate(SIR, n_paths=1, x0=x0, **RUN)


def test_numbers_beyond_the_dtype_are_refused_at_the_start_and_named_when_they_grow():
    growing = mz.ReactionNetwork(
        species={"X": 0, "Y": 0}, reactions=["Y -> 0 @ 1", "0 -> 3000000000 X @ 1"]
    )
    run = {"n_paths": 20, "times": [0.0, 100.0], "seed": 1}
    with pytest.raises(ValueError, match=r"x0\['X'\]: .* 0 to 2,147,483,647 \(dtype int32\)"):
        mz.simulate(growing, x0={"X": 2**33, "Y": 0}, dtype="int32", **run)
    assert mz.simulate(growing, **run).X.values[:, 1].min() > 2**31
    with pytest.raises(SamplerError) as caught:
        mz.simulate(growing, dtype="int32", **run).X.compute()
    for part in ("path 0", "'0 -> 3000000000 X'", "2,147,483,647 (dtype int32), got 3000000000"):
        assert part in str(caught.value)
    with pytest.raises(SamplerError, match=r"up to 9,007,199,254,740,991 \(dtype int64\)"):
        mz.simulate(growing, x0={"X": 2**53 - 9, "Y": 0}, **run).X.compute()


@pytest.mark.slow
def test_powers_of_the_time_are_rates():
    network = mz.ReactionNetwork(
        species={"X": 0, "Y": 0, "Z": 0}, parameters={"c": 0.5},
        reactions=["0 -> X @ 1 + t**3", "0 -> Y @ 4 * t**0.5 + t**c", "0 -> Z @ (1 + sin(t))**3"],
    )  # fmt: skip
    ds = mz.simulate(network, n_paths=4000, times=[0.0, 3.0], seed=4)
    t = np.linspace(0.0, 3.0, 30_001)
    rates = {"X": 1 + t**3, "Y": 5 * t**0.5, "Z": (1 + np.sin(t)) ** 3}
    for name, rate in rates.items():
        mean = ((rate[1:] + rate[:-1]) / 2).sum() * t[1]
        assert abs(ds[name].values[:, 1].mean() - mean) < 4 * np.sqrt(mean / 4000)


# --- laws ----------------------------------------------------------------------------------------


def final_sizes(n, infected, beta, gamma):
    """Return P(number of infections = k): the embedded walk of infections and recoveries."""
    s0 = n - infected
    law = np.zeros((s0 + 1, n + 1))  # by susceptibles and infected
    law[s0, infected] = 1.0
    out = np.zeros(s0 + 1)
    for s in range(s0, -1, -1):
        for i in range(n - s, 0, -1):
            up = beta * s / n / (beta * s / n + gamma)
            if s:
                law[s - 1, i + 1] += law[s, i] * up
            law[s, i - 1] += law[s, i] * (1 - up)
        out[s0 - s] = law[s, 0]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.8, 1.7])
def test_the_final_size_of_an_epidemic_has_its_exact_law(beta):
    n, paths = 200, 40_000
    network = SIR.with_parameters(beta=beta)
    run = {"times": [0.0, 1e4], "x0": {"S": n - 2, "I": 2, "R": 0}, "seed": 11}
    sizes = mz.simulate(network, n_paths=paths, **run).R.values[:, 1] - 2
    law = final_sizes(n, 2, beta, 1.0)
    assert abs(law.sum() - 1) < 1e-12
    found = np.bincount(sizes, minlength=len(law))
    edges = np.searchsorted(np.cumsum(law), np.linspace(0, 1, 21)[1:-1])
    groups = [np.add.reduceat(x, np.unique([0, *edges])) for x in (found, law * paths)]
    chi = ((groups[0] - groups[1]) ** 2 / groups[1]).sum()
    freedom = len(groups[0]) - 1
    assert chi < freedom + 4 * np.sqrt(2 * freedom)


@pytest.mark.slow
def test_the_extinction_time_of_a_birth_and_death_process_has_its_exact_law():
    birth, death, start, paths = 0.7, 1.0, 3, 40_000
    network = mz.ReactionNetwork(
        species={"X": start}, reactions=["X -> 2 X @ birth", "X -> 0 @ death"],
        parameters={"birth": birth, "death": death}, output="events",
    )  # fmt: skip
    ds = mz.simulate(network, n_paths=paths, times=[0.0, 200.0], seed=5, max_events=2000)
    times = np.nanmax(ds.event_time.values, axis=1)
    assert (ds.X.values[np.arange(paths), ds.n_events.values - 1] == 0).all()
    at = np.sort(times)
    ratio = np.exp(-(death - birth) * at)
    law = (death * (1 - ratio) / (death - birth * ratio)) ** start
    distance = np.abs(law - (np.arange(paths) + 0.5) / paths).max()
    assert distance < 1.95 / np.sqrt(paths)  # Kolmogorov and Smirnov, 0.1 %


@pytest.mark.slow
def test_dimers_have_the_law_of_the_master_equation():
    linalg = pytest.importorskip("scipy.linalg")
    network, n = mz.ReactionNetwork.examples()[0], 40
    network = mz.ReactionNetwork(
        species={"A": n, "B": 0}, reactions=["2 A <-> B @ k1, k2"],
        parameters={"k1": 0.03, "k2": 0.4},
    )  # fmt: skip
    size = n // 2 + 1
    rates = np.zeros((size, size))  # by the number of dimers
    for b in range(size):
        a = n - 2 * b
        if b < size - 1:
            rates[b, b + 1] = 0.03 * a * (a - 1) / 2
        if b:
            rates[b, b - 1] = 0.4 * b
    rates -= np.diag(rates.sum(axis=1))
    ds = mz.simulate(network, n_paths=20_000, T=2, dt=0.4, seed=7)
    for k in (1, 2):
        law = linalg.expm(rates * 0.4 * k)[0]
        mean, variance = law @ np.arange(size), law @ np.arange(size) ** 2
        variance -= mean**2
        x = ds.B.values[:, k]
        assert abs(x.mean() - mean) < 4 * np.sqrt(variance / len(x))
        assert abs(x.var() / variance - 1) < 0.05


@pytest.mark.slow
def test_rates_that_depend_on_the_time_are_exact():
    rate = "k * (1 + sin(2 * pi * t)) * exp(-t / 5) + where(t > 3, 2 * (t - 3)**2 / (1 + t), 0)"
    network = mz.ReactionNetwork(
        species={"X": 0}, reactions=[f"0 -> X @ {rate}"], parameters={"k": 3.0}
    )
    ds = mz.simulate(network, n_paths=20_000, T=10, dt=0.7, seed=2)
    t = np.linspace(0, 7, 200_001)
    rates = 3 * (1 + np.sin(2 * np.pi * t)) * np.exp(-t / 5)
    rates += np.where(t > 3, 2 * (t - 3) ** 2 / (1 + t), 0)
    sums = np.concatenate([[0], np.cumsum((rates[1:] + rates[:-1]) / 2 * t[1])])
    mean = np.interp(ds.time.values, t, sums)[1:]
    x = ds.X.values[:, 1:]
    assert (np.abs(x.mean(axis=0) - mean) < 4 * np.sqrt(mean / len(x))).all()
    assert (np.abs(x.var(axis=0) / mean - 1) < 0.05).all()


# --- named models --------------------------------------------------------------------------------

MODELS = [mz.BirthDeath, mz.GeneExpression, mz.MichaelisMenten, mz.SEIR, mz.SIR, mz.SIS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_a_named_model_has_the_paths_of_its_network(kind):
    for model in kind.examples():
        ds = mz.simulate(model, n_paths=20, T=4, dt=0.5, seed=2)
        assert same(mz.simulate(model.network(), n_paths=20, T=4, dt=0.5, seed=2), ds)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.8, 1.7])
def test_models_of_epidemics_state_the_final_size(beta):
    law = final_sizes(50, 3, beta, 0.5)
    sir = mz.SIR(beta=beta, gamma=0.5, population=50, infected=3)
    np.testing.assert_allclose(sir.final_size(), law, atol=1e-14)
    seir = mz.SEIR(beta=beta, sigma=3.0, gamma=0.5, population=50, infected=3)
    np.testing.assert_allclose(seir.final_size((47, 2, 1, 0)), law, atol=1e-14)
    paths = mz.simulate(seir, n_paths=4000, times=[0.0, 1e4], seed=1).R.values[:, 1] - 3
    mean, square = law @ np.arange(48), law @ np.arange(48) ** 2
    assert abs(paths.mean() - mean) <= 4 * np.sqrt((square - mean**2) / 4000) + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("birth", "death", "immigration"),
    [(0.7, 1.0, 0.0), (1.0, 1.0, 0.0), (1.2, 1.0, 0.0), (0.0, 1.0, 2.0), (0.5, 1.0, 0.7)],
)
def test_birth_and_death_state_the_probability_that_none_is_there(birth, death, immigration):
    process = mz.BirthDeath(birth=birth, death=death, immigration=immigration, start=2)
    t = np.array([0.0, 0.5, 1.0, 3.0])
    x = mz.simulate(process, n_paths=20_000, times=t, seed=4).x.values
    law = process.extinction(t)
    error = np.sqrt(law * (1 - law) / len(x))
    assert (np.abs((x == 0).mean(axis=0) - law) <= 4 * error).all()


def test_birth_and_death_die_out_in_the_end_unless_births_outweigh():
    assert mz.BirthDeath(birth=0.5, death=1.0).extinction(np.inf) == 1.0
    assert mz.BirthDeath(birth=1.0, death=1.0).extinction(np.inf) == 1.0
    assert mz.BirthDeath(birth=2.0, death=1.0, start=3).extinction(np.inf) == 0.125
    assert mz.BirthDeath(birth=0.0, death=1.0).extinction(np.inf) == 1.0


@pytest.mark.slow
def test_gene_expression_states_the_noise_of_its_protein():
    gene = mz.GeneExpression(transcription=2.0, translation=5.0, protein_decay=0.5)
    p = mz.simulate(gene, n_paths=4000, times=[0.0, 30.0], seed=1).P.values[:, 1]
    assert p.var() / p.mean() == pytest.approx(gene.fano_factor, rel=0.1)


def test_more_people_cannot_be_infected_than_there_are():
    for kind in (mz.SIR, mz.SIS):
        with pytest.raises(ValueError, match="infected: expected at most the population, 5, got 6"):
            kind(beta=1.0, gamma=1.0, population=5, infected=6)


def test_a_delay_that_is_no_number_is_an_error():
    network = mz.ReactionNetwork(
        species={"A": 0, "B": 0}, reactions=["0 -> B @ 1"],
        interventions=["when t >= 2 after A / A set A = 7"],
    )  # fmt: skip
    with pytest.raises(mz.SamplerError, match="expected a delay, got NaN at t=2"):
        mz.simulate(network, 3, T=5, dt=1.0, seed=1).compute(scheduler="synchronous")
