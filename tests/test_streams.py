"""`stream=`: independent noise on one seed, by a rule that anyone can follow with NumPy alone."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr.random.seeding import (
    BLOCK_PREFIX,
    STREAM_PREFIX,
    RootSeed,
    as_root_seed,
    describe_seed,
)
from montezarr.store._info import info

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def key_of(name, *rest):
    """Return the documented spawn key, written down once more."""
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest(), "<u4")
    return (0x6D7A73747265616D, *(int(word) for word in words), *rest)


def state(sequence):
    return sequence.generate_state(8, np.uint64).tolist()


def walk(rng, T):
    return np.concatenate([[0.0], rng.standard_normal(T).cumsum()])


def by_integer(seed, T):
    return np.random.default_rng(seed).standard_normal(T + 1)


class Batch:
    def sample_paths(self, n, T, x0, rng):
        return rng.standard_normal((n, T + 1))


class Legacy:
    def sample_path(self, T, x0):
        return np.random.standard_normal(T + 1)


# The rule


@pytest.mark.parametrize("seed", [42, [5, 6], np.random.SeedSequence(3, spawn_key=(7,))])
@pytest.mark.parametrize("name", ["asset 2", "a", "ä € 漢", " ", "0"])
def test_streams_are_children_at_the_documented_key(seed, name):
    root = as_root_seed(seed, name)
    whole = isinstance(seed, np.random.SeedSequence)
    entropy, own = (seed.entropy, seed.spawn_key) if whole else (seed, ())

    def child(*rest):
        return np.random.SeedSequence(entropy, spawn_key=(*own, *key_of(name, *rest)))

    assert root.philox_key() == tuple(child().generate_state(2, np.uint32).tolist())
    assert state(root.path_sequence(9)) == state(child(9))
    assert root.path_generator(9).bit_generator.state == (
        np.random.default_rng(child(9)).bit_generator.state
    )
    assert root.block_generator(3).bit_generator.state == (
        np.random.default_rng(child(BLOCK_PREFIX, 3)).bit_generator.state
    )
    low, high = child(9).generate_state(2, np.uint64).tolist()
    assert root.path_seed(9) == low | high << 64


def test_words_of_a_name_never_change():
    root = RootSeed((42,), stream="asset 2")
    assert root.full_key()[:3] == (STREAM_PREFIX, 791180672, 4178634882)
    assert root.philox_key() == (2041593729, 3610893702)


@settings(deadline=None)
@given(st.text(min_size=1), st.integers(0, 2**63 - 1), st.integers(0, 2**53))
def test_no_key_of_a_stream_is_one_without(name, path, block):
    # NumPy writes a spawn key as 32-bit words one after the other, and streams differ if those do.
    def words(*key):
        return [max(1, -(-number.bit_length() // 32)) for number in key]

    longest = max(sum(words(path)), sum(words(BLOCK_PREFIX, block)))
    try:
        root = RootSeed((1,), stream=name)
        shortest = sum(words(*root.full_key()))
    except UnicodeEncodeError:
        return
    assert longest <= 4 < 10 <= shortest
    # With one prefix of fixed length, keys on two streams differ where the digests do.
    assert len(root.full_key()) == 9


@settings(deadline=None)
@given(st.integers(0, 2**64), st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_stream_goes_through_json_and_its_description(entropy, name):
    root = as_root_seed(entropy, name)
    recorded = json.loads(json.dumps(root.to_dict()))
    assert recorded["stream"] == name
    assert as_root_seed(recorded) == root == RootSeed.from_dict(recorded)
    assert state(eval(describe_seed(root, 7), {"np": np})) == state(root.path_sequence(7))


def test_a_name_replaces_that_of_a_recorded_seed_and_none_keeps_it():
    recorded = as_root_seed(42, "a").to_dict()
    assert as_root_seed(recorded).stream == "a"
    assert as_root_seed(recorded, "b") == as_root_seed(42, "b")


@pytest.mark.parametrize("stream", [1, b"a", ["a"], True, 1.5, {"a": 1}])
def test_a_stream_that_is_no_text_is_refused(stream):
    with pytest.raises(mz.ArgumentTypeError, match=r"stream: expected a name, as text"):
        mz.simulate(GBM, 3, 4, seed=1, stream=stream)


@pytest.mark.parametrize("stream", ["", "\ud800"])
def test_a_stream_without_a_name_is_refused(stream):
    with pytest.raises(mz.ArgumentValueError, match=r"stream: expected a name, as text"):
        mz.MonteCarloEngine(GBM).simulate(3, 4, seed=1, stream=stream)


@pytest.mark.parametrize("stream", ["", 3, None, ["a"]])
def test_a_recorded_seed_with_a_wrong_stream_is_refused(stream):
    with pytest.raises(mz.ArgumentValueError, match=r"seed: expected a mapping such as"):
        as_root_seed({"entropy": "42", "stream": stream})


# Runs


SAMPLERS = {
    "sample": (GBM, {"x0": 1.0}),
    "rng": (walk, {}),
    "seed": (by_integer, {}),
    "sample_paths": (Batch(), {}),
    "legacy": (Legacy(), {"legacy_global_rng": True}),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_stream_gives_other_paths_and_is_in_the_recipe_only_where_given(kind):
    process, options = SAMPLERS[kind]
    runs = {
        name: mz.simulate(process, 50, 4, seed=42, stream=name, **options)
        for name in (None, "a", "b")
    }
    assert runs[None].mz.recipe["sampler"] == kind
    assert runs[None].mz.recipe["seed"] == {"entropy": "42"}
    assert runs["a"].mz.recipe["seed"] == {"entropy": "42", "stream": "a"}
    values = {name: ds.x.values[:, 1:] for name, ds in runs.items()}
    assert not np.isclose(values[None], values["a"]).any()
    assert not np.isclose(values["b"], values["a"]).any()
    again = mz.simulate(process, 50, 4, seed=runs["a"].mz.recipe["seed"], **options)
    assert again.identical(runs["a"])
    assert mz.replay(runs["a"], 7).x.values.tolist() == runs["a"].x.values[7].tolist()
    with_process = mz.replay(runs["a"].compute(), 7, process=process)
    assert with_process.x.values.tolist() == runs["a"].x.values[7].tolist()


def test_a_path_on_a_stream_is_made_with_numpy_alone():
    ds = mz.simulate(walk, 20, 5, seed=42, stream="asset 2")
    rng = np.random.default_rng(np.random.SeedSequence(42, spawn_key=key_of("asset 2", 11)))
    assert ds.x.values[11].tolist() == walk(rng, 5).tolist()
    alike = mz.simulate(mz.BrownianMotion(), 20, 5, seed=42, stream="asset 2")
    drawn = mz.Draws.of(42, n=20, stream="asset 2").normal(range(5))
    np.testing.assert_allclose(alike.x.values[:, 1:].T, drawn.cumsum(axis=0), rtol=1e-12)


def test_two_assets_on_two_streams_are_independent():
    n = 20_000
    one = mz.simulate(GBM, n, 4, x0=100.0, seed=42, stream="asset 1").x.values[:, -1]
    two = mz.simulate(GBM, n, 4, x0=80.0, seed=42, stream="asset 2").x.values[:, -1]
    bare = mz.simulate(GBM, n, 4, x0=80.0, seed=42).x.values[:, -1]
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(one, bare)[0, 1]) < 5 / np.sqrt(n)
    sums = np.var(one + two) / (np.var(one) + np.var(two))
    assert abs(sums - 1) < 0.05  # 2 on one stream


def test_engine_and_path_seeds_take_a_stream():
    lazy = mz.simulate(walk, 10, 3, seed=42, stream="a")
    result = mz.MonteCarloEngine(walk).simulate(10, 3, seed=42, stream="a")
    assert result.dataset.identical(lazy)
    assert result.metadata["seed"] == {"entropy": "42", "stream": "a"}
    assert "stream 'a'" in repr(result)
    seeds = mz.generate_path_seeds(42, 5, stream="a")
    child = np.random.SeedSequence(42, spawn_key=key_of("a", 3))
    assert seeds[3] == int(child.generate_state(1, np.uint64)[0])
    assert not set(seeds) & set(mz.generate_path_seeds(42, 5))
    assert seeds == mz.generate_path_seeds(lazy.mz.recipe["seed"], 5)


def test_a_failing_path_names_its_stream():
    def fragile(rng):
        x = rng.standard_normal(20)
        return x if x.max() < 3.5 else 1 / 0

    with pytest.raises(mz.SamplerError) as caught:
        mz.MonteCarloEngine(fragile).simulate(2000, seed=1, stream="a")
    key = caught.value.context["seed key"]
    sequence = eval(key, {"np": np})
    assert state(sequence) == state(as_root_seed(1, "a").path_sequence(caught.value.path))
    assert np.random.default_rng(sequence).standard_normal(20).max() >= 3.5


def test_stores_carry_the_stream(tmp_path):
    ds = mz.simulate(GBM, 3000, 4, x0=1.0, seed=42, stream="a", chunks=1024)
    stored = mz.write(ds, tmp_path / "all.zarr")
    assert stored.x.values.tolist() == ds.x.values.tolist()
    assert stored.mz.recipe["seed"]["stream"] == "a"
    assert mz.verify(tmp_path / "all.zarr", level=2).ok
    assert "seed 42, stream 'a'" in str(info(tmp_path / "all.zarr"))
    more = mz.extend(tmp_path / "all.zarr", 5000)
    longer = mz.simulate(GBM, 5000, 4, x0=1.0, seed=42, stream="a")
    assert more.x.values.tolist() == longer.x.values.tolist()
    assert mz.replay(more, 4999).x.values.tolist() == longer.x.values[4999].tolist()
    other = mz.simulate(GBM, 3000, 4, x0=1.0, seed=42, stream="b", chunks=1024)
    with pytest.raises(mz.StoreMismatchError, match=r"seed\.stream: 'a' there, 'b' here"):
        mz.write(other, tmp_path / "all.zarr")


def test_parts_and_virtual_stores_carry_the_stream(tmp_path):
    ds = mz.simulate(GBM, 3000, 4, x0=1.0, seed=42, stream="a", chunks=1024)
    parts = [tmp_path / "0.zarr", tmp_path / "1.zarr"]
    mz.write(ds, parts[0], paths=range(2048))
    mz.write(ds, parts[1], paths=range(2048, 3000))
    whole = mz.merge(parts, tmp_path / "all.zarr")
    assert whole.x.values.tolist() == ds.x.values.tolist()
    store = mz.VirtualStore(ds.attrs["montezarr"], n_paths=3000)
    store.save(tmp_path / "paths.json")
    assert mz.open(tmp_path / "paths.json").x.values.tolist() == ds.x.values.tolist()


def test_a_stream_of_snapshots_goes_on_with_its_own_paths_alone(tmp_path):
    def stream(name, n, **options):
        ds = mz.simulate(GBM, None, 4, x0=1.0, seed=42, stream=name)
        *_, last = mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(n), **options)
        return last

    stream("a", 4096).save(tmp_path / "state.npz")
    on = stream("a", 8192, resume_from=tmp_path / "state.npz")
    assert on.dataset.identical(stream("a", 8192).dataset)
    with pytest.raises(mz.ArgumentValueError, match="resume_from"):
        stream("b", 8192, resume_from=tmp_path / "state.npz")


def test_a_job_takes_a_stream(tmp_path):
    from montezarr.cli import job

    text = """
