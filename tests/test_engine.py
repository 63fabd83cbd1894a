"""`MonteCarloEngine`, `SimulationResult` and `Path`: the names of the request."""

import inspect
import json
import sys

import backend_samplers as samplers
import numpy as np
import pandas as pd
import pytest

import montezarr as mz
from montezarr.engine import _engine as engines

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def test_the_signature_is_that_of_the_request():
    parameters = inspect.signature(mz.MonteCarloEngine.simulate).parameters
    assert list(parameters)[:10] == [
        "self", "n_paths", "T", "x0", "parallel", "n_jobs", "backend", "seed", "show_progress",
        "batch_size",
    ]  # fmt: skip
    defaults = {name: p.default for name, p in parameters.items()}
    assert (defaults["parallel"], defaults["n_jobs"], defaults["backend"]) == (False, -1, "auto")
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[4:-1])
    assert list(parameters.values())[-1].kind is inspect.Parameter.VAR_KEYWORD


def test_a_result_is_a_view_on_the_dataset_of_simulate():
    result = mz.MonteCarloEngine(GBM).simulate(3000, 20, 100.0, dt=0.05, seed=42, parallel=True)
    lazy = mz.simulate(GBM, 3000, 20, 100.0, dt=0.05, seed=42)
    assert result.dataset.identical(lazy)
    assert result.dataset.chunks == lazy.chunks
    assert result.dataset.x.data.name == lazy.x.data.name
    assert len(result) == 3000
    assert mz.replay(result.dataset, 17).x.equals(lazy.x.isel(path=17))


def test_the_dataset_of_a_sampler_of_yours_is_replayed_and_written_when_all_else_is_gone(tmp_path):
    result = mz.MonteCarloEngine(samplers.Loop()).simulate(1500, 5, 1.0, seed=1)
    ds = result.dataset
    wanted = ds.x.values.copy()
    del result
    assert np.array_equal(mz.replay(ds, 7).x, wanted[7])
    with mz.backend("synchronous"):
        assert np.array_equal(mz.write(ds, tmp_path / "a.zarr").x, wanted)


def test_paths_are_a_lazy_sequence_in_order_of_their_indices():
    result = mz.MonteCarloEngine(GBM).simulate(3000, 20, 100.0, dt=0.05, seed=42)
    paths = result.paths
    assert len(paths) == 3000
    path = paths[17]
    assert isinstance(path, mz.Path)
    assert np.array_equal(path.states, result.dataset.x[17])
    assert np.allclose(path.times, np.arange(21) * 0.05)
    assert len(path) == 21
    assert path[0] == 100.0
    assert np.array_equal(paths[-1].states, result.dataset.x[2999])
    assert [p[20] for p in paths[10:13]] == result.dataset.x[10:13, 20].values.tolist()
    assert len(paths[::2]) == 1500
    assert sum(1 for _ in paths[:100]) == 100
    with pytest.raises(IndexError):
        paths[3000]


def test_what_does_not_fit_into_memory_stays_lazy_and_is_drawn_when_asked(monkeypatch):
    monkeypatch.setattr(engines, "PATHS_IN_MEMORY_SHARE", 1e-9)
    result = mz.MonteCarloEngine(GBM).simulate(3000, 20, 100.0, dt=0.05, seed=42, parallel=True)
    assert result.metadata["in_memory"] is False
    assert "lazy" in repr(result)
    monkeypatch.undo()
    chunk_buffer = mz.MonteCarloEngine(GBM).simulate(3000, 20, 100.0, dt=0.05, seed=42)
    assert chunk_buffer.metadata["in_memory"] is True
    assert np.array_equal(result.paths[2999].states, chunk_buffer.paths[2999].states)
    assert result.dataset.identical(chunk_buffer.dataset)


def test_a_billion_paths_are_there_at_once():
    result = mz.MonteCarloEngine(GBM).simulate(
        10**9, 252, 100.0, dt=1 / 252, seed=42, parallel=True
    )
    assert len(result.paths) == 10**9
    lazy = mz.simulate(GBM, 10, 252, 100.0, dt=1 / 252, seed=42)
    assert np.array_equal(result.paths[3].states, lazy.x[3])


