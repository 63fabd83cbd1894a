"""Labels come back as they were given, and their codes are no numbers."""

import hashlib
import itertools
import json
import pickle

import numpy as np
import pytest
import xarray as xr
from own_statistics import MeanSquare

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.statistics import Mean
from montezarr.store.export import export

LABELS = [
    ["calm", "storm"], ["very calm", "very_calm"], [1, "1"], [3, 7], ["a\tb", "a b"],
    ["", "none"], ["a", "a\0"], ["line\nbreak", "line break"], ["1", "2"], ["a  b", "a b"],
    [2**70, -5], ["é", "e\u0301"],
]  # fmt: skip


def chain(labels):
    return mz.MarkovChain(transition=[[0.7, 0.3], [0.4, 0.6]], states=labels)


def run(labels, n=3000, **options):
    return mz.simulate(chain(labels), n, 3, seed=1, chunks=1024, **options)


def same(found, wanted):
    """Return whether labels are these, of these types."""
    plain = [x.item() if isinstance(x, np.generic) else x for x in np.asarray(found).tolist()]
    return plain == wanted and [type(x) for x in plain] == [type(x) for x in wanted]


def written(ds, path):
    mz.write(ds, path / "paths.zarr")
    return path / "paths.zarr"


def zarr_of(ds, path):
    ds.to_zarr(path / "plain.zarr", zarr_format=3, consolidated=False)
    return xr.open_zarr(path / "plain.zarr", consolidated=False)


def netcdf_of(ds, path):
    export(written(ds, path), path / "out.nc")
    return xr.open_dataset(path / "out.nc", engine="h5netcdf")


