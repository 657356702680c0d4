"""Python names for the names of the language."""

from __future__ import annotations

from collections.abc import Iterable
from keyword import iskeyword
from unicodedata import name as unicode_name

from chainrule.codegen.helpers import BEHIND
from chainrule.codegen.jax_helpers import JAX_HELPERS
from chainrule.codegen.linear_helpers import defined
from chainrule.codegen.torch_helpers import TORCH_HELPERS

# What sources call or define themselves, in any library.
TABLES = (BEHIND, JAX_HELPERS, TORCH_HELPERS)
OWN = frozenset(
    {
        *(
            "np",
            "special",
            "linalg",
            "float",
            "tuple",
            "range",
            "max",
            "jax",
            "jnp",
            "dtype",
            "torch",
            "like",
        ),
        *(defined(text) for table in TABLES for texts in table.values() for text in texts),
    }
)


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """A Python identifier for a name of the language: Greek letters spelled, a keyword with an underscore.

    >>> identifier("λ"), identifier("lambda"), identifier("x̂")
    ('lam', 'lam', 'x_hat')
    """
    text = "".join(_spelled(c) for c in name)
    text = {"lambda": "lam"}.get(text, text)
    if not text or (not text[0].isalpha() and text[0] != "_"):
        text = "v" + text
    used = set(taken) | OWN
    while iskeyword(text) or text in used:
        text += "_"
    return text


def _spelled(c: str) -> str:
    if c == "_" or (c.isascii() and c.isalnum()):
        return c
    words = unicode_name(c, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        spelled = words[words.index("LETTER") + 1].lower()
        spelled = {"lamda": "lam"}.get(spelled, spelled)
        return spelled.capitalize() if "CAPITAL" in words else spelled
    for mark, text in (
        ("CIRCUMFLEX", "_hat"),
        ("MACRON", "_bar"),
        ("OVERLINE", "_bar"),
        ("TILDE", "_tilde"),
        ("PRIME", "_prime"),
    ):
        if mark in words:
            return text
    if words[:1] in (["SUBSCRIPT"], ["SUPERSCRIPT"]):
        digits = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
        return str(digits.index(words[-1])) if words[-1] in digits else "_"
    return "_"
