"""How fast compiled code is: against automatic differentiation, an expert's code and the machine.

Run `python3 dev.py bench`, or `python -m benchmarks.speed --help` for one problem or a shorter run.
"""
