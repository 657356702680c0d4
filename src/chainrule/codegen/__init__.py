"""From expressions to code that runs: a straight-line program, its NumPy source, the compiled function."""
