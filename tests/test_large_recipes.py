"""A recipe that is too large to be read again is refused before anything is drawn."""

import numpy as np
import pytest

import montezarr as mz
from montezarr.store import _recipe_size
from montezarr.store.format import _manifest
from montezarr.store.virtual import _file


def chain(states, seed=0):
    matrix = np.random.default_rng(seed).random((states, states))
    return mz.MarkovChain(transition=matrix / matrix.sum(axis=1, keepdims=True))


class Chain:
    """The same as code: its recipe has a digest of the numbers."""

    def __init__(self, matrix):
        self.sums = np.cumsum(matrix, axis=1)

    def sample_path(self, T, x0, rng):
        path = np.zeros(T + 1, np.int64)
        for k in range(T):
            path[k + 1] = np.searchsorted(self.sums[path[k]], rng.random())
        return path


@pytest.fixture
def small(monkeypatch):
    for module in (_recipe_size, _manifest, _file):
        monkeypatch.setattr(module, "MAX_BYTES", 2**20)


def test_what_no_reader_takes_is_not_drawn(small, tmp_path, monkeypatch):
    ds = mz.simulate(chain(300), n_paths=2000, T=3, seed=1)
    monkeypatch.setattr(
        "montezarr.sampling.counter.draw", lambda *_: pytest.fail("something was drawn")
    )
    for path in (tmp_path / "a.zarr", f"memory://{tmp_path.name}/a.zarr"):
        with pytest.raises(
            mz.ArgumentValueError, match=r"^ds: .*1\.0 MiB.*process\.transition .*code of yours"
        ):
            mz.write(ds, path)
    assert not (tmp_path / "a.zarr").exists()
    with pytest.raises(mz.ArgumentValueError, match=r"^recipe: .*process\.transition"):
        mz.VirtualStore(ds).save(tmp_path / "v.json")
    assert not (tmp_path / "v.json").exists()


def test_what_fits_is_read_again(small, tmp_path):
    ds = mz.simulate(chain(60), n_paths=2000, T=3, seed=1)
    stored = mz.write(ds, tmp_path / "a.zarr")
    assert stored.identical(mz.open(tmp_path / "a.zarr"))
    mz.VirtualStore(ds).save(tmp_path / "v.json")
    np.testing.assert_array_equal(mz.open(tmp_path / "v.json").x, ds.x)


def test_a_class_of_ones_own_has_the_digest_of_its_numbers_alone(small, tmp_path):
    matrix = np.random.default_rng(0).random((300, 300))
    ds = mz.simulate(Chain(matrix / matrix.sum(axis=1, keepdims=True)), 50, T=3, seed=1)
    assert len(ds.attrs["montezarr"]) < 1000
    assert mz.write(ds, tmp_path / "a.zarr").sizes["path"] == 50
