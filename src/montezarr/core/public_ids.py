"""Ids of montezarr's public classes in digests, kept when a class moves or is renamed."""

from __future__ import annotations

import sys

PACKAGE = __name__.partition(".")[0]

EARLIER = {
    "ArgumentTypeError": "montezarr.errors.ArgumentTypeError",
    "ArgumentValueError": "montezarr.errors.ArgumentValueError",
    "Autocorrelation": "montezarr.statistics.autocorrelation.Autocorrelation",
    "Backend": "montezarr.backends._base.Backend",
    "BackendError": "montezarr.errors.BackendError",
    "BrownianMotion": "montezarr.processes.brownian_motion.BrownianMotion",
    "CommonNoiseWarning": "montezarr.errors.CommonNoiseWarning",
    "ConfigError": "montezarr.errors.ConfigError",
    "Count": "montezarr.statistics.count.Count",
    "Covariance": "montezarr.statistics.covariance.Covariance",
    "Diffusion": "montezarr.processes.diffusion.Diffusion",
    "Drawdown": "montezarr.statistics.drawdown.Drawdown",
    "Draws": "montezarr.draws.Draws",
    "Estimate": "montezarr.statistics._base.Estimate",
    "EulerMaruyama": "montezarr.schemes.euler_maruyama.EulerMaruyama",
    "Exceedance": "montezarr.statistics.exceedance.Exceedance",
    "ExpectedShortfall": "montezarr.statistics.expected_shortfall.ExpectedShortfall",
    "Extrema": "montezarr.statistics.extrema.Extrema",
    "FirstPassage": "montezarr.statistics.first_passage.FirstPassage",
    "Fit": "montezarr.processes._fit.Fit",
    "GeometricBrownianMotion": (
        "montezarr.processes.geometric_brownian_motion.GeometricBrownianMotion"
    ),
    "HeavyTailWarning": "montezarr.errors.HeavyTailWarning",
    "Heston": "montezarr.processes.heston.Heston",
    "Histogram": "montezarr.statistics.histogram.Histogram",
    "MarkovChain": "montezarr.processes.markov_chain.MarkovChain",
    "MaskedPathsWarning": "montezarr.errors.MaskedPathsWarning",
    "Mean": "montezarr.statistics.mean.Mean",
    "MemoryBudgetError": "montezarr.errors.MemoryBudgetError",
    "Milstein": "montezarr.schemes.milstein.Milstein",
    "MissingDependencyError": "montezarr.errors.MissingDependencyError",
    "Moments": "montezarr.statistics.moments.Moments",
    "MonteCarloEngine": "montezarr.engine.MonteCarloEngine",
    "MontezarrError": "montezarr.errors.MontezarrError",
    "MontezarrWarning": "montezarr.errors.MontezarrWarning",
    "OrnsteinUhlenbeck": "montezarr.processes.ornstein_uhlenbeck.OrnsteinUhlenbeck",
    "Path": "montezarr.result.Path",
    "PathCount": "montezarr.stream._until.Paths",
    "Plan": "montezarr.lazy.Plan",
    "PoissonProcess": "montezarr.processes.poisson_process.PoissonProcess",
    "Problem": "montezarr.store._report.Problem",
    "Process": "montezarr.processes._base.Process",
    "Proportion": "montezarr.statistics.proportion.Proportion",
    "Quantile": "montezarr.statistics.quantile.Quantile",
    "RandomWalk": "montezarr.processes.random_walk.RandomWalk",
    "Recipe": "montezarr.described.Recipe",
    "ReplayError": "montezarr.errors.ReplayError",
    "Report": "montezarr.report._report.Report",
    "Sample": "montezarr.statistics._base.Sample",
    "SamplerError": "montezarr.errors.SamplerError",
    "Scheme": "montezarr.schemes._base.Scheme",
    "Seconds": "montezarr.stream._until.Seconds",
    "SimulationResult": "montezarr.result.SimulationResult",
    "Snapshot": "montezarr.stream._snapshot.Snapshot",
    "Source": "montezarr.statistics._base.Source",
    "StandardDeviation": "montezarr.statistics.standard_deviation.StandardDeviation",
    "StandardError": "montezarr.stream._until.StandardError",
    "Statistic": "montezarr.statistics._base.Statistic",
    "Storage": "montezarr.store.format._storage.Storage",
    "StoreError": "montezarr.errors.StoreError",
    "StoreExistsError": "montezarr.errors.StoreExistsError",
    "StoreLockedError": "montezarr.errors.StoreLockedError",
    "StoreMismatchError": "montezarr.errors.StoreMismatchError",
    "StoreNotFoundError": "montezarr.errors.StoreNotFoundError",
    "Stream": "montezarr.stream._stream.Stream",
    "TimeAverage": "montezarr.statistics.time_average.TimeAverage",
    "TimeGrid": "montezarr.grid.TimeGrid",
    "Until": "montezarr.stream._until.Until",
    "Variance": "montezarr.statistics.variance.Variance",
    "Verification": "montezarr.store._report.Verification",
    "VirtualStore": "montezarr.store.virtual._store.VirtualStore",
    "WorkerDied": "montezarr.errors.WorkerDied",
    "WorkerTimeout": "montezarr.errors.WorkerTimeout",
}
"""Ids of the classes that were public when ids were frozen: their module and name at the time.

Add no entries: a later class gets its id from its public name alone. When one of these classes is
renamed, its entry gets the new name and keeps the id.
"""


def public_id(kind: type) -> str:
    """Return the name of a class in digests: its id if it is public, else module and name."""
    if not is_public(kind):
        return f"{kind.__module__}.{kind.__qualname__}"
    return EARLIER.get(kind.__qualname__, f"{PACKAGE}.{kind.__qualname__}")


def is_public(kind: type) -> bool:
    """Return whether a class is public in montezarr, whichever module defines it."""
    module = kind.__module__
    if not isinstance(module, str) or module.partition(".")[0] != PACKAGE:
        return False
    return getattr(sys.modules.get(PACKAGE), kind.__qualname__, None) is kind
