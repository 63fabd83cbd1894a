"""Statistics of a run in one pass: sources of blocks, their accumulation, `reduce`, `stream`."""
