"""Compiled seeding: the state of the PCG64 of a path, as `path_streams` and NumPy make it."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.random import path_streams as streams
from montezarr.random.draws.phases import compile_loops, inline

u64 = np.uint64
LOW, DOWN, HALF = u64(streams.LOW_32), u64(streams.HASH_SHIFT), u64(32)
MULT_A, INIT_B, MULT_B = u64(streams.MULT_A), u64(streams.INIT_B), u64(streams.MULT_B)
MIX_LEFT, MIX_RIGHT = u64(streams.MIX_LEFT), u64(streams.MIX_RIGHT)
PCG_LOW, PCG_HIGH = u64(0x4385DF649FCCF645), u64(0x2360ED051FC65DA4)


@compile_loops
def absorb(pool: Any, constant: Any, word: Any) -> Any:
    """Mix a word into the pool, as `path_streams.prefix_of` does; return the next constant."""
    for k in range(len(pool)):
        value = word ^ constant
        constant = constant * MULT_A & LOW
        value = value * constant & LOW
        value ^= value >> DOWN
        value = pool[k] * MIX_LEFT - value * MIX_RIGHT & LOW
        pool[k] = value ^ value >> DOWN
    return constant


@compile_loops
def high_product(a: Any, b: Any) -> Any:
    """Return the upper 64 bits of a product."""
    a0, a1, b0, b1 = a & LOW, a >> HALF, b & LOW, b >> HALF
    low, one, two = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> HALF) + (one & LOW) + (two & LOW)
    return a1 * b1 + (one >> HALF) + (two >> HALF) + (middle >> HALF)


@compile_loops
def seed_path(prefix: Any, constant: Any, path: Any, pool: Any, numbers: Any) -> None:
    """Compute the state of the PCG64 of a path: its two numbers, the low half of each first."""
    for k in range(len(prefix)):
        pool[k] = prefix[k]
    constant = absorb(pool, constant, path & LOW)
    if path >> HALF:
        absorb(pool, constant, path >> HALF)
    constant, place = INIT_B, 0
    for k in range(4):  # the halves of the start and of the increment, the high ones first
        word = u64(0)
        for shift in range(2):
            value = pool[place] ^ constant
            constant = constant * MULT_B & LOW
            value = value * constant & LOW
            value ^= value >> DOWN
            word |= value << (HALF * u64(shift))
            place = place + 1 if place + 1 < len(pool) else 0
        numbers[k ^ 1] = word
    low, high = numbers[2], numbers[3]
    high = high << u64(1) | low >> u64(63)
    low = low << u64(1) | u64(1)
    a_low = numbers[0] + low
    a_high = numbers[1] + high + u64(a_low < low)
    b_low = a_low * PCG_LOW
    b_high = high_product(a_low, PCG_LOW) + a_high * PCG_LOW + a_low * PCG_HIGH
    numbers[0] = b_low + low
    numbers[1] = b_high + high + u64(numbers[0] < low)
    numbers[2], numbers[3] = low, high


@compile_loops
def path_states(prefix: Any, constant: Any, path: Any, pool: Any, states: Any) -> None:
    """Compute the states of the PCG64 of neighbouring paths.

    Ahead of the paths, and not before each: the hash of the next path then overlaps with that of
    this one, and not with the calls of the function.

    Parameters
    ----------
    prefix, constant : array of uint64, uint64
        `path_streams.Prefix`.
    path : uint64
        Index of the first path.
    pool : array of uint64
        Working memory, as long as `prefix`.
    states : array of uint64 (paths, 4)
        The states, in the order of `StateViews`.
    """
    for row in range(len(states)):
        seed_path(prefix, constant, path + u64(row), pool, states[row])


@inline
def set_state(state: Any, numbers: Any, cached: Any) -> None:
    """Write a state into the memory of a bit generator, which `StateViews` shows."""
    for k in range(4):
        numbers[k] = state[k]
    cached[0] = cached[1] = 0