[process]
name = "BrownianMotion"
[run]
n_paths = 1000
T = 4
seed = 42
stream = "a"
[output]
store = "paths.zarr"
"""
    (tmp_path / "job.toml").write_text(text)
    prepared = job.prepare(job.load(tmp_path / "job.toml"))
    assert prepared.ds.mz.recipe["seed"] == {"entropy": "42", "stream": "a"}
    (tmp_path / "job.toml").write_text(text.replace('"a"', '""'))
    with pytest.raises(mz.ConfigError, match=r"job\.toml:8: \[run\] stream: expected a name"):
        job.prepare(job.load(tmp_path / "job.toml"))
    (tmp_path / "job.toml").write_text(text.replace('"a"', "1"))
    with pytest.raises(mz.ConfigError, match=r"\[run\] stream: expected a string"):
        job.load(tmp_path / "job.toml")


# A parameter of the sampler's own


def own_option(rng, T, stream):
    return np.full(T + 1, float(stream)) + rng.standard_normal()


def own_default(rng, T, stream="mine"):
    return rng.standard_normal(T + 1) + len(stream)


class OwnMethod:
    def sample_paths(self, n, T, x0, rng, *, stream=0):
        return rng.standard_normal((n, T + 1)) + stream


@pytest.mark.parametrize("process", [own_option, own_default, OwnMethod()])
@pytest.mark.parametrize("options", [{}, {"stream": 3}, {"stream": "a"}])
def test_a_parameter_called_stream_is_refused_with_the_remedy(process, options):
    with pytest.raises(mz.ArgumentValueError, match=r"process: .* rename the parameter"):
        mz.simulate(process, 3, 4, seed=1, **options)


def test_old_recipes_of_such_a_sampler_keep_their_rule():
    def renamed(rng, T, name="mine"):
        return rng.standard_normal(T + 1) + len(name)

    ds = mz.simulate(renamed, 5, 4, seed=1)
    recipe = dict(ds.mz.recipe)
    from montezarr.run.digests import digest_of

    recipe |= {"process": {"name": "own_default"}, "code": digest_of(own_default)}
    old = ds.compute().assign_attrs(montezarr=json.dumps(recipe))
    again = mz.replay(old, 2, process=own_default)
    assert again.x.values.tolist() == ds.x.values[2].tolist()


def test_a_sampler_that_takes_all_by_name_still_gets_no_stream():
    def anything(rng, T, **rest):
        assert not rest
        return rng.standard_normal(T + 1)

    ds = mz.simulate(anything, 3, 4, seed=1, stream="a")
    assert ds.mz.recipe["seed"]["stream"] == "a"


# What NumPy makes of short seeds


def test_seeds_that_agree_up_to_zeros_at_the_end_of_four_words_are_one():
    assert as_root_seed(42).philox_key() == as_root_seed([42, 0]).philox_key()
    for path in (0, 7):
        assert state(as_root_seed(42).path_sequence(path)) == state(
            as_root_seed([42, 0, 0]).path_sequence(path)
        )
    assert state(as_root_seed(42).path_sequence(0)) == state(
        as_root_seed([42, 0, 0, 0, 0]).sequence()
    )
    assert as_root_seed(42).philox_key() != as_root_seed([42, 0, 0, 0, 0]).philox_key()
