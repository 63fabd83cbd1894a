"""Random numbers: seeds of runs, and the streams and draws of their paths."""
