"""Boundaries of scalar equations: where paths are absorbed, or reflected."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_bool, check_real
from montezarr.core.value import Value, checked

Rows = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Boundary(Value, ABC):
    """Base of the boundaries of a `Diffusion`: what becomes of a step beyond a level."""

    level: float = field(metadata=checked(check_real))
    bridge: bool = field(default=False, kw_only=True, metadata=checked(check_bool))

    absorbs: ClassVar[bool]

    def chance(self, before: Rows, after: Rows, side: int, variance: Rows | None) -> Rows:
        """Return the probability that each path is absorbed in a step, if the boundary absorbs.

        Parameters
        ----------
        before, after : array (n,)
            States at both ends of the step.
        side : {1, -1}
            1 if paths stay above the level, -1 if they stay below it.
        variance : array (n,), or None
            For a bridge: squared diffusion coefficient times the length of the step.
        """
        raise NotImplementedError

    def reflected(
        self, before: Rows, after: Rows, side: int, variance: Rows | None, uniform: Rows | None
    ) -> Rows:
        """Return the states after a step, pushed back, if the boundary reflects.

        Parameters
        ----------
        before, after, side, variance
            As for `chance`.
        uniform : array (n,), or None
            For a bridge: uniform numbers on [0, 1).
        """
        raise NotImplementedError


@final
@dataclass(frozen=True, slots=True)
class Absorbing(Boundary):
    r"""A level at which paths of a `Diffusion` stay once they have reached it.

    Without a bridge a path is absorbed where a step ends at the level or beyond. With one it is
    absorbed in any step from x to y, both before the level L, with the probability
    :math:`\exp(-2 (x - L)(y - L) / (b^2 dt))` that a Brownian bridge reaches the level. That is
    exact for constant drift and diffusion b; else b is that of the beginning of the step. With
    boundaries L < U at both ends it is so where :math:`b^2 dt` is well below :math:`(U - L)^2`,
    since each is tested by itself; what both would absorb in one step goes to either with
    probability 1/2.

    Parameters
    ----------
    level : float
        The level, finite, in units of the variable.
    bridge : bool
        Whether to correct for what happens between the times of the grid. The uniform numbers are
        from the slot after the noises, for the upper boundary from the one after that.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the level is not a finite number, or `bridge` no bool.

    References
    ----------
    Andersen and Brotherton-Ratcliffe, "Exact exotics", Risk 9 (1996). Glasserman, Monte Carlo
    Methods in Financial Engineering, 2003, section 6.4, doi:10.1007/978-0-387-21617-1.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.Diffusion(
    ...     drift=lambda t, x: 0.0 * x, diffusion=lambda t, x: 1.0 + 0.0 * x,
    ...     lower=mz.Absorbing(0.0, bridge=True),
    ... )
    >>> ds = mz.simulate(process, n_paths=10_000, T=4, dt=0.25, x0=1.0, seed=1)
    >>> round(float((ds.x.isel(time=-1) == 0).mean()), 2)  # 2 (1 - Phi(1)) = 0.32
    0.32
    """

    absorbs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.check_fields()

    def chance(self, before: Rows, after: Rows, side: int, variance: Rows | None) -> Rows:
        """Return the probability that each path is absorbed in a step; see `Boundary.chance`."""
        near, far = side * (before - self.level), side * (after - self.level)
        between: Any = 0.0
        if variance is not None:
            with np.errstate(all="ignore"):  # a path that is absorbed already has any number
                between = np.exp(-2 * near * far / variance)
        return np.where((near <= 0) | (far <= 0), 1.0, between)


@final
@dataclass(frozen=True, slots=True)
class Reflecting(Boundary):
    r"""A level that paths of a `Diffusion` cannot pass: what would be beyond is pushed back.

    Without a bridge a step that ends beyond the level is mirrored at it: weak order 1 for smooth
    coefficients (Bossy, Gobet and Talay). With one, the path is pushed by as much as the lowest
    point of a Brownian bridge over the step lies beyond the level (Lépingle): that of a bridge from
    x to y is :math:`\tfrac12 (x + y - \sqrt{(y - x)^2 - 2 b^2 dt \ln U})`. That is exact for
    constant drift and diffusion b (Asmussen, Glynn and Pitman); else b is that of the beginning of
    the step. With boundaries L < U at both ends it is so where :math:`b^2 dt` is well below
    :math:`(U - L)^2`; where both reflect, the pushes of one step are added.

    Parameters
    ----------
    level : float
        The level, finite, in units of the variable.
    bridge : bool
        Whether to correct for what happens between the times of the grid; see `Absorbing`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        As for `Absorbing`.

    References
    ----------
    Bossy, Gobet and Talay, "A symmetrized Euler scheme for an efficient approximation of reflected
    diffusions", 2004, doi:10.1239/jap/1091543431. Lépingle, "Euler scheme for reflected stochastic
    differential equations", 1995, doi:10.1016/0378-4754(93)E0075-C. Asmussen, Glynn and Pitman,
    "Discretization error in simulation of one-dimensional reflecting Brownian motion", 1995,
    doi:10.1214/aoap/1177004597.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.Diffusion(
    ...     drift=lambda t, x: -1.0 + 0.0 * x, diffusion=lambda t, x: 1.0 + 0.0 * x,
    ...     lower=mz.Reflecting(0.0, bridge=True),
    ... )
    >>> ds = mz.simulate(process, n_paths=20_000, T=40, dt=0.5, x0=0.5, seed=1)
    >>> round(float(ds.x.isel(time=-1).mean()), 1)  # of the exponential law with rate 2
    0.5
    """

    absorbs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check_fields()

    def reflected(
        self, before: Rows, after: Rows, side: int, variance: Rows | None, uniform: Rows | None
    ) -> Rows:
        """Return the states after a step, pushed back; see `Boundary.reflected`."""
        near, far = side * (before - self.level), side * (after - self.level)
        if variance is None or uniform is None:
            return np.asarray(np.where(far < 0, self.level + side * -far, after))
        lowest = 0.5 * (near + far - np.sqrt((far - near) ** 2 - 2 * variance * np.log1p(-uniform)))
        pushed = self.level + side * np.maximum(far - np.minimum(lowest, 0.0), 0.0)
        return np.asarray(np.where(lowest < 0, pushed, after))
