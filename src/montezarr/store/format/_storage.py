"""Options of storage: exact by default; smaller on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.added_fields import added
from montezarr.core.checks import check_choice, check_int, value_error
from montezarr.core.value import Value, checked
from montezarr.random.seeding import BLOCK

COMPRESSION_LEVELS: dict[str, tuple[int, int, int]] = {
    "zstd": (1, 22, 3),
    "gzip": (1, 9, 5),
    "blosc": (1, 9, 5),
}
"""Compressors: lowest, highest and default level."""

MANTISSA_BITS_OF = {"float16": 10, "float32": 23, "float64": 52}


def _check_blocks(name: str, value: Any) -> int:
    size = check_int(name, value, minimum=1)
    if size % BLOCK:
        raise value_error(name, f"a multiple of {BLOCK} paths", size)
    return size


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Storage(Value):
    """How `write` stores values: by default all bits, uncompressed.

    Parameters
    ----------
    dtype : {"float32", "float64"}, optional
        Real variables are stored as this; "float32" halves the size, and rounds. (To *simulate* in
        single precision pass ``dtype`` to `simulate`, which is also faster.)
    keep_bits : int, optional
        Bits of the mantissa that real values keep, 1 ... 52 (23 in single precision); the others
        are rounded to zeros, to nearest and ties to even, which makes values compress well [1]_.
        The relative error is at most ``2**-(keep_bits + 1)``.
    compression : {"zstd", "gzip", "blosc"}, optional
        Random doubles do not compress; codes, counts and rounded values do. `plan` shows the
        measured ratio.
    level : int, optional
        Level of the compression.
    inner_chunk : int, optional
        Makes each chunk a shard of inner chunks of this many paths, which can be read alone: a
        multiple of 1024 that divides the chunk.
    time_chunk : int, optional
        Makes each chunk a shard whose inner chunks hold this many times, so that single times, such
        as the last one, are read without the others: 1 for one time each. A path is then read in
        as many pieces. Where it does not divide the number of times, the last inner chunk is padded
        with fill values, which no reader shows. Ignored for variables without times.
    scenario_chunk : {"each", "all"}
        Of a run on a grid of parameters: with "each", the default, a chunk is a shard with an inner
        chunk for each scenario, so that one scenario can be read without the others. "all" stores
        the scenarios of a chunk together, which reads faster where they are very many and small,
        and always read together.

    References
    ----------
    .. [1] M. Klöwer, M. Razinger, J. J. Dominguez, P. D. Düben, T. N. Palmer. Compressing
       atmospheric data into its real information content. Nature Computational Science 1 (2021),
       doi:10.1038/s43588-021-00156-2

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.Storage(dtype="float32", keep_bits=10, compression="zstd").level
    3
    """

    is_named: ClassVar[bool] = False

    dtype: str | None = field(
        default=None, metadata=checked(check_choice, ("float32", "float64"), optional=True)
    )
    keep_bits: int | None = None
    compression: str | None = field(
        default=None, metadata=checked(check_choice, tuple(COMPRESSION_LEVELS), optional=True)
    )
    level: int | None = None
    inner_chunk: int | None = field(default=None, metadata=checked(_check_blocks, optional=True))
    scenario_chunk: str = added("each")
    time_chunk: int | None = added(None)

    def __post_init__(self) -> None:
        self.check_fields()
        check_choice("scenario_chunk", self.scenario_chunk, ("each", "all"))
        if self.time_chunk is not None:
            self.set_field("time_chunk", check_int("time_chunk", self.time_chunk, minimum=1))
        if self.keep_bits is not None:
            most = MANTISSA_BITS_OF[self.dtype or "float64"]
            check_int("keep_bits", self.keep_bits, minimum=1, maximum=most)
        if self.compression is not None:
            low, high, default = COMPRESSION_LEVELS[self.compression]
            level = default if self.level is None else self.level
            self.set_field("level", check_int("level", level, minimum=low, maximum=high))
        elif self.level is not None:
            raise value_error("level", "None without a compression", self.level)

    def check_chunk(self, chunk: int) -> None:
        """Raise unless a chunk of `chunk` paths is a multiple of the inner chunk.

        Raises
        ------
        ArgumentValueError
            With the remedy.
        """
        if self.inner_chunk is not None and chunk % self.inner_chunk:
            raise value_error(
                "inner_chunk", f"a divisor of the chunk of {chunk:,} paths", self.inner_chunk,
                "The chunk is that of simulate(chunks=...).",
            )  # fmt: skip

    def stored_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the little-endian dtype in which values of a dtype are stored."""
        if dtype.kind == "f" and self.dtype is not None:
            dtype = np.dtype(self.dtype)
        return dtype.newbyteorder("<")

    def apply(self, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return values as they are stored; the same array if nothing changes."""
        out: NDArray[Any] = values.astype(dtype, copy=False)
        if self.keep_bits is None or dtype.kind != "f":
            return out
        return round_bits(out, self.keep_bits)


def round_bits(values: NDArray[Any], keep: int) -> NDArray[Any]:
    """Return values with the mantissa rounded to `keep` bits, to nearest, ties to even."""
    drop = MANTISSA_BITS_OF[values.dtype.name] - keep
    if drop <= 0:
        return values
    kind = np.dtype(f"u{values.dtype.itemsize}")
    bits = np.ascontiguousarray(values).view(kind)
    one = kind.type(1)
    odd = (bits >> kind.type(drop)) & one
    rounded = bits + (kind.type((1 << (drop - 1)) - 1) + odd)
    rounded &= ~kind.type((1 << drop) - 1)
    # NaN and infinities have no mantissa to round; the largest number must not become one.
    out: NDArray[Any] = rounded.view(values.dtype)
    lost = ~(np.isfinite(out) & np.isfinite(values))
    if lost.any():
        out[lost] = values[lost]
    return out
