"""The memory limit of this process."""

from __future__ import annotations

from pathlib import Path

import psutil


def memory_limit() -> int:
    """Return the bytes that this process may use: the limit of its control group, or all memory.

    A container or batch job often gets less than the machine has.
    """
    total = int(psutil.virtual_memory().total)
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
