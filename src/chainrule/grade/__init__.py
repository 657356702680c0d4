"""Grading what a person wrote: a verdict on a claim, and a diagnosis of what led to it."""
