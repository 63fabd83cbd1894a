"""Name the machine of a benchmark truly: the processor, and what runs on it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numba
import numpy as np

MICROARCHITECTURES = {
    ("AuthenticAMD", 23, 1): "Zen 1", ("AuthenticAMD", 23, 49): "Zen 2",
    ("AuthenticAMD", 25, 1): "Zen 3", ("AuthenticAMD", 25, 17): "Zen 4",
    ("AuthenticAMD", 25, 97): "Zen 4", ("AuthenticAMD", 26, 2): "Zen 5",
    ("AuthenticAMD", 26, 17): "Zen 5", ("AuthenticAMD", 26, 68): "Zen 5",
    ("GenuineIntel", 6, 85): "Skylake or Cascade Lake", ("GenuineIntel", 6, 106): "Ice Lake",
    ("GenuineIntel", 6, 143): "Sapphire Rapids", ("GenuineIntel", 6, 207): "Emerald Rapids",
}  # fmt: skip
"""By vendor, family and model, of which virtual machines often hide the name."""


def processor() -> str:
    """Return the name of the processor, its family and model, and its widest vectors."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return platform.processor() or platform.machine()
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines}
    name = fields.get("model name", platform.machine())
    if "cpu family" not in fields:
        return name
    family, model = int(fields["cpu family"]), int(fields["model"])
    known = MICROARCHITECTURES.get((fields.get("vendor_id", ""), family, model))
    kind = f"family {family}, model {model}" + (f": {known}" if known else "")
    widest = vectors()
    return f"{name} ({kind}{f', {widest}' if widest else ''})"


def vectors() -> str:
    """Return the widest vectors of the processor, as far as the kernels use them; or nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return next((v for k, v in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if k in flags), "")


def machine() -> str:
    """Return the processor, the cores that this process may use, and the versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores of {processor()}, Python {platform.python_version()},"
        f" NumPy {np.__version__}, Numba {numba.__version__}"
    )