def test_tables_and_distributions():
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["sun", "rain"])
    result = mz.MonteCarloEngine(chain).simulate(4000, 3, "sun", seed=1)
    assert result.state_distribution(0) == {"sun": 1.0}
    shares = result.state_distribution(t=1)
    assert list(shares) == ["sun", "rain"]
    assert abs(shares["rain"] - 0.1) < 3 * np.sqrt(0.09 / 4000)
    assert result.state_distribution(-1) == result.state_distribution(3)
    frame = result.to_dataframe()
    assert list(frame.columns) == ["path_id", "t", "time", "state"]
    assert len(frame) == 16_000
    assert frame[frame.t == 1].state.value_counts(normalize=True)["rain"] == shares["rain"]
    assert frame.iloc[5].tolist() == [1, 1, 1.0, result.paths[1][1]]
    for t, error in ((4, ValueError), (-5, ValueError), (1.0, TypeError)):
        with pytest.raises(error, match="t: expected"):
            result.state_distribution(t)


def test_several_variables():
    heston = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
    result = mz.MonteCarloEngine(heston).simulate(1500, 4, dt=0.1, seed=1, parallel=True)
    names = list(result.dataset.data_vars)
    assert set(result.paths[0].states) == set(names)
    assert set(result.paths[0][2]) == set(names)
    assert list(result.to_dataframe().columns) == ["path_id", "t", "time", *names]
    with pytest.raises(mz.ArgumentValueError, match="variable: expected one of"):
        result.state_distribution(0)
    assert sum(result.state_distribution(0, names[0]).values()) == pytest.approx(1)


def test_a_table_that_cannot_fit_is_refused():
    result = mz.MonteCarloEngine(GBM).simulate(10**9, 252, 100.0, seed=1)
    with pytest.raises(mz.MemoryBudgetError, match="to_dataframe"):
        result.to_dataframe()


def test_metadata_say_how_it_was_done():
    result = mz.MonteCarloEngine(samplers.Loop()).simulate(
        200, 20, 1.0, parallel=True, n_jobs=2, backend="threads", seed=42, batch_size=64
    )
    found = result.metadata
    assert (found["backend"], found["n_jobs"], found["batch_size"]) == ("threads", 2, 64)
    assert found["seed"] == {"entropy": "42"}
    assert found["masked"] == {}
    assert found["paths_per_second"] == pytest.approx(200 / found["seconds"])
    assert json.loads(json.dumps(found)) == found
    again = mz.MonteCarloEngine(samplers.Loop()).simulate(200, 20, 1.0)
    repeated = mz.MonteCarloEngine(samplers.Loop()).simulate(
        200, 20, 1.0, seed=int(again.metadata["seed"]["entropy"])
    )
    assert repeated.dataset.identical(again.dataset)


def test_keyword_arguments_go_on_to_the_sampler():
    class Scaled(samplers.Loop):
        def sample_path(self, T, x0, rng, scale=1.0):
            return scale * super().sample_path(T, x0, rng)

    engine = mz.MonteCarloEngine(Scaled())
    one = engine.simulate(10, 5, 1.0, seed=1).dataset.x
    two = engine.simulate(10, 5, 1.0, seed=1, scale=2.0).dataset.x
    assert np.array_equal(two, 2 * one)


def test_legacy_code_is_run_with_a_warning_as_the_request_has_it():
    engine = mz.MonteCarloEngine(samplers.Legacy())
    before = np.random.get_state()[1].copy()
    with pytest.warns(mz.MontezarrWarning, match="takes neither rng nor seed") as caught:
        result = engine.simulate(20, 5, 0.0, seed=1)
    assert caught[0].filename == __file__
    assert np.array_equal(np.random.get_state()[1], before)
    seeds = np.random.SeedSequence(1, spawn_key=(3,)).generate_state(624)
    wanted = np.cumsum(np.random.RandomState(seeds).standard_normal(5))
    assert np.allclose(result.paths[3].states[1:], wanted)


