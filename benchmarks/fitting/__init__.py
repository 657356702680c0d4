"""The parts of benchmarks/fit.py."""
