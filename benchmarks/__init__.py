"""Measurements: what is fast, how fast, and against what. Nothing here is part of the package."""
