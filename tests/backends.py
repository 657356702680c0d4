"""Libraries that some tests need: where one is missing they are skipped with the reason, and fail in CI."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

INSTALL = {"torch": "pip install -r tests/requirements-torch.txt", "jax": "pip install jax"}


def backend(name: str) -> Any:
    """The library, imported; the test, or the file of tests, ends here where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        reason = f"{name} is not installed: {INSTALL.get(name, f'pip install {name}')}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}; in CI every library is there")
        pytest.skip(reason, allow_module_level=True)
