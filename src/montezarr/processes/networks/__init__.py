"""Reaction networks: populations that change by whole numbers at random times."""
