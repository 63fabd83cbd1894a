"""Random numbers: from the seed of a run to the streams and draws of its paths."""
