"""The conformance suite of statistics."""

# ruff: noqa: D102 - the names of the tests are their sentences

from __future__ import annotations

import json
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, PartialState
from montezarr.reduction.streaming._state import load_state, save
from montezarr.statistics import Estimate, Sample, Source, Statistic
from montezarr.statistics._built_in import built_in_statistics
from montezarr.statistics._cells import Axis
from montezarr.testing._accumulation import (
    arrays_of,
    assert_agrees,
    assert_same_coords,
    assert_same_estimates,
    assert_same_state,
    at_once,
    in_parts,
    in_ranges,
    reduced_variable_of,
)
from montezarr.testing._samples import (
    INEXACT,
    SAMPLE_CELLS,
    SAMPLE_PATHS_MAX,
    USUAL,
    Array,
    Case,
    cases,
    values_of,
)

FoldAll = Callable[[Accumulator], PartialState]
"""A function that folds all paths of a sample into a partial state."""

_fixed = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
_few = settings(_fixed, max_examples=4)


class StatisticTests:
    """Tests that every statistic must pass; a test module subclasses it and adds nothing.

    By default the instances are the `examples` of every statistic that `montezarr.statistics`
    exports, so a new one is tested without being named anywhere else.

    Attributes
    ----------
    statistics : tuple of Statistic, optional
        The instances to test instead of the built-in ones.
    kinds : tuple of str
        Names of the distributions to test with: "normal", "poisson", "lognormal", "payoff" (with
        zeros of both signs), "pareto", "rounded", "three", "zero", "tenth", "extreme" (from the
        smallest numbers to 1e30), "empty". "huge", around 1e300, is not among the defaults.
    times : tuple of float
        Values of the coordinate ``time``.
    labels : tuple of (int, str), optional
        States of the variable.

    Examples
    --------
    In a test module of your own package::

        from montezarr.testing import StatisticTests

        class TestMyStatistic(StatisticTests):
            statistics = (MyStatistic(level=2.0),)
    """

    statistics: ClassVar[tuple[Statistic, ...] | None] = None
    kinds: ClassVar[tuple[str, ...]] = USUAL
    times: ClassVar[tuple[float, ...]] = (0.0, 0.5, 1.0, 2.0, 2.25)
    labels: ClassVar[tuple[tuple[int, str], ...] | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on each instance."""
        if "statistic" in metafunc.fixturenames:
            chosen = built_in_examples() if self.statistics is None else self.statistics
            metafunc.parametrize("statistic", chosen, ids=[str(entry) for entry in chosen])

    # --- the value ---------------------------------------------------------------------------

    def test_its_parameters_cannot_be_changed(self, statistic: Statistic) -> None:
        for field in fields(statistic):
            with pytest.raises(FrozenInstanceError):
                setattr(statistic, field.name, getattr(statistic, field.name))

    def test_a_pickled_copy_is_equal_and_hashes_alike(self, statistic: Statistic) -> None:
        copy = pickle.loads(pickle.dumps(statistic))
        assert copy == statistic
        assert hash(copy) == hash(statistic)

    def test_json_brings_it_back(self, statistic: Statistic) -> None:
        data = json.loads(json.dumps(statistic.to_dict()))
        assert data["name"] == type(statistic).__name__
        again = type(statistic).from_dict(data)
        assert again == statistic
        assert hash(again) == hash(statistic)

    def test_an_unknown_parameter_is_refused(self, statistic: Statistic) -> None:
        with pytest.raises(ArgumentValueError, match="unknown parameter 'colour'"):
            type(statistic).from_dict({**statistic.to_dict(), "colour": 1})

    def test_the_description_of_another_statistic_is_refused(self, statistic: Statistic) -> None:
        with pytest.raises(ArgumentValueError, match="name"):
            type(statistic).from_dict({**statistic.to_dict(), "name": "Another"})

    def test_its_docstring_says_parameters_results_and_where_errors_are_from(
        self, statistic: Statistic
    ) -> None:
        text = type(statistic).__doc__ or ""
        for field in fields(statistic):
            assert re.search(rf"^ *{field.name} : |^ *\w+, {field.name} : ", text, re.MULTILINE)
        assert re.search(r"\bResults?\b", text), "say what its results are called"
        if any(name.endswith("_se") for name in self._nothing(statistic)):
            assert re.search(r"^ *References$|doi:", text, re.MULTILINE)

    # --- the laws of merging -----------------------------------------------------------------

    @_fixed
    @example(case=Case(0, SAMPLE_PATHS_MAX, 0, 0.02), plan=0)
    @example(case=Case(1, SAMPLE_PATHS_MAX, 0, 0.0), plan=1)
    @example(case=Case(2, SAMPLE_PATHS_MAX, 3, 0.0), plan=2)
    @given(case=cases(), plan=st.integers(0, 999))
    def test_ranges_of_paths_in_any_order_give_the_bits_of_all_at_once(
        self, statistic: Statistic, case: Case, plan: int
    ) -> None:
        values = self._values(statistic, case)
        whole = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        split = self._results(
            statistic, lambda accumulator: in_ranges(accumulator, statistic, values, plan)
        )
        assert_same_estimates(split, whole)

    @_few
    @given(case=cases(), plan=st.integers(0, 999))
    def test_parts_joined_in_any_order_give_the_bits_of_all_at_once(
        self, statistic: Statistic, case: Case, plan: int
    ) -> None:
        values = self._values(statistic, case)
        whole = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        split = self._results(
            statistic, lambda accumulator: in_parts(accumulator, statistic, values, plan)
        )
        assert_same_estimates(split, whole)

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @given(case=cases())
    def test_a_sample_without_values_is_neutral_on_both_sides(
        self, statistic: Statistic, case: Case
    ) -> None:
        values = self._values(statistic, case)[..., :BLOCK]
        sample = self._sample(statistic, values)
        state = statistic.chunk(sample)
        for nothing in (values[..., :0], np.full((*values.shape[:-1], 7), np.nan)):
            empty = statistic.chunk(self._sample(statistic, nothing, 5 * BLOCK))
            assert_same_state(statistic.merge(empty, empty), empty)
            assert_same_state(statistic.merge(state, empty), state)
            assert_same_state(statistic.merge(empty, state), state)
            assert_same_state(statistic.update(empty, sample), state)

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @example(case=Case(2, BLOCK, 3, 0.0))
    @given(case=cases())
    def test_updating_and_absorbing_are_merging(self, statistic: Statistic, case: Case) -> None:
        first = self._sample(statistic, self._values(statistic, case._replace(n=BLOCK)))
        rest = self._values(statistic, self._another(case)._replace(n=case.n % (BLOCK + 1)))
        second = self._sample(statistic, rest, BLOCK)
        merged = statistic.merge(statistic.chunk(first), statistic.chunk(second))
        # An order-free statistic may reuse the memory of the state that it is passed.
        assert_same_state(statistic.update(statistic.chunk(first), second), merged)
        joined = statistic.absorb(statistic.chunk(first), statistic.chunk(second))
        assert_same_state(joined, merged)

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @given(case=cases())
    def test_states_and_samples_that_are_merged_stay_as_they_were(
        self, statistic: Statistic, case: Case
    ) -> None:
        samples = [
            self._sample(statistic, self._values(statistic, one._replace(n=BLOCK)))
            for one in (case, self._another(case))
        ]
        values = [sample.values.tobytes() for sample in samples]
        a, b = states = [statistic.chunk(sample) for sample in samples]
        before = [type(state)(*(array.copy() for array in state)) for state in states]
        statistic.merge(a, b)
        for state, old in zip(states, before, strict=True):
            assert_same_state(state, old)
        statistic.update(a, samples[1])
        assert [sample.values.tobytes() for sample in samples] == values

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @given(case=cases())
    def test_terms_are_one_number_of_each_path(self, statistic: Statistic, case: Case) -> None:
        if not statistic.has_terms:
            return
        values = self._values(statistic, case._replace(n=BLOCK))
        sample = self._sample(statistic, values)
        asked = statistic.terms(self._sample(statistic, values))
        assert asked.shape == sample.values.shape[-3:]
        state = statistic.chunk(sample)  # `chunk` may compute the terms
        np.testing.assert_array_equal(sample.terms_of(statistic).values, asked)
        powers = statistic.powers(state, sample.source)
        assert powers, "terms are of no use without `powers`"

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @given(case=cases())
    def test_compiled_loops_give_the_bits_of_the_definitions(
        self, statistic: Statistic, case: Case
    ) -> None:
        values = self._values(statistic, case)
        compiled = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        with pytest.MonkeyPatch.context() as patch:
            for module in _modules_with_kernel():
                patch.setattr(module, "compiled", lambda: None)
            plain = self._results(
                statistic, lambda accumulator: at_once(accumulator, statistic, values)
            )
        assert_same_estimates(compiled, plain)

    # --- the results -------------------------------------------------------------------------

    @_fixed
    @example(case=Case(0, SAMPLE_PATHS_MAX, 0, 0.02))
    @example(case=Case(1, SAMPLE_PATHS_MAX, 0, 0.0))
    @given(case=cases(least=50))
    def test_results_are_those_of_the_reference(self, statistic: Statistic, case: Case) -> None:
        values = self._values(statistic, case, without=INEXACT)
        source = self._source(statistic)
        found = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # references warn about empty samples
            expected = statistic.reference(values, source)
        assert expected, "a reference that returns nothing proves nothing"
        assert expected.keys() <= found.keys()
        assert_agrees({name: e.values for name, e in found.items()}, expected, statistic.tolerance)

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @given(case=cases())
    def test_results_have_the_dimensions_and_coordinates_that_they_name(
        self, statistic: Statistic, case: Case
    ) -> None:
        values = self._values(statistic, case)
        found = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        for name, estimate in found.items():
            assert name.isidentifier(), name
            array = np.asarray(estimate.values)
            assert array.dtype.kind in "fiu", name
            assert len(set(estimate.dims)) == len(estimate.dims), name
            assert array.ndim == 1 + len(estimate.dims), name
            sizes = dict(zip(estimate.dims, array.shape[1:], strict=True))
            assert len(array) == SAMPLE_CELLS, name
            for label, coordinate in estimate.coords.items():
                if isinstance(coordinate, tuple):
                    dim, entries = coordinate
                    assert np.shape(entries) == (sizes[dim],), (name, label)
                elif label in sizes:
                    assert np.shape(coordinate) == (sizes[label],), (name, label)
                else:
                    assert np.ndim(coordinate) == 0, (name, label)
            assert estimate.power is None or isinstance(estimate.power, int)

    @_few
    @example(case=Case(0, SAMPLE_PATHS_MAX, 0, 0.02))
    @example(case=Case(1, SAMPLE_PATHS_MAX, 0, 0.0))
    @given(case=cases())
    def test_errors_are_no_less_than_0_and_intervals_hold_the_estimate(
        self, statistic: Statistic, case: Case
    ) -> None:
        values = self._values(statistic, case)
        found = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        for name, estimate in found.items():
            stem, _, ending = name.rpartition("_")
            if ending in ("se", "low", "high") and stem in found:
                array, of = np.asarray(estimate.values), np.asarray(found[stem].values)
                assert np.isnan(array[np.isnan(of)]).all(), name
                known = ~np.isnan(array)
                least, most = (array, of) if ending == "low" else (of, array)
                if ending == "se":
                    least = of = np.zeros_like(array)
                assert (least[known] <= most[known] + 1e-12 * np.abs(of[known])).all(), name

    def test_every_estimate_has_a_standard_error_or_an_interval(self, statistic: Statistic) -> None:
        found = self._nothing(statistic)
        for name, estimate in found.items():
            stem, _, ending = name.rpartition("_")
            if ending in ("se", "low", "high") and stem in found:
                assert estimate.dims == found[stem].dims, name
                continue
            is_count = np.asarray(estimate.values).dtype.kind in "iu"
            has_error = f"{name}_se" in found or {f"{name}_low", f"{name}_high"} <= found.keys()
            assert has_error or is_count or name in statistic.without_error, name

    def test_results_of_nothing_are_like_those_of_values(self, statistic: Statistic) -> None:
        nothing = self._nothing(statistic)
        values = self._values(statistic, Case(0, 3 * BLOCK, 1, 0.02))
        found = self._results(
            statistic, lambda accumulator: at_once(accumulator, statistic, values)
        )
        assert list(nothing) == list(found)
        adapts = statistic.adapts_to_data(self._source(statistic))
        for name, estimate in nothing.items():
            array, wanted = np.asarray(estimate.values), np.asarray(found[name].values)
            assert estimate.dims == found[name].dims, name
            assert estimate.power == found[name].power, name
            assert array.dtype == wanted.dtype, name
            if not adapts:
                assert array.shape == wanted.shape, name
                assert_same_coords(estimate, found[name], name)

    # --- the states --------------------------------------------------------------------------

    @_few
    @example(case=Case(0, BLOCK, 0, 0.5))
    @example(case=Case(1, BLOCK, 0, 0.0))
    @given(case=cases())
    def test_states_are_named_tuples_of_plain_arrays(
        self, statistic: Statistic, case: Case
    ) -> None:
        values = self._values(statistic, case._replace(n=BLOCK))
        state: Any = statistic.chunk(self._sample(statistic, values))
        assert type(state) is statistic.State
        assert isinstance(state, tuple)
        assert hasattr(state, "_fields")
        for name, array in zip(state._fields, state, strict=True):
            assert isinstance(array, np.ndarray), name
            assert array.dtype.kind in "biuf", name
            if not statistic.order_free:
                assert array.shape[-1] == 1, "the last axis is that of the blocks"

    def test_states_survive_a_file_and_go_on_from_there(
        self, statistic: Statistic, tmp_path: Path
    ) -> None:
        values = self._values(statistic, Case(1, SAMPLE_PATHS_MAX, 3, 0.02))
        accumulator, arrays = (
            Accumulator([reduced_variable_of(statistic, self._source(statistic))]),
            arrays_of(statistic),
        )
        partial_state, cut = PartialState(), 3 * BLOCK
        accumulator.add(partial_state, 0, arrays(values[..., :cut]))
        save(tmp_path / "state.npz", {"key": "x", "paths": cut}, partial_state)
        loaded, copy = (
            load_state(tmp_path / "state.npz", {"key": "x"}, accumulator),
            partial_state.copy(),
        )
        assert_same_state(_final(accumulator, loaded), _final(accumulator, copy))
        for one in (partial_state, loaded):
            accumulator.add(one, cut, arrays(values[..., cut:]))
            accumulator.finish(one, SAMPLE_PATHS_MAX)
        assert_same_state(_final(accumulator, loaded), _final(accumulator, partial_state))
        again = load_state(tmp_path / "state.npz", {"key": "x"}, accumulator)
        assert_same_state(_final(accumulator, again), _final(accumulator, copy))

    # --- helpers -----------------------------------------------------------------------------

    def _source(self, statistic: Statistic) -> Source:
        times, axes = np.array(self.times), (Axis("scenario", SAMPLE_CELLS),)
        if statistic.axis == "variable":
            return Source("", times, ("x", "y", "z"), axes=axes)
        return Source("x", times, labels=self.labels, units="m", axes=axes)

    def _values(self, statistic: Statistic, case: Case, without: tuple[str, ...] = ()) -> Array:
        kinds = [kind for kind in self.kinds if kind not in without]
        axis = {None: (), "time": (len(self.times),), "variable": (3,)}[statistic.axis]
        return values_of(case, kinds, axis)

    def _another(self, case: Case) -> Case:
        """Return a case with other values of the same distributions."""
        return case._replace(seed=case.seed + 10 * len(self.kinds))

    def _sample(self, statistic: Statistic, values: Array, start: int = 0) -> Sample:
        """Return a sample of one block."""
        block = np.ascontiguousarray(values[..., None, :])
        return Sample(block, start, self._source(statistic), statistic.order)

    def _results(self, statistic: Statistic, fold_all: FoldAll) -> dict[str, Estimate]:
        """Return the estimates after all passes of the statistic, with warnings as errors."""
        source = self._source(statistic)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asked: Statistic | None = statistic
            while asked is not None:
                last, reduced = asked, reduced_variable_of(asked, source)
                accumulator = Accumulator([reduced])
                (state,) = accumulator.totals(fold_all(accumulator)).get(
                    (0, None)
                ) or accumulator.nothing(reduced)
                asked = last.again(state, source)
            return last.finalize(state, source)

    def _nothing(self, statistic: Statistic) -> dict[str, Estimate]:
        return self._results(statistic, lambda accumulator: PartialState())


def built_in_examples() -> tuple[Statistic, ...]:
    """Return the examples of every built-in statistic.

    Raises
    ------
    ArgumentTypeError
        For a statistic that has a parameter without a default, and no examples.
    """
    found: list[Statistic] = []
    for name, kind in built_in_statistics().items():
        try:
            found += kind.examples()
        except TypeError as error:
            raise ArgumentTypeError(
                f"{name}: expected a class method examples() in its file, that returns a tuple of"
                f" instances for this suite to test ({error})."
            ) from error
    return tuple(found)


def _final(accumulator: Accumulator, partial_state: PartialState) -> Any:
    """Return the state of the only statistic."""
    (state,) = accumulator.totals(partial_state)[0, None]
    return state


def _modules_with_kernel() -> list[Any]:
    package = "montezarr.statistics"
    modules = [module for name, module in sys.modules.items() if name.startswith(package)]
    return [module for module in modules if hasattr(module, "compiled")]
