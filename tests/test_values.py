"""The base of processes, statistics, schemes, grids and storage: checked fields, JSON both ways."""

import json
from dataclasses import FrozenInstanceError, dataclass, field, fields

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.added_fields import added
from montezarr.core.checks import check_int, check_real
from montezarr.core.value import Value, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp(Value):
    power: float = field(metadata=checked(check_real, above=0.0))
    bulbs: int | None = field(default=None, metadata=checked(check_int, minimum=1, optional=True))
    colour: str = "white"

    def __post_init__(self):
        self.check_fields()


@dataclass(frozen=True, kw_only=True)
class BrightLamp(Lamp):
    power: float = 100.0


@pytest.mark.parametrize(
    "kind", [mz.Process, mz.Statistic, mz.Scheme, mz.Distribution, mz.TimeGrid, mz.Storage]
)
def test_one_base_makes_values_of_all_that_users_configure(kind):
    assert issubclass(kind, Value)
    # The `__init__` of users' dataclasses would call it, and digests cover what that looks like.
    assert "__post_init__" not in vars(Value)
    assert kind is mz.Storage or not hasattr(kind, "__post_init__")


def test_fields_are_checked_as_they_say_and_keep_what_the_check_returns():
    lamp = Lamp(power=np.float32(2.5), bulbs=np.int64(3))
    assert (type(lamp.power), type(lamp.bulbs), Lamp(power=1).bulbs) == (float, int, None)
    with pytest.raises(mz.ArgumentValueError, match=r"power: expected a finite number > 0, got 0"):
        Lamp(power=0)
    with pytest.raises(mz.ArgumentTypeError, match=r"bulbs: expected an integer >= 1"):
        Lamp(power=1, bulbs=1.5)
    with pytest.raises(FrozenInstanceError):
        lamp.power = 2.0


def test_a_field_that_is_stated_anew_keeps_its_check():
    assert BrightLamp().power == 100.0
    with pytest.raises(mz.ArgumentValueError, match="power"):
        BrightLamp(power=-1)


def test_json_brings_a_value_back():
    lamp = Lamp(power=2.5, bulbs=3)
    data = json.loads(json.dumps(lamp.to_dict()))
    assert data == {"name": "Lamp", "power": 2.5, "bulbs": 3, "colour": "white"}
    assert Lamp.from_dict(data) == lamp
    with pytest.raises(mz.ArgumentValueError, match=r"unknown parameter 'shade'\. Known: bulbs, "):
        Lamp.from_dict({**data, "shade": 1})
    with pytest.raises(mz.ArgumentValueError, match="name: expected 'Lamp', got 'Torch'"):
        Lamp.from_dict({**data, "name": "Torch"})
    with pytest.raises(mz.ArgumentValueError, match="Storage: unknown parameter 'name'"):
        mz.Storage.from_dict({**mz.Storage().to_dict(), "name": "Storage"})


def test_values_and_arrays_inside_a_value_are_json_too():
    @dataclass(frozen=True, kw_only=True)
    class Own(mz.Process):
        inner: mz.Process
        parts: tuple

        def sample(self, draws, grid, x0):
            return self.inner.sample(draws, grid, 1.0 + x0)

    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    own = Own(inner=gbm, parts=(mz.TimeGrid.of(T=2), np.float64(1.5)))
    told = own.to_dict()
    assert told == {
        "name": "Own", "inner": gbm.to_dict(), "parts": [{"T": 2, "dt": 1.0}, 1.5],
    }  # fmt: skip
    assert Own(inner=gbm, parts=np.array([[1, 2]])).to_dict()["parts"] == [[1, 2]]
    ds = mz.simulate(own, n_paths=5, T=2, seed=1)
    assert ds.mz.recipe["process"] == told


def test_a_parameter_that_json_has_not_is_refused_at_the_call():
    @dataclass(frozen=True, kw_only=True)
    class Own(mz.Process):
        shape: object

        def sample(self, draws, grid, x0):
            return np.zeros((grid.T + 1, draws.n))

    class Described(Own):
        def to_dict(self):
            return {"name": "Described", "shape": "a function"}

    for shape in (np.sin, (1.0, (2.0, np.sin))):
        with pytest.raises(mz.ArgumentTypeError, match=r"shape: expected numbers, .* to_dict\(\)"):
            mz.simulate(Own(shape=shape), n_paths=3, T=2, seed=1)
    assert mz.simulate(Described(shape=np.sin), n_paths=3, T=2, seed=1).sizes["path"] == 3
    assert mz.simulate(Own(shape=(1, ("a", None))), n_paths=3, T=2, seed=1).sizes["path"] == 3


def test_an_added_field_stands_in_json_where_it_is_not_at_its_default():
    @dataclass(frozen=True, kw_only=True)
    class Later(Lamp):
        hue: float = added(0.5)

    assert Later(power=1.0).to_dict() == {**Lamp(power=1.0).to_dict(), "name": "Later"}
    assert Later.from_dict({"name": "Later", "power": 1.0}) == Later(power=1.0)
    assert Later(power=1.0, hue=0.25).to_dict()["hue"] == 0.25
    assert [entry.name for entry in fields(Later)] == ["power", "bulbs", "colour", "hue"]
