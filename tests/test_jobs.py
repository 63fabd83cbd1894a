"""What a job takes from its files: a value that cannot be meant is refused in one line."""

import json

import numpy as np
import pytest

import montezarr as mz
from montezarr.cli import job
from montezarr.cli.job.config import plain_number
from montezarr.cli.job.prices import read_prices

PRICES = 100 * np.exp(np.cumsum(np.full(60, 0.004)) + 0.02 * np.sin(np.arange(60)))
DAYS = np.arange("2007-01-03", "2007-03-04", dtype="datetime64[D]").astype(str).tolist()


def table(days=DAYS, prices=PRICES, header="date,close"):
    lines = [f"{day},{price:.6f}" for day, price in zip(days, prices, strict=True)]
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture
def make(tmp_path):
    """A function that writes a job, and the prices beside it, and returns the file."""

    def made(prices=None, *, process='name = "GeometricBrownianMotion"\nfit = true', x0='"last"',
             data='file = "prices.csv"', output='store = "paths.zarr"', mark=""):  # fmt: skip
        if prices is not None:
            content = prices if isinstance(prices, bytes) else prices.encode()
            (tmp_path / "prices.csv").write_bytes(content)
        file = tmp_path / "job.toml"
        section = "" if data is None else f"[data]\n{data}\n"
        start = "" if x0 is None else f"x0 = {x0}\n"
        text = (
            f"{mark}{section}[process]\n{process}\n[run]\n{start}n_paths = 2000\nT = 4\nseed = 1\n"
            f"[output]\n{output}\n"
        )
        file.write_text(text, encoding="utf-8")
        return file

    return made


def refusal(file):
    with pytest.raises(mz.ConfigError) as caught:
        job.prepare(job.load(file))
    text = str(caught.value)
    assert "\n" not in text
    assert sorted(p.name for p in file.parent.iterdir()) in (
        ["job.toml", "prices.csv"], ["job.toml"],
    )  # fmt: skip
    return text


def test_prices_are_read_in_the_order_of_their_dates(make):
    prices = read_prices(job.load(make(table())))
    np.testing.assert_allclose(prices, PRICES, atol=1e-6)
    done = job.prepare(job.load(make(table())))
    assert done.process.mu > 0.5
    assert float(done.ds.x[0, 0]) == pytest.approx(PRICES[-1], abs=1e-5)


SHUFFLED = [DAYS[i] for i in np.random.default_rng(0).permutation(len(DAYS))]


@pytest.mark.parametrize("header", ["date,close", "Date ,close", "when,close", ",close"])
@pytest.mark.parametrize(
    "days",
    [
        DAYS[::-1], SHUFFLED, [*DAYS[:30], DAYS[29], *DAYS[31:]], [*DAYS[:-1], DAYS[0]],
        [f"{day}T16:00:00+01:00" for day in DAYS[::-1]],
        [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in DAYS[::-1]],
        [f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in DAYS[::-1]],
        [day.replace("-", "") for day in DAYS[::-1]],
    ],
    ids=["newest first", "shuffled", "twice", "one astray", "hours", "German", "US", "digits"],
)  # fmt: skip
def test_dates_that_do_not_increase_are_refused(make, header, days):
    text = refusal(make(table(days, header=header)))
    assert "[data] file" in text
    assert "dates must increase from row to row" in text
    assert "oldest first" in text


@pytest.mark.parametrize(
    "days",
    [
        [f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in DAYS],
        [f"{day[8:]}/{day[5:7]}/{day[:4]}" for day in DAYS],
        [f"{day} 16:00" for day in DAYS], [str(1167782400 + 86400 * k) for k in range(60)],
    ],
    ids=["US", "British", "hours", "seconds since 1970"],
)  # fmt: skip
def test_dates_of_other_forms_that_increase_are_taken(make, days):
    assert len(read_prices(job.load(make(table(days))))) == 60


def test_a_day_and_a_time_of_day_are_one_date(make):
    hours = [f"{9 + k % 6:02d}:30" for k in range(60)]
    days = [f"{DAYS[k // 6]},{hour}" for k, hour in enumerate(hours)]
    assert len(read_prices(job.load(make(table(days, header="date,time,close"))))) == 60
    assert "increase" in refusal(make(table(days[::-1], header="date,time,close")))


def test_dates_whose_order_nobody_knows_are_refused_and_without_dates_the_order_is_theirs(make):
    text = refusal(make(table([f"day {k}" for k in range(60)])))
    assert "expected dates such as 2024-01-31 in the column 'date'" in text
    plain = "close\n" + "\n".join(f"{price:.6f}" for price in PRICES)
    assert len(read_prices(job.load(make(plain)))) == 60
    other = table([f"note {k}" for k in range(60)], header="note,close")
    assert len(read_prices(job.load(make(other)))) == 60


def test_a_byte_order_mark_hides_nothing(make):
    reversed_columns = "\n".join(",".join(line.split(",")[::-1]) for line in table().splitlines())
    content = b"\xef\xbb\xbf" + reversed_columns.encode()
    prices = read_prices(job.load(make(content, mark="\ufeff")))
    np.testing.assert_allclose(prices, PRICES, atol=1e-6)
    assert "increase" in refusal(make(b"\xef\xbb\xbf" + table(DAYS[::-1]).encode()))


