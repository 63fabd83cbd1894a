"""Quantiles of counts are counts: the order statistics while a bin holds one integer."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

import montezarr as mz

LEVELS = (0.05, 0.5, 0.77, 0.95)


def counts(cells, large, dtype="int64", n=40_000, masked=None):
    """Counts, of which a few are so large that bins of small numbers are wide."""
    rng = np.random.default_rng(5)
    values = rng.poisson(rng.uniform(0, 300, size=cells), size=(n, cells)).astype(dtype)
    values[rng.integers(n, size=200)] = rng.integers(large, size=(200, 1))
    if masked is not None:
        values[rng.integers(n, size=50)] = masked
    return values


def quantiles(values, chunks=None, **options):
    array = xr.DataArray(values, dims=("path", "cell"), name="x")
    array = array if chunks is None else array.chunk({"path": chunks})
    return mz.reduce(array, mz.Quantile(LEVELS, **options))


def order_statistics(values):
    return np.quantile(values, LEVELS, axis=0, method="inverted_cdf").T


@pytest.mark.parametrize(("cells", "dtype"), [(1, "int64"), (3, "int32"), (40, "int64")])
def test_small_integers_among_large_ones_are_exact(cells, dtype):
    values = counts(cells, 10**6, dtype)
    found = quantiles(values)
    expected = order_statistics(values)
    assert expected.max() < 512
    np.testing.assert_array_equal(found.x_quantile, expected)
    assert found.x_quantile.attrs["resolution"] == 0
    assert (found.x_quantile_low <= expected).all()
    assert (found.x_quantile_high >= expected).all()
    for end in ("low", "high"):
        assert (found[f"x_quantile_{end}"] % 1 == 0).all()


def test_the_same_numbers_as_reals_are_not_known_to_be_integers():
    values = counts(40, 10**6)
    found = quantiles(values.astype("float64"))
    np.testing.assert_allclose(found.x_quantile, order_statistics(values), rtol=0.005)
    assert (found.x_quantile % 1 != 0).any()


def test_large_integers_are_integers_within_the_promised_error():
    values = np.random.default_rng(2).integers(-(10**9), 10**9, size=(20_000, 40))
    found = quantiles(values).x_quantile
    assert (found % 1 == 0).all()
    np.testing.assert_allclose(found, order_statistics(values), rtol=0.005)
    exact = quantiles(values, exact=True).x_quantile
    np.testing.assert_array_equal(exact, order_statistics(values))


def test_integers_close_together_are_exact():
    values = np.random.default_rng(3).integers(5_000, 6_000, size=(30_000, 40))
    np.testing.assert_array_equal(quantiles(values).x_quantile, order_statistics(values))


@settings(max_examples=15)
@example([1, 2, 3, 1023, 1024, 1025, 11_999])
@given(st.lists(st.integers(1, 11_999), max_size=15, unique=True))
def test_every_chunking_gives_the_same_bits(cuts):
    """Chunks of any lengths, those of one path among them."""
    values = counts(20, 10**6, n=12_000)
    chunks = tuple(np.diff([0, *sorted(cuts), 12_000]).tolist())
    xr.testing.assert_identical(quantiles(values, chunks), quantiles(values))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 12_000))
def test_parts_merge_to_the_whole(split):
    values = counts(20, 10**6, n=12_000).astype("float64").T
    kind = mz.Quantile(LEVELS)
    parts = [
        kind.chunk(mz.Sample(np.ascontiguousarray(part[:, None])))
        for part in np.split(values, [split], axis=1)
    ]
    source = mz.Source(is_integer=True)
    whole = kind.finalize(kind.chunk(mz.Sample(values[:, None])), source)
    merged = kind.finalize(kind.merge(*parts), source)
    for name, estimate in whole.items():
        np.testing.assert_array_equal(merged[name].values, estimate.values)
    np.testing.assert_array_equal(whole["quantile"].values, order_statistics(values.T))


def counting(rng, T):
    large = 10**6 if rng.random() < 0.01 else 1
    x = np.cumsum(rng.poisson(30, T + 1)) * large
    if rng.random() < 0.01:
        raise ValueError
    return x.astype("int64")


@pytest.fixture
def run():
    """Counts, of which some are large; some paths fail."""
    with mz.backend("synchronous"):
        yield mz.simulate(counting, 3000, 9, seed=1, dtype="int64", on_error="mask")


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_masked_paths_do_not_count_also_in_a_stream_and_from_a_store(run, tmp_path):
    x = run.compute().x
    whole = mz.reduce(run.x, mz.Quantile(LEVELS)).x_quantile
    values = x.values[(x != x.masked_value).all("time")]
    assert 2900 < len(values) < 3000
    np.testing.assert_array_equal(whole, order_statistics(values))
    *_, last = mz.stream(run.x, mz.Quantile(LEVELS), every=1024)
    np.testing.assert_array_equal(last.dataset.x_quantile, whole)
    mz.write(run, tmp_path / "a.zarr", statistics=mz.Quantile(LEVELS))
    for found in (
        mz.reduce(mz.open(tmp_path / "a.zarr").x, mz.Quantile(LEVELS)),
        mz.open(tmp_path / "a.zarr", "statistics"),
    ):
        np.testing.assert_array_equal(found.x_quantile, whole)