def test_batch_sizes_change_nothing_and_bad_ones_are_refused():
    engine = mz.MonteCarloEngine(samplers.Batch())
    wanted = engine.simulate(2500, 5, 1.0, seed=1).dataset
    for size in (1, 1000, 10**9):
        result = engine.simulate(2500, 5, 1.0, seed=1, batch_size=size)
        assert result.metadata["batch_size"] in (1024, 3072)
        assert result.dataset.identical(wanted)
    for bad in (0, -1, 1.5, "8"):
        with pytest.raises((TypeError, ValueError), match="batch_size"):
            engine.simulate(10, 5, 1.0, batch_size=bad)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("parallel", 1), ("show_progress", "yes"), ("n_jobs", 0), ("backend", "cluster"),
        ("backend", 7), ("timeout", -1), ("on_error", "skip"), ("on_nonfinite", "drop"),
        ("retries", -1), ("seed", 1.5), ("n_paths", 0), ("T", -1), ("dtype", "text"),
    ],
)  # fmt: skip
def test_bad_arguments_are_typed_errors_that_name_them(argument, value):
    arguments = {"n_paths": 10, "T": 5, "x0": 1.0, "parallel": True, argument: value}
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=argument):
        mz.MonteCarloEngine(samplers.Loop()).simulate(**arguments)


@pytest.mark.parametrize("arguments", [{"n_jobs": 0}, {"backend": "treads"}, {"backend": 3}])
def test_mistakes_count_also_where_they_would_do_no_harm(arguments):
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=next(iter(arguments))):
        mz.MonteCarloEngine(samplers.Loop()).simulate(10, 5, 1.0, **arguments)


def test_what_has_no_effect_is_said():
    engine = mz.MonteCarloEngine(samplers.Loop())
    with pytest.warns(mz.MontezarrWarning, match="no effect without parallel=True") as caught:
        result = engine.simulate(10, 5, 1.0, backend="threads", n_jobs=2)
    assert caught[0].filename == __file__
    assert result.metadata["backend"] == "synchronous"
    with mz.backend("threads", 2):
        with pytest.raises(mz.ArgumentValueError, match="n_jobs: expected -1 in the block"):
            engine.simulate(10, 5, 1.0, parallel=True, n_jobs=1)
        assert engine.simulate(10, 5, 1.0, parallel=True).metadata["n_jobs"] == 2


def test_an_argument_that_nobody_knows_is_refused_by_its_name():
    for name in ("n_job", "random_state", "progress"):
        with pytest.raises(mz.ArgumentTypeError, match=rf"{name}: .* of Loop\.sample_path"):
            mz.MonteCarloEngine(samplers.Loop()).simulate(10, 5, 1.0, **{name: 1})
    with pytest.raises(mz.ArgumentTypeError, match=r"speed: .* of function"):
        mz.simulate(samplers.function, 10, 5, labels=["up", "down"], x0=1, speed=2)


def test_paths_that_bring_their_own_times():
    def arrivals(rng):
        from types import SimpleNamespace

        times = np.concatenate([[0.0], np.cumsum(rng.exponential(size=4))])
        return SimpleNamespace(times=times, states=np.arange(5))

    result = mz.MonteCarloEngine(arrivals).simulate(50, seed=1)
    path = result.paths[7]
    assert path.states.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(path.times, result.dataset.event_time[7])
    frame = result.to_dataframe()
    assert np.array_equal(frame[frame.path_id == 7].time, path.times)
    assert isinstance(frame, pd.DataFrame)


def test_progress_is_silent_by_default_and_counts_failures(capsys):
    engine = mz.MonteCarloEngine(samplers.Failing(3))
    with pytest.warns(mz.MaskedPathsWarning):
        engine.simulate(100, 5, 1.0, seed=1, on_error="mask")
    assert capsys.readouterr() == ("", "")
    with pytest.warns(mz.MaskedPathsWarning):
        engine.simulate(100, 5, 1.0, seed=1, on_error="mask", show_progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "100 of 100 paths (100%)" in printed.err
    assert "1 failed" in printed.err
    assert sys.stderr is not None
