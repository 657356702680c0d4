"""What functions mean that no textbook has, in a line each, where an answer brings them in.

In: the lines of an answer, and what stood in the formula already. Out: lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from chainrule.notation.paired import paired_note

# How the function is told, and what it is.
GLOSSES = {
    "merge": "merge(m, n)_ijk: 1 where i = (j − 1)n + k, else 0",
    "window": "window(...)_ijk: 1 where place j of window i lies on entry k, else 0",
    "windows": "windows(X, k): the windows of k entries along the last axes, with axes for the place in each",
    "overlap_add": "overlap_add(G, n): the transpose of windows, each window added at its place",
    "conv_transpose1d": "conv_transpose1d(G, K, n): the transpose of conv1d(X, K), for X of n entries",
    "conv_transpose2d": "conv_transpose2d(G, K, (m, n)): the transpose of conv2d(X, K), for X of m × n",
    "unit": "unit(x): x/‖x‖, 0 at 0",
    "elimination": "elimination(n)_ijk: 1 where X_jk is entry i of vech(X), else 0",
    "inverse_gaps": "inverse_gaps(x): the matrix of 1/(x_j − x_i), 0 on the diagonal",
    "halftril": "halftril(M): the lower triangle of M with its diagonal halved",
    "halftriu": "halftriu(M): the upper triangle of M with its diagonal halved",
    "expm_frechet": "expm_frechet(X, E): the derivative of expm at X along E",
    "expm_frechet2": "expm_frechet2(X, E, F): the second derivative of expm at X along E and F",
    "expm_frechet3": "expm_frechet3(X, E, F, G): the third derivative of expm at X along E, F and G",
    "polar": "polar(X): UVᵀ of the singular value decomposition X = U diag(σ) Vᵀ",
    "polar_frechet": "polar_frechet(X, E): the derivative of polar at X along E",
    "digamma": "digamma(x): the derivative of ln Γ(x)",
    "polygamma": "polygamma(k, x): the derivative of order k of digamma(x)",
    "top_left": "top_left(X): the left singular vector of the largest singular value",
    "top_right": "top_right(X): the right singular vector of the largest singular value",
}
_CALL = re.compile(r"(?<![A-Za-z_])([a-z_]+\d?)\(")
_PLACE = re.compile(r"_([i-t]*(?:\([i-t]{2,}\)[i-t]*)+)(?!\w)")
_SUM = re.compile(r"_\{[^{}]*[i-t][+−][^{}]*\}")
_ROWS = re.compile(r"(?<!\w)I_\w+\[[^\]]*:[^\]]*\]")
_HOLDS = re.compile(r"(?<![\w\]])\[[i-t] [=≤] [^\]]+\]")
_PAIR = re.compile(r"\([i-t]+\)")


def glosses(lines: Iterable[str], typed: str) -> list[str]:
    """A line for each function of the table in `lines` that is not in what was typed.

    >>> shown = ["gradient: (1/2) V(M ⊙ VᵀG)Vᵀ", "where M = inverse_gaps(eigvalsh(A))"]
    >>> glosses(shown, "g @ eigvalsh(A)")
    ['inverse_gaps(x): the matrix of 1/(x_j − x_i), 0 on the diagonal']
    """
    lines = list(lines)
    used = dict.fromkeys(name for line in lines for name in _CALL.findall(line) if name in GLOSSES)
    places = [place for line in lines for place in _PLACE.findall(line)]
    pairs = [pair for place in places for pair in _PAIR.findall(place)]
    note = [paired_note(pairs)] if pairs else []
    note += ["an entry whose index lies outside its array is 0"] if any(map(_SUM.search, lines)) else []
    if sliced := next((found[0] for line in lines if (found := _ROWS.search(line))), ""):
        note.append(f"{sliced}: rows of the identity, picked as Python picks them")
    if any(map(_HOLDS.search, lines)):
        note.append("[…] around indices is 1 where the condition holds, else 0")
    return note + [GLOSSES[name] for name in used if name not in _CALL.findall(typed)]
