"""The engine that simulates with one call, its results, batches of paths, plans, measuring."""
