"""Mathematics in texts of pictures: refused before anything is simulated, or shown as it is."""

import io

import pytest

import montezarr as mz
from montezarr.plot._figure import label_of, mathtext_problem, showable

pytest.importorskip("matplotlib")

BAD = r"a $\frac{1$ b"
PLOTS = {
    "fan": lambda ds, **texts: mz.plot.fan(ds.x, **texts),
    "paths": lambda ds, **texts: mz.plot.paths(ds.x, **texts),
    "histogram": lambda ds, **texts: mz.plot.histogram(ds.x.isel(time=-1), **texts),
    "density": lambda ds, **texts: mz.plot.density(ds.x, **texts),
    "compare": lambda ds, **texts: mz.plot.compare(ds.x, ds.x, **texts),
}


@pytest.fixture
def undrawable(monkeypatch):
    """Paths that nobody is to draw."""

    def never(*_, **__):
        raise AssertionError("it was simulated")

    ds = mz.simulate(mz.BrownianMotion(), n_paths=2000, T=4, seed=1)
    monkeypatch.setattr(mz.BrownianMotion, "sample", never)
    return ds


@pytest.mark.parametrize("name", ["title", "xlabel", "ylabel"])
@pytest.mark.parametrize("plot", PLOTS)
def test_bad_mathematics_is_refused_before_the_simulation(plot, name, undrawable):
    with pytest.raises(mz.ArgumentValueError, match=f"^{name}: expected a text") as caught:
        PLOTS[plot](undrawable, **{name: BAD})
    assert r"\$" in str(caught.value)


def test_so_it_is_in_the_labels_of_two_runs(undrawable):
    with pytest.raises(mz.ArgumentValueError, match=r"^labels: expected a text"):
        mz.plot.compare(undrawable.x, undrawable.x, labels=["good", BAD])


def test_good_mathematics_and_single_dollars_are_shown():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=2000, T=4, seed=1)
    ax = mz.plot.fan(ds.x, title=r"$\sigma^2$", xlabel="in $", ylabel=r"\$ and \$")
    ax.figure.savefig(io.BytesIO())


def test_names_and_units_of_the_data_are_never_an_error():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=2000, T=4, seed=1)
    ds["x"].attrs.update(long_name=BAD, units="$")
    for plot in ("fan", "paths", "density"):
        PLOTS[plot](ds).figure.savefig(io.BytesIO())


def test_labels_of_states_are_never_an_error():
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=[BAD, "$"])
    ds = mz.simulate(chain, n_paths=200, T=4, x0="$", seed=1)
    mz.plot.paths(ds.x, mean=False, band=None).figure.savefig(io.BytesIO())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        (r"$\sigma$", r"$\sigma$"),
        ("one $", r"one \$"),
        (BAD, r"a \$\frac{1\$ b"),
        (r"\$", r"\$"),
    ],
)
def test_what_cannot_be_set_is_shown_as_it_is_written(text, shown):
    assert showable(text) == shown
    assert mathtext_problem(shown) is None


def test_dollars_of_name_and_units_make_no_mathematics():
    assert label_of("x", {"long_name": "price $", "units": "$"}) == r"price \$ [\$]"