WAYS = {
    "simulated": lambda ds, path: ds,
    "computed": lambda ds, path: ds.compute(),
    "a part": lambda ds, path: ds.isel(path=slice(1024, 2500)),
    "pickled": lambda ds, path: pickle.loads(pickle.dumps(ds.compute())),
    "rechunked": lambda ds, path: ds.chunk(path=700),
    "written": lambda ds, path: mz.open(written(ds, path)),
    "read by xarray": lambda ds, path: xr.open_zarr(written(ds, path)),
    "written by xarray": zarr_of,
    "netCDF": netcdf_of,
    "without a disk": lambda ds, path: mz.VirtualStore(ds).to_dataset(),
    "in a batch": lambda ds, path: next(iter(mz.batches(ds, 2000))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("labels", LABELS, ids=repr)
def test_labels_come_back_as_they_were(labels, way, tmp_path):
    ds = WAYS[way](run(labels), tmp_path)
    shares = mz.reduce(ds, mz.Proportion()).x_proportion
    assert same(shares.state.values, labels)
    codes = np.asarray(ds.x.transpose("path", "time").values)
    for code in (0, 1):
        np.testing.assert_allclose(shares.isel(state=code), (codes == code).mean(axis=0))
    values = ds.assign(y=ds.x.astype(float) + 1.0)
    grouped = mz.reduce(values[["y", "x"]].isel(time=-1), "mean", by="x")
    assert same(grouped.x.values, labels)
    np.testing.assert_array_equal(grouped.y_mean, [1.0, 2.0])


@pytest.mark.parametrize("labels", LABELS, ids=repr)
@pytest.mark.parametrize("way", ["simulated", "computed", "a part", "written"])
def test_a_variable_alone_has_its_labels_too(labels, way, tmp_path):
    x = WAYS[way](run(labels), tmp_path).x
    assert same(mz.reduce(x, mz.Proportion()).state.values, labels)
    end = x.isel(time=-1)
    payoff = (end.astype(float) * 2).rename("payoff")
    assert same(mz.reduce(payoff, "mean", by=end).x.values, labels)


@pytest.mark.parametrize("labels", LABELS, ids=repr)
def test_results_in_a_store_have_the_labels(labels, tmp_path):
    store = tmp_path / "paths.zarr"
    mz.write(run(labels), store, statistics=mz.Proportion())
    found = mz.open(store, "statistics")
    assert same(found.state.values, labels)
    wanted = mz.reduce(run(labels), mz.Proportion()).x_proportion
    np.testing.assert_array_equal(found.x_proportion, wanted)
    mz.extend(store, 4000)
    assert same(mz.open(store, "statistics").state.values, labels)


@pytest.mark.parametrize("labels", [["calm", "storm"], [3, 7], ["very calm", "x"]], ids=repr)
def test_other_programs_have_cf(labels, tmp_path):
    ds = run(labels)
    for found in (ds, mz.open(written(ds, tmp_path))):
        words = " ".join(str(label).replace(" ", "_") for label in labels)
        assert found.x.attrs["flag_meanings"] == words
        assert found.x.attrs["flag_values"].tolist() == [0, 1]
        assert found.x.attrs["flag_values"].dtype == found.x.dtype


def test_the_recipe_is_read_once_for_all_variables(monkeypatch):
    one = run(["very calm", "storm"]).load()
    ds = xr.Dataset({f"x{i}": one.x.copy() for i in range(5)}, attrs=one.attrs)
    for variable in ds.variables.values():
        variable.encoding = {}  # as other programs read it
        if "flag_values" in variable.attrs:
            variable.attrs["flag_values"] = [0, 1]
    read, loads = [], json.loads

    def counted(text, **options):
        read.append(text)
        return loads(text, **options)

    monkeypatch.setattr(json, "loads", counted)
    found = mz.reduce(ds, mz.Proportion())
    assert same(found.state.values, ["very calm", "storm"])
    assert read.count(ds.attrs["montezarr"].encode()) == 1


def test_attributes_of_others_name_states_as_before():
    codes = xr.DataArray(
        np.array([[5, 7], [7, 7]], np.int8), dims=("path", "time"), name="state",
        attrs={"flag_values": np.array([5, 7], np.int8), "flag_meanings": "dry wet"},
    )  # fmt: skip
    found = mz.reduce(codes, mz.Proportion())
    assert found.state.values.tolist() == ["dry", "wet"]
    assert mz.in_state(codes, "wet").values.tolist() == [[False, True], [True, True]]
    with pytest.raises(ArgumentValueError, match="holds codes of the labels"):
        mz.reduce(codes, "mean")
    twice = codes.assign_attrs(flag_meanings="wet wet")
    assert mz.reduce(twice, mz.Proportion()).state.values.tolist() == [5, 7]


NUMERIC = [
    "mean", "std", "variance", "skewness", "min", "max", "median", "q05", mz.Autocorrelation([1]),
    mz.Drawdown(), mz.Exceedance([0.5]), mz.ExpectedShortfall(0.9), mz.Extrema(k=3),
    mz.FirstPassage(0.5), mz.TimeAverage(), mz.Covariance("time"),
]  # fmt: skip


@pytest.mark.parametrize("statistic", NUMERIC, ids=str)
@pytest.mark.parametrize("way", ["simulated", "computed", "a part", "written", "written by xarray"])
def test_a_statistic_of_numbers_refuses_codes(statistic, way, tmp_path):
    ds = WAYS[way](run(["calm", "storm"]), tmp_path)
    with pytest.raises(ArgumentValueError, match="'x', which holds codes of the labels") as caught:
        mz.reduce(ds, statistic)
    for remedy in ("mz.Proportion()", "by=", "mz.in_state", "drop_attrs()"):
        assert remedy in str(caught.value)
    mz.reduce(ds, ["count", mz.Proportion(), mz.Histogram([-0.5, 0.5, 1.5])])


def test_every_way_to_a_statistic_refuses(tmp_path):
    ds = run(["calm", "storm"])
    for taken in (
        lambda: mz.stream(ds, "mean"),
        lambda: mz.reduce(ds, "mean", compute=False),
        lambda: mz.plan(ds, "mean"),
        lambda: mz.write(ds, tmp_path / "a.zarr", statistics=["mean"]),
        lambda: mz.reduce(ds, {"x": ["mean"]}),
        lambda: mz.reduce(ds, "mean", transform=lambda part: part.x),
        lambda: mz.reduce(ds.assign(y=ds.x * 0.5), mz.Covariance("variable")),
    ):
        with pytest.raises(ArgumentValueError, match="holds codes of the labels"):
            taken()
    assert not (tmp_path / "a.zarr").exists()


def test_what_is_made_of_codes_is_of_numbers(tmp_path):
    for ds in (run(["calm", "storm"]), run(["calm", "storm"]).compute(),
               mz.open(written(run(["calm", "storm"]), tmp_path))):  # fmt: skip
        codes = ds.x.values
        for made, wanted in (
            (ds.x == 1, (codes == 1).mean(axis=0)),
            (mz.in_state(ds.x, "storm"), (codes == 1).mean(axis=0)),
            ((ds.x == 1).sum("time"), (codes == 1).sum(axis=1).mean()),
            (ds.x.astype(float), codes.mean(axis=0)),
            (ds.x.drop_attrs(), codes.mean(axis=0)),
            ((ds.x == 1).astype(int), (codes == 1).mean(axis=0)),
        ):
            np.testing.assert_allclose(mz.reduce(made.rename("x"), "mean").x_mean, wanted)
        shares = mz.reduce(ds.x == 1, mz.Proportion(states=[0, 1]))
        assert shares.state.values.tolist() == [0, 1]  # of False and True, not of calm and storm
        wet = (ds.x == 1).isel(time=-1).rename("wet")
        grouped = mz.reduce(ds.x.isel(time=0).astype(float), "mean", by=wet)
        assert grouped.wet.values.tolist() == [False, True]


def test_own_statistics_say_whether_they_take_codes():
    ds = run(["calm", "storm"])
    with pytest.raises(ArgumentValueError, match="holds codes"):
        mz.reduce(ds, MeanSquare())

    class OfCodes(MeanSquare):
        takes_labels = True

    assert len(mz.reduce(ds, OfCodes())) > 1


@pytest.mark.parametrize("draw", ["fan", "paths", "compare", "compare ends", "save_fan"])
def test_pictures_of_numbers_refuse_codes(draw, tmp_path):
    ds = run(["calm", "storm"])
    with pytest.raises(ArgumentValueError, match="holds codes of labels") as caught:
        {
            "fan": lambda: mz.plot.fan(ds.x),
            "paths": lambda: mz.plot.paths(ds),
            "compare": lambda: mz.plot.compare(ds, ds),
            "compare ends": lambda: mz.plot.compare(ds.x.isel(time=-1), ds.x.isel(time=-1)),
            "save_fan": lambda: mz.plot.save_fan(ds.x, tmp_path / "fan.png"),
        }[draw]()
    assert "plot.density or plot.histogram" in str(caught.value)
    assert "['calm', 'storm']" in str(caught.value)


@pytest.mark.parametrize("labels", [["very calm", "very_calm"], [1, "1"], [7, 3]], ids=repr)
@pytest.mark.parametrize("way", ["simulated", "written", "written by xarray"])
def test_pictures_of_states_have_their_labels(labels, way, tmp_path):
    ds = WAYS[way](run(labels), tmp_path)
    wanted = [str(label) for label in labels]
    ax = mz.plot.histogram(ds, time=3.0)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == wanted
    ax = mz.plot.density(ds)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == wanted
    ax = mz.plot.paths(ds, mean=False, band=None, n=3)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == wanted


def test_a_histogram_of_states_has_a_bin_for_each_also_for_those_that_are_rare():
    rare = mz.MarkovChain(
        transition=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], states=["a", "b", "c"]
    )
    ax = mz.plot.histogram(mz.simulate(rare, 2000, 1, "a", seed=1), time=1.0)
    assert ax.get_xlim() == (-0.5, 2.5)


def test_in_state_is_where_a_label_is():
    ds = run(["calm", "storm"])
    codes = ds.x.values
    found = mz.in_state(ds.x, "storm")
    assert found.dtype == bool
    assert found.chunks is not None
    np.testing.assert_array_equal(found, codes == 1)
    np.testing.assert_array_equal(mz.in_state(ds.x, ["storm", "calm"]), True)
    assert "flag_values" not in found.attrs
    mixed = run([1, "1"])
    np.testing.assert_array_equal(mz.in_state(mixed.x, "1"), mixed.x.values == 1)
    np.testing.assert_array_equal(mz.in_state(mixed.x, 1), mixed.x.values == 0)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda ds: mz.in_state(ds, "storm"), ArgumentTypeError, "one variable"),
        (lambda ds: mz.in_state(ds.x, "rain"), ArgumentValueError, "['calm', 'storm']"),
        (lambda ds: mz.in_state(ds.x, 1.0), ArgumentTypeError, "a label"),
        (lambda ds: mz.in_state(ds.x, True), ArgumentTypeError, "a label"),
        (lambda ds: mz.in_state(ds.time, "rain"), ArgumentValueError, "with labels"),
    ],
)
def test_in_state_refuses(make, error, words):
    with pytest.raises(error) as caught:
        make(run(["calm", "storm"]))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "compared",
    [
        lambda x: x == "storm", lambda x: x != "storm", lambda x: (x == "storm").any("time"),
        lambda x: x.isel(time=-1) == "rain", lambda x: (x == "storm") | (x == 0),
        lambda x: x.isin(["storm"]), lambda x: ~x.isel(time=-1).isin("storm"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["simulated", "written"])
def test_a_lazy_comparison_with_a_text_is_refused_where_it_is_used(compared, way, tmp_path):
    ds = WAYS[way](run(["calm", "storm"]), tmp_path)
    found = compared(ds.x).rename("found")
    for taken in (
        lambda: mz.reduce(found, "mean"),
        lambda: mz.reduce(ds.x.astype(float).assign_coords(), "mean", by=found)
        if found.ndim == 1 else mz.reduce(found, "mean"),
        lambda: mz.stream(found, "mean"),
    ):  # fmt: skip
        with pytest.raises(ArgumentValueError, match=r"No code is a text: take mz\.in_state\("):
            taken()


@pytest.mark.parametrize("way", ["simulated", "written"])
def test_a_comparison_with_a_text_inside_a_function_is_refused(way, tmp_path):
    ds = WAYS[way](run(["calm", "storm"]), tmp_path)
    for function in (
        lambda d: (d.x == "storm").any("time").rename("met"),
        lambda d: d.x.isel(time=-1).isin(["storm"]).rename("met"),
    ):
        for taken in (mz.reduce, mz.stream):
            with pytest.raises(ArgumentValueError, match=r"mz\.in_state\(x, 'storm'\)"):
                taken(ds, "mean", transform=function)
    for function in (
        lambda d: mz.in_state(d.x.isel(time=-1), "storm").rename("met"),
        lambda d: d.x.isel(time=-1).copy(data=d.x.values[:, -1] == 1).rename("met"),
    ):
        met = mz.reduce(ds, "mean", transform=function).met_mean
        assert met == (ds.x.isel(time=-1) == 1).mean()


def test_what_a_store_has_of_codes_goes_on(tmp_path, monkeypatch):
    """A store that was begun with a mean of codes opens, verifies, and grows as it began."""
    with monkeypatch.context() as patch:
        patch.setattr(Mean, "takes_labels", True)
        mz.write(run(["very calm", "very_calm"]), tmp_path / "old.zarr", statistics=["mean"])
    assert mz.verify(tmp_path / "old.zarr", 3).ok
    before = mz.open(tmp_path / "old.zarr", "statistics").x_mean.values
    assert mz.extend(tmp_path / "old.zarr", 4000).sizes["path"] == 4000
    assert not np.array_equal(mz.open(tmp_path / "old.zarr", "statistics").x_mean, before)
    (tmp_path / "old.zarr/statistics/x_mean/c/0").unlink()
    assert mz.repair(tmp_path / "old.zarr").ok


@pytest.mark.parametrize(
    ("labels", "digest", "metadata"),
    [
        (["very calm", "very_calm"], "641e1216d69193b61b93e3bfc693bb1a", "b2100cd3f23f3b6e"),
        (["a\tb", "x"], "ccba58dddc2cdd4c75d570c98eea35d2", "2f37102fdbcccf6b"),
        (["calm", "storm"], "d5e0a300687450493da8bd0f3116acd5", "6f1676f5bc199c53"),
        (None, "ce9d88ef398142b6ddbacba91b7cdc87", "2ce5ac3e182d6f45"),
    ],
)
def test_stores_are_what_they_were(labels, digest, metadata, tmp_path, monkeypatch):
    """Metadata and the identity of statistics, as of the versions that had labels from CF alone."""
    monkeypatch.setattr(Mean, "takes_labels", True)
    process = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=labels)
    ds = mz.simulate(process, 3000, 3, seed=1, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr", statistics=[mz.Proportion(states=[0, 1]), "mean"])
    manifest = json.loads((tmp_path / "a.zarr/montezarr/manifest.json").read_bytes())
    assert manifest["statistics"]["digest"] == digest
    found = hashlib.sha256((tmp_path / "a.zarr/x/zarr.json").read_bytes()).hexdigest()
    assert found.startswith(metadata)
    chunk = (tmp_path / "a.zarr/x/c/0/0").read_bytes()
    assert hashlib.sha256(chunk).hexdigest().startswith("f16f26d5d7858492")


def test_every_pair_of_labels_stays_apart():
    words = ["a b", "a_b", "a\tb", "a", 1, "1", "", "a\0", " a", "a "]
    for pair in itertools.combinations(words, 2):
        ds = run(list(pair), n=1100)
        assert same(mz.reduce(ds, mz.Proportion()).state.values, list(pair))
