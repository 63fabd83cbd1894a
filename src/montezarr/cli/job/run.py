"""A job: data, fit, simulation, store, risk, picture."""

from __future__ import annotations

import inspect
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr import plot
from montezarr.cli.job.config import Config, number_of
from montezarr.cli.job.prices import read_prices
from montezarr.cli.job.vary import base_values, entry_of, vary_of
from montezarr.core.checks import show
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, ConfigError
from montezarr.plot._facets import Facets
from montezarr.plot._fan import BANDS, fan_with
from montezarr.plot._figure import check_texts
from montezarr.plot._parameters import AxesOptions
from montezarr.processes import Fit, GeometricBrownianMotion, Process
from montezarr.processes._base import HasLabels
from montezarr.processes._built_in import built_in_processes
from montezarr.reduction.passes import reduce
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._run import Run
from montezarr.run._simulate import simulate
from montezarr.run._varied_texts import scenario_sizes, varied_in
from montezarr.run.execution import OnProgress
from montezarr.samplers.varied import Scenario
from montezarr.statistics import Quantile
from montezarr.statistics.risk import (
    Risk,
    check_confidence_levels,
    closed_form_risk,
    risk_table,
    statistic_of,
)
from montezarr.store import is_complete, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job before its run: process, lazy Dataset, fit; nothing is simulated yet."""

    config: Config
    process: Process
    fit: Fit | None
    prices: NDArray[np.float64] | None
    ds: xr.Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRisk:
    """The risk in one scenario.

    Attributes
    ----------
    scenario : dict of str to number
        Its parameters.
    risk, closed_form : list of Risk
        As in `JobResult`.
    """

    scenario: Mapping[str, Any]
    risk: list[Risk]
    closed_form: list[Risk]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The results of a job.

    Attributes
    ----------
    process : dict
        The process with its parameters.
    fit : dict or None
        Standard errors of the parameters and number of transitions, if the process was fitted.
    risk, closed_form : list of Risk
        Estimates from the paths, and exact values where known, of the loss in units of x0; empty
        with scenarios.
    reused : bool
        Whether the store was complete already.
    paths, seconds : int, float
        Number of paths, and the time of the whole job.
    store, plot : str
        Where the paths and the picture are.
    varied : dict of str to str
        By name of a parameter that varies, how; `process` does not have it.
    scenarios : int
        Number of scenarios, each of which has all paths.
    by_scenario : list of ScenarioRisk
        The risk in each scenario, if there are several.
    """

    process: dict[str, Any]
    fit: dict[str, Any] | None
    risk: list[Risk]
    closed_form: list[Risk]
    reused: bool
    paths: int
    seconds: float
    store: str
    plot: str | None
    varied: Mapping[str, str] = field(default_factory=dict)
    scenarios: int = 1
    by_scenario: list[ScenarioRisk] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON; the last three entries are in it if a parameter varies."""
        left_out = () if self.varied else ("varied", "scenarios", "by_scenario")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def prepare(config: Config) -> Prepared:
    """Fit the process of a job and make its lazy Dataset.

    Raises
    ------
    ConfigError
        For a value that the process, the fit or the simulation does not take.
    """
    prices = read_prices(config)
    process, fit = _process(config, prices)
    run = config.sections["run"]
    x0 = _x0(config, process, prices)
    arguments: dict[str, Any] = {
        key: run[key]
        for key in ("n_paths", "T", "seed", "stream", "dtype", "keep", "chunks")
        if key in run
    }
    if "dt" in run:
        arguments["dt"] = number_of(config, "run", "dt", 1.0)
    arguments |= vary_of(config)
    try:
        ds = simulate(process, x0=x0, **arguments)
    except (ArgumentTypeError, ArgumentValueError) as error:
        raise _simulate_error(config, str(error)) from error
    _check_outputs(config, process, ds, process.default_x0() if x0 is None else x0)
    return Prepared(config=config, process=process, fit=fit, prices=prices, ds=ds)


def _simulate_error(config: Config, text: str) -> ConfigError:
    """Return the error of `simulate` with the section and the key that it is about."""
    key, _, problem = text.partition(": ")
    name, _, place = key.partition("[")
    varying = config.sections.get("vary", {})
    about = place.strip("]'\"") if name == "vary" else name
    own = next((one for one in varying if about in map(str.strip, one.split(","))), None)
    if name == "vary" or own is not None:
        return config.error("vary", own or about or None, problem)
    unknown = next((one for one in varying if f"parameter {one!r}" in problem), None)
    if unknown is not None:
        return config.error("vary", unknown, problem)
    return config.error("run", name, problem)


def execute(job: Prepared, on_progress: OnProgress | None = None) -> JobResult:
    """Simulate what the store does not hold yet, estimate the risk, draw the picture."""
    started = time.perf_counter()
    config = job.config
    target = config.file("output", "store")
    assert target is not None  # load() requires it
    reused = is_complete(job.ds, target)
    stored = write(job.ds, target, on_progress=on_progress)
    levels = check_confidence_levels(config.get("risk", "levels", []))
    picture = config.file("output", "plot")
    recipe = json.loads(stored.attrs[ATTRIBUTE])
    varied, scenarios = varied_in(recipe), scenario_sizes(recipe)
    with_bands = picture is not None and not scenarios
    found, bands = _risk(job, stored, levels, with_bands=with_bands)
    if picture is not None:
        _draw(config, job, stored, picture, bands)
    return JobResult(
        process={name: v for name, v in job.process.to_dict().items() if name not in varied},
        fit=None if job.fit is None else {"n": job.fit.n, **job.fit.standard_errors},
        risk=found[0].risk if found and not scenarios else [],
        closed_form=found[0].closed_form if found and not scenarios else [],
        reused=reused,
        paths=stored.sizes["path"],
        seconds=time.perf_counter() - started,
        store=str(target),
        plot=None if picture is None else str(picture),
        varied=varied,
        scenarios=math.prod(scenarios.values()),
        by_scenario=found if scenarios else [],
    )


def _process(config: Config, prices: NDArray[np.float64] | None) -> tuple[Process, Fit | None]:
    table = dict(config.sections["process"])
    name, wanted = table.pop("name"), table.pop("fit", False)
    if name not in built_in_processes():
        raise config.error(
            "process", "name", f"{show(name)} is none of {', '.join(built_in_processes())}."
        )
    kind: Any = built_in_processes()[name]
    base = {} if wanted else base_values(config, kind, table)
    try:
        if not wanted:
            return kind.from_dict({**base, **table}), None
        if not _fits_prices(kind):
            raise config.error(
                "process", "fit", f"{name} has no fit to prices; give its parameters."
            )
        if table:
            raise config.error("process", next(iter(table)), "given, but fit = true finds it.")
        fit = kind.fit(prices, dt=1 / number_of(config, "data", "per_year", 252))
    except (TypeError, ArgumentValueError) as error:
        key, _, problem = str(error).partition(": ")
        if key in base:  # a value of [vary]: it stands for all of the entry
            raise config.error("vary", entry_of(config, key), problem) from error
        known = key if key in table else None
        raise config.error("process", known, problem if known else str(error)) from error
    return fit.process, fit


def _fits_prices(kind: type[Process]) -> bool:
    """Return whether a process can be fitted to numbers at steps of time, such as prices."""
    fit = getattr(kind, "fit", None)
    return fit is not None and "dt" in inspect.signature(fit).parameters


def _x0(config: Config, process: Process, prices: NDArray[np.float64] | None) -> Any:
    """Return the initial state of the configuration, or the last price."""
    x0, names = config.get("run", "x0"), process.variables
    several = ", ".join(names)
    if isinstance(x0, (list, dict)) and len(names) == 1:
        raise config.error("run", "x0", f"expected one value, for {several}, got {show(x0)}.")
    entries = list(x0.values()) if isinstance(x0, dict) else x0 if isinstance(x0, list) else []
    for entry in entries:  # a configuration holds no list with one number per path
        if isinstance(entry, bool) or not isinstance(entry, (int, float)):
            raise config.error("run", "x0", f"expected numbers for {several}, got {show(entry)}.")
    if x0 != "last":
        return x0
    if prices is None:
        raise config.error("run", "x0", '"last" needs [data] file.')
    if len(names) > 1:
        raise config.error("run", "x0", f"expected a value for each of {several}, got 'last'.")
    if not len(prices):
        raise config.error("data", "file", "has no prices, and x0 is the last one.")
    return float(prices[-1])


def _check_outputs(config: Config, process: Process, ds: xr.Dataset, x0: Any) -> None:
    """Raise, before the simulation, the errors that would occur after it."""
    levels = config.get("risk", "levels", [])
    recipe = json.loads(ds.attrs[ATTRIBUTE])
    scenarios = list(scenario_sizes(recipe))
    if levels:
        if {"x0", "dt"} & set(varied_in(recipe)):
            raise config.error(
                "risk", "levels", "is relative to one x0, over one horizon: neither x0 nor dt may"
                " vary.",
            )  # fmt: skip
        if process.variables != ("x",) or ds["x"].dtype.kind != "f":
            raise config.error("risk", "levels", "needs a process of one real variable.")
        grid = recipe["grid"]
        ends = (
            [0.0, grid["T"] * grid["dt"]] if "T" in grid else [grid["times"][0], grid["times"][-1]]
        )
        if [float(ds.time[0]), float(ds.time[-1])] != ends:
            raise config.error("run", "keep", "drops the first or last time, which [risk] needs.")
        if not x0 > 0:
            raise config.error("run", "x0", "expected a value > 0, since [risk] is relative to it.")
    try:
        check_confidence_levels(levels, ds.sizes["path"])
    except (ArgumentTypeError, ArgumentValueError) as error:
        raise config.error("risk", "levels", str(error).partition(": ")[2]) from error
    if config.file("output", "plot") is not None:
        if isinstance(process, HasLabels):
            raise config.error(
                "output", "plot", "a fan chart is of numbers, and these paths hold labels."
            )
        plot.require()
        _check_places(config, ds, process, scenarios)
        for key in ("title", "xlabel", "ylabel"):
            try:
                check_texts(**{key: config.get("output", key)})
            except ArgumentValueError as error:
                raise config.error("output", key, str(error).partition(": ")[2]) from error


PLACES = (("hue",), ("col", "hue"), ("row", "col", "hue"))
"""Where a fan chart shows one, two and three dimensions of scenarios, in their order."""


def _places(scenarios: Sequence[str]) -> dict[str, str]:
    """Return the arguments of a fan chart that shows all dimensions of scenarios."""
    if not scenarios:
        return {}
    return dict(zip(PLACES[len(scenarios) - 1], scenarios, strict=True))


def _check_places(
    config: Config, ds: xr.Dataset, process: Process, scenarios: Sequence[str]
) -> None:
    """Raise if a fan chart cannot have all scenarios, in colours and panels."""
    if len(scenarios) > len(PLACES):
        listed = " and ".join(scenarios)
        raise config.error(
            "output", "plot", f"a fan chart has at most {len(PLACES)} dimensions of scenarios, and"
            f" this job {listed}: give some of them one dim, or draw some of the store in Python.",
        )  # fmt: skip
    array = ds[process.variables[0]]
    try:
        Facets.of(array, AxesOptions.of(), **_places(scenarios)).check(array)
    except ArgumentValueError as error:
        problem = str(error).partition(": ")[2].partition(". Select")[0]
        raise config.error("output", "plot", f"{problem}.".replace("..", ".")) from error


def _risk(
    job: Prepared, stored: xr.Dataset, levels: list[float], *, with_bands: bool
) -> tuple[list[ScenarioRisk], xr.DataArray | None]:
    """Return risks by scenario, and quantiles for the picture, in one pass over the store.

    Without levels nothing is read, and there are no quantiles.
    """
    if not levels:
        return [], None
    ends = stored["x"].isel(time=[0, -1]).astype(np.float64)
    loss = 1 - ends.isel(time=1, drop=True) / ends.isel(time=0, drop=True)
    wanted: dict[str, Any] = {"loss": statistic_of(levels)}
    if with_bands:
        wanted["x"] = Quantile(BANDS)
    found = reduce(xr.Dataset({"x": stored["x"], "loss": loss}), wanted)
    names = {str(name): found[name] for name in found if str(name).startswith("loss_")}
    horizon = float(stored["time"][-1] - stored["time"][0])
    risks = []
    for scenario in getattr(Run.behind(job.ds).sampler, "scenarios", (Scenario(),)):
        table = {
            name.removeprefix("loss_"): array.isel(scenario.position).values
            for name, array in names.items()
        }
        exact = _closed_form(job.process, stored, scenario.label, horizon, levels)
        risks.append(
            ScenarioRisk(scenario=scenario.label, risk=risk_table(levels, table), closed_form=exact)
        )
    return risks, found["x_quantile"] if with_bands else None


def _closed_form(
    process: Process, stored: xr.Dataset, label: Mapping[str, Any], horizon: float,
    levels: list[float],
) -> list[Risk]:  # fmt: skip
    """Return the exact risk in a scenario; empty if it is not known."""
    is_fixed = set(varied_in(json.loads(stored.attrs[ATTRIBUTE]))) <= set(label)
    if not (is_fixed and isinstance(process, GeometricBrownianMotion)):
        return []
    if not (math.isfinite(horizon) and horizon > 0):
        return []
    return closed_form_risk(replace(process, **label), horizon, levels)


def _draw(
    config: Config, job: Prepared, stored: xr.Dataset, picture: Path, bands: xr.DataArray | None
) -> None:
    picture.parent.mkdir(parents=True, exist_ok=True)
    paths = stored[job.process.variables[0]]
    texts = {
        "title": config.get("output", "title"),
        "ylabel": config.get("output", "ylabel"),
        "xlabel": config.get("output", "xlabel", "time"),
    }
    if bands is None:
        places = _places(list(scenario_sizes(json.loads(stored.attrs[ATTRIBUTE]))))
        plot.save_fan(paths, picture, **places, **texts)
    else:
        fan_with(paths, bands, picture, **texts)
