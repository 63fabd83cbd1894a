"""Contrasts: differences to a reference scenario, path by path."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError

GBM = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
SIGMA, MU = [0.1, 0.2, 0.3], [0.0, 0.05]
VARY = {
    "sigma": xr.DataArray(SIGMA, dims="sigma", coords={"sigma": SIGMA}),
    "mu": xr.DataArray(MU, dims="mu", coords={"mu": MU}),
}
TO = {"sigma": 0.2}
NAMES = ("contrast", "contrast_se", "contrast_low", "contrast_high")


def run(n=2500, vary=VARY, **more):
    return mz.simulate(GBM, n, T=2, dt=0.5, x0=100.0, seed=1, vary=vary, **more)


def call(ds):
    return (ds.x.isel(time=-1, drop=True) - 100.0).clip(min=0).rename("call")


@pytest.fixture(scope="module")
def found():
    with mz.backend("synchronous"):
        return mz.reduce(call(run()), ["mean", mz.Contrast(to=TO)])


def same(found, wanted):
    for name in NAMES:
        xr.testing.assert_equal(found[f"call_{name}"], wanted[f"call_{name}"])


# --- the numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [TO, {"mu": 0.05}, {"mu": 0.05, "sigma": 0.1}], ids=str)
def test_it_is_the_mean_of_the_expression_with_sel(to):
    payoff = call(run())
    contrast = mz.reduce(payoff, mz.Contrast(to=to))
    plain = mz.reduce((payoff - payoff.sel(to)).rename("d"), "mean")
    np.testing.assert_array_equal(contrast.call_contrast, plain.d_mean)
    np.testing.assert_array_equal(contrast.call_contrast_se, plain.d_mean_se)


def test_it_is_the_paired_difference_of_numpy(found):
    x = call(run().compute()).transpose("sigma", "mu", "path").values
    paired = x - x[1]
    assert found.call_contrast.dims == ("sigma", "mu")
    np.testing.assert_allclose(found.call_contrast, paired.mean(-1), rtol=1e-12)
    error = paired.std(-1, ddof=1) / np.sqrt(2500)
    np.testing.assert_allclose(found.call_contrast_se, error, rtol=1e-12)
    np.testing.assert_allclose(
        found.call_contrast_high - found.call_contrast, 1.96093 * error, rtol=1e-4
    )


def test_the_reference_is_exactly_0_with_its_error_and_interval(found):
    for name in NAMES:
        assert (found[f"call_{name}"].sel(TO) == 0.0).all()
        assert (found[f"call_{name}"].drop_sel(TO) != 0.0).all()


def test_common_noise_makes_the_error_smaller_than_independent_noise(found):
    apart = mz.reduce(call(run(noise="independent")), ["mean", mz.Contrast(to=TO)])
    assert (apart.call_contrast_se.drop_sel(TO) > 1.3 * found.call_contrast_se.drop_sel(TO)).all()


def test_a_difference_of_large_numbers_keeps_its_digits():
    noise = np.random.default_rng(1).normal(size=4000)
    x = xr.DataArray(1e9 + np.stack([noise, noise + 1e-3]), dims=("scenario", "path"), name="x")
    one = mz.reduce(x, mz.Contrast(to=0)).isel(scenario=1)
    assert one.x_contrast == pytest.approx(1e-3, rel=1e-3)
    assert one.x_contrast_se < 1e-8


def test_a_path_counts_where_both_scenarios_have_a_value():
    values = np.array([[1.0, 2.0, np.nan, 4.0], [2.0, np.nan, 5.0, 8.0]])
    x = xr.DataArray(values, dims=("scenario", "path"), name="x")
    with pytest.warns(mz.MontezarrWarning, match="not finite"):
        found = mz.reduce(x, mz.Contrast(to=0))
    np.testing.assert_array_equal(found.x_contrast, [0.0, 2.5])
    np.testing.assert_array_equal(found.x_nonfinite, [1, 1])


# --- every way to the same paths ---------------------------------------------------------------

WAYS = {
    "chunks": lambda: call(run(chunks=1024)),
    "other chunks": lambda: call(run()).chunk(path=700),
    "in memory": lambda: call(run().compute()),
    "transposed": lambda: call(run()).transpose("mu", "path", "sigma"),
}


@pytest.mark.parametrize("way", WAYS)
def test_its_bits_do_not_depend_on_the_way(way, found):
    got = mz.reduce(WAYS[way](), ["mean", mz.Contrast(to=TO)]).transpose("sigma", "mu")
    same(got, found)


def test_it_is_lazy_and_streamed_and_transformed_alike(found):
    contrast = mz.Contrast(to=TO)
    same(mz.reduce(call(run()), contrast, compute=False).compute(), found)
    same(mz.reduce(run(), contrast, transform=call), found)
    *_, last = mz.stream(call(run(chunks=1024)), {"call": [contrast, "max"]})
    same(last.dataset, found)
    assert (last["call_contrast_cs_low"].sel(TO) == 0).all()


def test_a_run_without_end_stops_at_a_tolerance_of_the_difference():
    until = mz.StandardError(abs=0.05, of="call_contrast")
    *_, last = mz.stream(call(run(None)), ["mean", mz.Contrast(to=TO)], until=until)
    assert last["call_contrast_se"].max() <= 0.05 < last["call_mean_se"].max()
    same(last.dataset, mz.reduce(call(run(last.paths)), mz.Contrast(to=TO)))


def test_groups_have_differences_of_their_own():
    ds = run()
    payoff = call(ds)
    is_up = (ds.x.isel(time=1, drop=True).sel(sigma=0.2, mu=0.0, drop=True) > 100).rename("up")
    found = mz.reduce(xr.merge([payoff, is_up]), {"call": mz.Contrast(to=TO)}, by="up")
    for up in (False, True):
        some = call(run().compute()).isel(path=np.flatnonzero(is_up.values == up))
        wanted = mz.reduce(some, mz.Contrast(to=TO))
        np.testing.assert_allclose(
            found.call_contrast.sel(up=up), wanted.call_contrast, rtol=1e-10, atol=1e-12
        )


def test_a_store_has_it_and_goes_on_with_it(tmp_path):
    contrast = mz.Contrast(to=TO)
    mz.write(run(2048, chunks=1024), tmp_path / "grown", statistics=["mean", contrast])
    mz.extend(tmp_path / "grown", 3000)
    mz.write(run(3000, chunks=1024), tmp_path / "fresh", statistics=["mean", contrast])
    grown, fresh = (
        xr.open_zarr(tmp_path / name, group="statistics", consolidated=False)
        for name in ("grown", "fresh")
    )
    xr.testing.assert_identical(grown.load(), fresh.load())
    wanted = mz.reduce(run(3000), contrast)
    np.testing.assert_array_equal(grown.x_contrast, wanted.x_contrast)


def test_a_written_expression_has_it_too(tmp_path):
    ds = run(2500, chunks=1024)
    payoff = call(ds).to_dataset().assign_attrs(ds.attrs)
    mz.write(payoff, tmp_path / "payoff", statistics=mz.Contrast(to=TO))
    kept = xr.open_zarr(tmp_path / "payoff", group="statistics", consolidated=False)
    same(kept, mz.reduce(call(ds), mz.Contrast(to=TO)))
    same(mz.reduce(mz.open(tmp_path / "payoff"), mz.Contrast(to=TO)), kept)


def late(rng, T, level):
    x = rng.random(T + 1)
    if x[0] < 0.05 * level:
        raise ValueError("too low")
    return x + level


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_a_path_that_is_masked_in_one_scenario_is_no_pair():
    vary = {"level": xr.DataArray([1.0, 2.0, 0.0], dims="level")}
    ds = mz.simulate(late, 400, T=1, seed=1, vary=vary, on_error="mask")
    found = mz.reduce(ds.x.isel(time=1), ["count", mz.Contrast(to={"level": 1.0})])
    values = ds.x.isel(time=1).values
    both = np.isfinite(values[0])
    assert 0 < both.sum() < 400 == found.x_count.sel(level=0.0)
    np.testing.assert_allclose(found.x_contrast.sel(level=0.0), -1.0)
    pairs = (values[1] - values[0])[both & np.isfinite(values[1])]
    np.testing.assert_allclose(found.x_contrast.sel(level=2.0), pairs.mean())


def test_a_stream_goes_on_with_the_same_labels_alone(tmp_path):
    payoff, until = call(run(None)), mz.PathCount(8192)
    first = next(mz.stream(payoff, mz.Contrast(to=TO), until=until))
    first.save(tmp_path / "state")
    *_, last = mz.stream(payoff, mz.Contrast(to=TO), until=until, resume_from=tmp_path / "state")
    *_, wanted = mz.stream(payoff, mz.Contrast(to=TO), until=until)
    same(last.dataset, wanted.dataset)
    other = payoff.assign_coords(sigma=[0.2, 0.3, 0.4])
    with pytest.raises(ArgumentValueError, match="resume_from"):
        mz.stream(other, mz.Contrast(to=TO), until=until, resume_from=tmp_path / "state")


# --- booleans ----------------------------------------------------------------------------------


def test_the_interval_of_booleans_is_that_of_pairs():
    one = np.repeat([True, True, False, False], [40, 7, 3, 50])
    two = np.repeat([True, False, True, False], [40, 7, 3, 50])
    x = xr.DataArray(np.stack([two, one, two]), dims=("scenario", "path"), name="x")
    found = mz.reduce(x, mz.Contrast(to=0))
    np.testing.assert_allclose(found.x_contrast, [0.0, 0.04, 0.0], atol=1e-15)
    more, less = 8 / 102, 4 / 102  # Bonett and Price 2012, equation (10)
    half = 1.959964 * np.sqrt((more + less - (more - less) ** 2) / 102)
    assert found.x_contrast_low[1] == pytest.approx(more - less - half, rel=1e-6)
    assert found.x_contrast_high[1] == pytest.approx(more - less + half, rel=1e-6)
    # No pair differs from an equal scenario: that is no proof that none ever will.
    assert found.x_contrast_low[2] < 0 < found.x_contrast_high[2]
    assert found.x_contrast_low[0] == 0 == found.x_contrast_high[0]


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_the_interval_of_booleans_holds_as_often_as_it_says(p):
    rng, repeats = np.random.default_rng(0), 500
    base = rng.random((200, repeats))
    values = np.stack([base < p, (base + 0.01 * rng.normal(size=base.shape)) < p])
    x = xr.DataArray(values, dims=("scenario", "path", "repeat"), name="x")
    found = mz.reduce(x, mz.Contrast(to={"scenario": 0})).isel(scenario=1)
    held = ((found.x_contrast_low <= 0) & (found.x_contrast_high >= 0)).mean().item()
    assert held >= 0.93 - 3 * np.sqrt(0.95 * 0.05 / repeats)


def test_no_stream_stops_before_pairs_of_booleans_differ():
    rare = (run(None).x.isel(time=-1, drop=True) > 300.0).rename("rare")
    until = mz.StandardError(abs=0.5) | mz.PathCount(8192)
    *_, last = mz.stream(rare.sel(mu=0.0), mz.Contrast(to=TO), until=until)
    assert last.stopped == "8,192 paths"


# --- labels ------------------------------------------------------------------------------------


def labelled(labels):
    values = np.arange(6.0).reshape(3, 2)
    return xr.DataArray(values, dims=("kind", "path"), coords={"kind": labels}, name="x")


@pytest.mark.parametrize(
    ("labels", "to"),
    [
        (["low", "base", "high"], "base"),
        ([1, 2, 3], 2),
        ([1, 2, 3], np.int64(2)),
        ([0.1, 0.2, 0.3], np.float64(0.2)),
        (pd.date_range("2026-01-01", periods=3), "2026-01-02"),
        (pd.date_range("2026-01-01", periods=3), pd.Timestamp("2026-01-02")),
        (pd.date_range("2026-01-01", periods=3), np.datetime64("2026-01-02")),
    ],
    ids=str,
)
def test_a_label_selects_as_sel_does(labels, to):
    x = labelled(labels)
    found = mz.reduce(x, mz.Contrast(to=to))
    np.testing.assert_array_equal(found.x_contrast, (x - x.sel(kind=to)).mean("path"))
    xr.testing.assert_identical(
        mz.reduce(x, mz.Contrast(to={"kind": to})).drop_attrs(), found.drop_attrs()
    )


def test_a_dimension_without_a_coordinate_has_positions():
    x = labelled([1, 2, 3]).drop_vars("kind")
    np.testing.assert_array_equal(mz.reduce(x, mz.Contrast(to=2)).x_contrast, [-4.0, -2.0, 0.0])


def test_times_may_be_the_reference():
    found = mz.reduce(run(), mz.Contrast(to={"time": 0.0}))
    assert found.x_contrast.dims == ("sigma", "mu", "time")
    assert (found.x_contrast.sel(time=0.0) == 0).all()


def test_it_is_a_value():
    assert mz.Contrast(to={"b": 1, "a": 2}) == mz.Contrast(to={"a": 2, "b": 1})
    contrast = mz.Contrast(to=TO)
    assert repr(contrast) == "Contrast(to={'sigma': 0.2})"
    assert mz.Contrast.from_dict(contrast.to_dict()) == contrast
    assert mz.Contrast(to="base") == mz.Contrast("base") != mz.Contrast(to={"kind": "base"})


PAYOFFS = {
    "grid": lambda: call(run(10)),
    "single": lambda: call(run(10, None)),
    "strings": lambda: labelled(["low", "base", "high"]),
    "twice": lambda: labelled([1, 2, 1]),
}
BAD = [
    (
        "grid",
        {"sigma": 0.25},
        r"^to: expected a label of 'sigma', got 0\.25\. There are 0\.1, 0\.2",
    ),
    ("grid", {"sigma": "x"}, r"^to: expected a label of 'sigma', got 'x'"),
    ("grid", {"sgma": 0.2}, r"^to: .*\['sigma', 'mu'\], got 'sgma'\. Did you mean 'sigma'\?"),
    ("grid", 0.2, r"^to: expected a dict of labels of some of the dimensions \['sigma', 'mu'\]"),
    ("single", 0.2, r"^to: expected a variable with scenarios, got 0\.2\. .*vary="),
    ("single", {"sigma": 0.2}, r"^to: expected dimensions of the variable beside path"),
    ("strings", "bas", r"^to: expected a label of 'kind', got 'bas'\. Did you mean 'base'\?"),
    ("twice", 1, r"^to: expected a label that 'kind' has once, got 1\. .*\[0, 2\]"),
]


@pytest.mark.parametrize(("payoff", "to", "message"), BAD, ids=lambda entry: str(entry)[:20])
def test_a_reference_that_is_not_there_is_an_error_at_the_call(payoff, to, message):
    obj, contrast = PAYOFFS[payoff](), mz.Contrast(to=to)
    with pytest.raises(ArgumentValueError, match=message):
        mz.reduce(obj, contrast)
    with pytest.raises(ArgumentValueError, match=message):
        mz.stream(obj, contrast)


def test_an_unknown_label_among_many_is_answered_with_the_nearest():
    x = xr.DataArray(
        np.zeros((20, 2)), dims=("k", "path"), coords={"k": np.arange(20) / 2.0}, name="x"
    )
    with pytest.raises(ArgumentValueError, match=r"got 3\.2\. The nearest are 3\.0, 3\.5, 2\.5\."):
        mz.reduce(x, mz.Contrast(to=3.2))


@pytest.mark.parametrize(
    "to", [None, [0.2], {"sigma": [0.2]}, {1: 2}, b"x", object()], ids=lambda to: type(to).__name__
)
def test_what_is_no_label_is_refused(to):
    with pytest.raises(ArgumentTypeError, match=r"^to: expected a label of the reference"):
        mz.Contrast(to=to)


@pytest.mark.parametrize("to", [{}, float("nan"), {"sigma": float("inf")}], ids=str)
def test_a_label_that_is_none_is_refused(to):
    with pytest.raises(ArgumentValueError, match=r"^to: expected a"):
        mz.Contrast(to=to)
