"""The engine that simulates with one call, its results, batches, plans, and the benchmark."""
