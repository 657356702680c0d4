"""How a variable is spelled: one ASCII name for code and storage, one pretty name for people.

λ, lambda and lam are one variable, stored as `lam` (Python's keyword cannot be a keyword argument); w₁ and w1
are one, stored as `w1`; ŵ and w_hat are one, stored as `w_hat`. ascii_name(pretty(name)) is name again.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ",
    "iota": "ι", "kappa": "κ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω",
}  # fmt: skip
SPELLED = {letter: name for name, letter in GREEK.items()} | {
    "ϵ": "epsilon", "ϑ": "theta", "ϕ": "phi", "\u03f1": "rho", "ς": "sigma", "ϰ": "kappa", "ℓ": "ell",
    "µ": "mu", "∑": "Sigma",
}  # fmt: skip
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307"}
_ACCENT_NAMES = {mark: name for name, mark in ACCENTS.items()}
SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)) | dict(
    zip("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "aehijklmnoprstuvx", strict=True)
)
_LOWERED = {plain: lowered for lowered, plain in SUBSCRIPT.items() if plain.isdigit()}
_PARTS = re.compile(r"([^\W\d_]+)(.*)", re.DOTALL)


@lru_cache(maxsize=4096)
def ascii_name(text: str) -> str:
    """The stored name of a variable that a person wrote as `text`.

    >>> ascii_name("λ"), ascii_name("lambda"), ascii_name("w₁"), ascii_name("ŵ"), ascii_name("Aᵢₖ")
    ('lam', 'lam', 'w1', 'w_hat', 'A_ik')
    """
    result = ""
    below = False
    for char in unicodedata.normalize("NFD", text):
        if 0x1D400 <= ord(char) <= 0x1D7FF:
            char = unicodedata.normalize("NFKC", char)
        if char in _ACCENT_NAMES:
            result += "_" + _ACCENT_NAMES[char]
        elif char in SUBSCRIPT:
            goes_on = SUBSCRIPT[char].isdigit() or below or result.endswith("_")
            result += SUBSCRIPT[char] if goes_on else "_" + SUBSCRIPT[char]
        else:
            result += SPELLED.get(char, char)
        below = char in SUBSCRIPT
    parts = _PARTS.fullmatch(result)
    if parts and parts[1] == "lambda":
        result = "lam" + parts[2]
    return unicodedata.normalize("NFC", result)


def row_name(matrix: str) -> str | None:
    """What a row of a matrix is called, x for X; None where the name is not one capital letter.

    >>> row_name("X"), row_name("X_hat"), row_name("data")
    ('x', 'x_hat', None)
    """
    parts = re.fullmatch(rf"([A-Z])(_({'|'.join(ACCENTS)}))?", matrix)
    return parts[1].lower() + (parts[2] or "") if parts else None


@lru_cache(maxsize=4096)
def pretty(name: str) -> str:
    """The name as people read it.

    >>> pretty("lam"), pretty("w1"), pretty("w_hat"), pretty("learning_rate"), pretty("x_1")
    ('λ', 'w₁', 'ŵ', 'learning_rate', 'x_1')
    """
    parts = _PARTS.fullmatch(name)
    if not parts:
        return name
    base, rest = GREEK.get(parts[1], parts[1]), parts[2]
    for accent, mark in ACCENTS.items():
        if len(base) == 1 and (rest == "_" + accent or re.fullmatch(rf"_{accent}\d+", rest)):
            base, rest = unicodedata.normalize("NFC", base + mark), rest.removeprefix("_" + accent)
    if re.fullmatch(r"\d{1,3}", rest):
        rest = "".join(_LOWERED[digit] for digit in rest)
    shown = base + rest
    return shown if ascii_name(shown) == name else name
