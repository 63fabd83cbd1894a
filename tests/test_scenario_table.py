"""`mz.scenarios`: the parameters of scenarios from a CSV file or a DataFrame."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
CSV = "scenario,sigma,mu\ncalm,0.1,0\nwild, 0.3 ,1e-1\nbase,.2,0.05\n"


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file and returns its path."""

    def written(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return written


def test_each_row_of_a_file_is_a_scenario(file):
    vary = mz.scenarios(str(file(CSV)))
    assert list(vary) == ["sigma", "mu"]
    assert vary["sigma"].dims == ("scenario",)
    assert vary["mu"].values.tolist() == [0.0, 0.1, 0.05]
    assert vary["mu"].scenario.values.tolist() == ["calm", "wild", "base"]
    ds = mz.simulate(GBM, 500, 4, 100.0, seed=1, vary=vary)
    alone = mz.GeometricBrownianMotion(mu=0.1, sigma=0.3)
    expected = mz.simulate(alone, 500, 4, 100.0, seed=1).x
    np.testing.assert_array_equal(ds.x.sel(scenario="wild"), expected)
    assert mz.replay(ds, 7, scenario="base").sigma == 0.2


def test_a_file_and_a_table_give_the_same(file):
    path = file("\ufeff" + CSV.replace("\n", "\r\n"))
    table = pd.DataFrame(
        {"sigma": [0.1, 0.3, 0.2], "mu": [0.0, 0.1, 0.05]}, index=["calm", "wild", "base"]
    )
    as_column = table.reset_index(names="scenario")
    for other in (table, as_column, table.rename_axis("scenario")):
        for name, values in mz.scenarios(path).items():
            xr.testing.assert_identical(values, mz.scenarios(other)[name])


def test_without_labels_rows_have_positions(file):
    vary = mz.scenarios(file("n,scheme,label\n1,euler,2\n3,milstein,1\n"), name="case")
    assert (vary["n"].dtype.kind, vary["scheme"].dtype.kind) == ("i", "U")
    assert not vary["n"].coords
    assert mz.scenarios(pd.DataFrame({"a": [1, 2]}))["a"].equals(
        xr.DataArray([1, 2], dims="scenario")
    )
    assert vary["n"].dims == ("case",)


def test_labels_may_be_numbers(file):
    vary = mz.scenarios(file("case,sigma\n7,0.1\n9,0.2\n"), name="case")
    assert vary["sigma"].case.values.tolist() == [7, 9]


def test_a_table_makes_a_grid_with_an_array_on_another_dimension():
    table = pd.DataFrame({"sigma": [0.1, 0.3]})
    vary = {**mz.scenarios(table), "x0": xr.DataArray([90.0, 100.0], dims="x0")}
    ds = mz.simulate(GBM, 100, 4, seed=1, vary=vary)
    assert ds.x.dims == ("scenario", "x0", "path", "time")


VALUE, TYPE = mz.ArgumentValueError, mz.ArgumentTypeError


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", VALUE, "table: expected a CSV file with a header"),
        ("sigma\n", VALUE, "table: expected a table with one parameter and one row or more"),
        ("scenario\na\n", VALUE, "table: expected a table with one parameter"),
        ("sigma,mu\n0.1,0\n0.2,x\n", TYPE, "a number in column 'mu', row 2, got 'x'"),
        ("sigma,mu\n0.1,0\n0.2,\n", VALUE, "a number in column 'mu', row 2, got 'none'"),
        ("sigma,mu\n0.1,0\n0.2\n", VALUE, "a number in column 'mu', row 2, got 'none'"),
        ("sigma\n0.1\nnan\n", TYPE, "a number in column 'sigma', row 2, got 'nan'"),
        ("sigma\nnan\ninf\n", TYPE, "a number in column 'sigma', row 1, got 'nan'"),
        ("sigma\n1_0\n1\n", TYPE, "a number in column 'sigma', row 1, got '1_0'"),
        ("sigma\n1e999\n1\n", VALUE, "a finite number in column 'sigma', row 1, got inf"),
        ("sigma,sigma\n1,2\n", VALUE, "names of columns that differ, got 'sigma'"),
        ("sigma,\n1,2\n", VALUE, "text as the name of each column, got 'none of column 2'"),
        ("scenario,s\na,1\nb,2\na,3\n", VALUE, "labels in 'scenario' that differ.*rows 1 and 3"),
        ("scenario,s\na,1\n,2\n", VALUE, "a label in each row of 'scenario', got 'none in row 2'"),
        ("a,b\n1,2,3\n1,2\n4,5,6,7\n", VALUE, "table: expected a CSV file with a header"),
    ],
)
def test_a_file_that_is_no_table_of_numbers_is_refused(file, text, error, said):
    with pytest.raises(error, match=said):
        mz.scenarios(file(text))


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        (pd.DataFrame({"s": [0.1, np.nan]}), VALUE, "a number in column 's', row 2, got 'none'"),
        (pd.DataFrame({"s": [0.1, "x"]}), TYPE, "a number in column 's', row 2, got 'x'"),
        (pd.DataFrame({"s": [0.1, None]}, dtype=object), VALUE, "column 's', row 2"),
        (pd.DataFrame({"s": [0.1, [1]]}), TYPE, "column 's', row 2"),
        (pd.DataFrame({0: [0.1]}), VALUE, "text as the name of each column, got '0 of column 1'"),
        (pd.DataFrame({"s": [1, 2]}, index=["a", "a"]), VALUE, "'a' in rows 1 and 2"),
        (pd.DataFrame(), VALUE, "one parameter and one row or more"),
        (3, TYPE, "table: expected a CSV file or a DataFrame"),
    ],
)
def test_a_table_that_is_none_of_numbers_is_refused(table, error, said):
    with pytest.raises(error, match=said):
        mz.scenarios(table)


def test_a_file_that_cannot_be_read_is_named(tmp_path, file):
    with pytest.raises(VALUE, match=r"no\.csv: No such file"):
        mz.scenarios(tmp_path / "no.csv")
    with pytest.raises(VALUE, match="that can be read"):
        mz.scenarios(tmp_path)
    with pytest.raises(VALUE, match="in UTF-8"):
        mz.scenarios(file("s\n1\nä\n", "latin-1"))


@pytest.mark.parametrize(("name", "error"), [(3, TYPE), ("", VALUE), ("path", VALUE)])
def test_a_name_of_no_dimension_is_refused(name, error):
    with pytest.raises(error, match="name: expected"):
        mz.scenarios(pd.DataFrame({"s": [1.0]}), name=name)