def test_two_columns_of_one_name_are_refused(make):
    lines = [f"{line},{line.split(',')[1]}" for line in table().splitlines()]
    text = refusal(make("\n".join(lines)))
    assert "[data] column: 'close' is 2 columns of" in text


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("2007-01-08,1_0", "'1_0' is no number"),
        ("2007-01-08,１２", "is no number"),
        ("2007-01-08,nan", "'nan' is no number"),
        ("2007-01-08,0x10", "'0x10' is no number"),
        ("2007-01-08,", "'' is no number"),
        ("2007-01-08", "expected 2 fields, as the header has, got 1"),
        ("2007-01-08,1,416.60", "expected 2 fields, as the header has, got 3"),
    ],
)
def test_a_row_that_is_none_is_named_with_its_line(make, entry, words):
    lines = table().splitlines()
    lines[6] = entry
    text = refusal(make("\n".join(lines)))
    assert "prices.csv:7: " in text
    assert words in text
    assert "None" not in text


def test_a_quote_that_is_not_closed_is_told(make):
    lines = table().splitlines()
    lines[6] = '"' + lines[6]
    text = refusal(make("\n".join(lines)))
    assert "no CSV" in text
    assert "quote" in text
    assert "no CSV" in refusal(make("\n".join([*lines, "x" * 200_000])))


def test_an_empty_file_of_prices_is_refused(make):
    assert "empty" in refusal(make(""))


@pytest.mark.parametrize("text", ["1_0", "1e999_9", "ten", "", "1/2", "٣", "inf"])
def test_what_is_no_plain_number(text):
    assert not np.isfinite(plain_number(text))


def test_a_fraction_is_of_plain_numbers(make):
    file = make(table())
    file.write_text(file.read_text().replace("T = 4", 'T = 4\ndt = "1_0/252"'))
    assert "[run] dt" in refusal(file)


@pytest.mark.parametrize(
    "place", ["s3://bucket/paths.zarr", "s3:/bucket/paths.zarr", "memory://x", "file:///tmp/x"]
)
@pytest.mark.parametrize("key", ["store", "plot", "file"])
def test_a_url_makes_no_folder(make, place, key):
    data = f'file = "{place}"' if key == "file" else 'file = "prices.csv"'
    output = 'store = "paths.zarr"' if key == "file" else f'{key} = "{place}"'
    if key == "plot":
        output += '\nstore = "paths.zarr"'
    text = refusal(make(table(), data=data, output=output))
    assert f"{key}: expected a path on this machine, got '{place}'" in text


def test_the_home_folder_is_meant_by_its_sign(make, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = make(table(), output='store = "~/x.zarr"')
    report = job.execute(job.prepare(job.load(file)))
    assert report.store == str(tmp_path / "home/x.zarr")
    assert (tmp_path / "home/x.zarr/zarr.json").exists()
    assert not (tmp_path / "~").exists()


def test_the_home_folder_of_nobody_is_refused(make):
    text = refusal(make(table(), output='store = "~no_such_user/x.zarr"'))
    assert "[output] store" in text
    assert "no_such_user" in text


def test_a_chain_has_no_fit_to_prices(make):
    text = refusal(make(table(), process='name = "MarkovChain"\nfit = true'))
    assert "[process] fit: MarkovChain has no fit to prices; give its parameters" in text


CHAIN = 'name = "MarkovChain"\ntransition = [[0.9, 0.1], [0.5, 0.5]]\nstates = ["calm", "storm"]'


def test_a_fan_of_labels_is_refused_before_anything_is_simulated(make):
    output = 'store = "paths.zarr"\nplot = "fan.png"'
    text = refusal(make(process=CHAIN, data=None, x0='"calm"', output=output))
    assert "[output] plot" in text
    assert "labels" in text
    assert job.prepare(job.load(make(process=CHAIN, data=None, x0='"calm"'))).ds.x.shape == (
        2000,
        5,
    )


HESTON = 'name = "Heston"\nmu = 0.0\nkappa = 0.5\ntheta = 0.04\nxi = 1.0\nrho = -0.9'


@pytest.mark.parametrize("x0", ["[100.0, 0.04]", "{s = 100.0, v = 0.04}", "[100, 0.04]"])
def test_a_process_of_two_variables_starts_from_two_numbers(make, x0):
    ds = job.prepare(job.load(make(process=HESTON, data=None, x0=x0))).ds
    assert (float(ds.s[0, 0]), float(ds.v[0, 0])) == (100.0, 0.04)
    recipe = json.loads(ds.attrs["montezarr"])
    assert recipe["x0"] in ([100.0, 0.04], {"s": 100.0, "v": 0.04})


@pytest.mark.parametrize(
    ("process", "x0", "words"),
    [
        (HESTON, "[100.0]", "2 entries: s, v"),
        (HESTON, "[-1.0, 0.04]", "prices > 0"),
        (HESTON, "100.0", "s, v"),
        (HESTON, '"last"', "a value for each of s, v, got 'last'"),
        (HESTON, "{s = 100.0}", "s, v"),
        (HESTON, "[[100.0, 101.0], 0.04]", "expected numbers for s, v, got [100.0, 101.0]"),
        (HESTON, "[true, 0.04]", "expected numbers for s, v, got True"),
        (HESTON, '{s = "last", v = 0.04}', "expected numbers for s, v, got 'last'"),
        (CHAIN, '["calm", "storm"]', "expected one value"),
        ('name = "BrownianMotion"', "[1.0, 2.0]", "expected one value"),
        ('name = "BrownianMotion"', "{x = 1.0}", "expected one value"),
    ],
)
def test_an_initial_state_of_another_shape_is_refused(make, process, x0, words):
    data = 'file = "prices.csv"' if x0 == '"last"' else None
    text = refusal(make(table(), process=process, data=data, x0=x0))
    assert "[run] x0" in text
    assert words in text


@pytest.mark.parametrize("value", ["1", "0", "1.0", '"true"', "[true]"])
def test_fit_is_true_or_false(make, value):
    text = refusal(make(table(), process=f'name = "GeometricBrownianMotion"\nfit = {value}'))
    assert "[process] fit: expected true or false" in text
