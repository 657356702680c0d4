"""The representation: tensors in index form. Knows no function by name except through its row."""
