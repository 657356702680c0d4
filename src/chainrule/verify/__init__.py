"""Numeric checks: a reference interpreter, random points inside domains, derivatives against differences."""
