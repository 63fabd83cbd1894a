"""Random blows against runs and stores, and random recipes and reductions against each other.

``python -m benchmarks.chaos MINUTES`` runs them as long as one likes, and prints a table.
"""
