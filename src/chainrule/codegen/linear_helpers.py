"""Functions that generated code defines above itself, by the name of the row (or operation) that needs them.

Where a function has no derivative (eigenvalues that coincide, a rank that is lost) they raise an error: an
array of numbers that mean nothing must not come back.
"""

from __future__ import annotations

NONE_HERE = "there is no derivative here"
SYMMETRIC = '''def symmetric(A):
    """(A + A') / 2."""
    return (A + np.swapaxes(A, -1, -2)) / 2
'''
APART = '''def require_apart(values, what):
    """Raises an error where values, sorted, coincide up to rounding."""
    ordered = np.sort(values, axis=-1)
    scale = np.abs(ordered).max(axis=-1, initial=0.0, keepdims=True)
    if (np.diff(ordered, axis=-1) <= 32 * np.finfo(ordered.dtype).eps * scale).any():
        raise np.linalg.LinAlgError(what + ": there is no derivative here")
'''
RANK = '''def require_full_rank(X):
    """Raises an error where a singular value is 0 up to rounding."""
    s = np.linalg.svd(X, compute_uv=False)
    if (s[..., -1] <= max(X.shape[-2:]) * np.finfo(s.dtype).eps * s[..., 0]).any():
        raise np.linalg.LinAlgError("a matrix has not full rank: there is no derivative here")
'''
SIGNS = '''def signs(V):
    """For each column 1 or -1, which makes its entry of largest absolute value positive."""
    largest = np.abs(V).argmax(axis=-2)[..., None, :]
    return np.where(np.take_along_axis(V, largest, axis=-2) < 0, -1.0, 1.0)
'''
SVD = '''def thin_svd(X):
    """U, s, V with X = U diag(s) V'; an error where singular values coincide or are 0."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    require_apart(np.concatenate([s, 0 * s[..., :1]], axis=-1), "singular values coincide, or one is 0")
    turned = signs(U)
    return U * turned, s, np.swapaxes(Vt, -1, -2) * turned
'''
TOP = '''def top_svd(X):
    """The singular vectors of the largest singular value; an error where it is not simple."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    first = np.concatenate([s, 0 * s[..., :1]], axis=-1)[..., :2]
    require_apart(first, "the largest singular values coincide")
    turned = signs(U[..., :1])[..., 0]
    return U[..., 0] * turned, Vt[..., 0, :] * turned
'''
BLOCKS = '''def blocks(X, E):
    """[[X, E], [0, X]]."""
    below = np.concatenate([np.zeros_like(X), X], axis=-1)
    return np.concatenate([np.concatenate([X, E], axis=-1), below], axis=-2)
'''
FRECHET = '''def expm_frechet(X, *directions):
    """The derivative of expm at X along each direction in turn: a block of expm([[X, E], [0, X]])."""
    if not directions:
        return linalg.expm(X)
    n = X.shape[-1]
    doubled = [blocks(E, np.zeros_like(E)) for E in directions[1:]]
    return expm_frechet(blocks(X, directions[0]), *doubled)[..., :n, n:]
'''
POLAR = '''def polar(X):
    """U V' of X = U diag(s) V'; an error where the rank is not full."""
    require_full_rank(X)
    U, _, Vt = np.linalg.svd(X, full_matrices=False)
    return U @ Vt
'''

# The texts that each name needs, in order.
LINEAR_ALGEBRA: dict[str, tuple[str, ...]] = {
    "cholesky": (
        SYMMETRIC,
        '''def cholesky(A):
    """The lower L with L L' = (A + A') / 2."""
    return np.linalg.cholesky(symmetric(A))
''',
    ),
    "eigvalsh": (
        SYMMETRIC,
        '''def eigvalsh(A):
    """The eigenvalues of (A + A') / 2."""
    return np.linalg.eigvalsh(symmetric(A))
''',
    ),
    "eigvecsh": (
        SYMMETRIC,
        APART,
        SIGNS,
        '''def eigvecsh(A):
    """The eigenvectors of (A + A') / 2; an error where eigenvalues coincide."""
    values, vectors = np.linalg.eigh(symmetric(A))
    require_apart(values, "eigenvalues coincide")
    return vectors * signs(vectors)
''',
    ),
    "inverse_gaps": (
        APART,
        '''def inverse_gaps(x):
    """1 / (x_j - x_i), 0 on the diagonal; an error where entries coincide."""
    require_apart(x, "entries coincide")
    eye = np.eye(x.shape[-1])
    return (1 - eye) / (x[..., None, :] - x[..., :, None] + eye)
''',
    ),
    "svdvals": (
        '''def svdvals(X):
    """The singular values."""
    return np.linalg.svd(X, compute_uv=False)
''',
    ),
    "svd_left": (
        APART,
        SIGNS,
        SVD,
        '''def svd_left(X):
    """The left singular vectors."""
    return thin_svd(X)[0]
''',
    ),
    "svd_right": (
        APART,
        SIGNS,
        SVD,
        '''def svd_right(X):
    """The right singular vectors."""
    return thin_svd(X)[2]
''',
    ),
    "top_left": (
        APART,
        SIGNS,
        TOP,
        '''def top_left(X):
    """The left singular vector of the largest singular value."""
    return top_svd(X)[0]
''',
    ),
    "top_right": (
        APART,
        SIGNS,
        TOP,
        '''def top_right(X):
    """The right singular vector of the largest singular value."""
    return top_svd(X)[1]
''',
    ),
    "pinv": (
        RANK,
        '''def pinv(X):
    """The pseudo-inverse; an error where the rank is not full."""
    require_full_rank(X)
    return np.linalg.pinv(X)
''',
    ),
    "polar": (RANK, POLAR),
    "polar_frechet": (
        RANK,
        POLAR,
        '''def polar_frechet(X, E):
    """The derivative of polar at X along E, in the bases of X = U diag(s) V'."""
    require_full_rank(X)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    Ut, V = np.swapaxes(U, -1, -2), np.swapaxes(Vt, -1, -2)
    inside = Ut @ E @ V
    turn = (inside - np.swapaxes(inside, -1, -2)) / (s[..., :, None] + s[..., None, :])
    left = (E - U @ (Ut @ E)) @ (V / s[..., None, :]) @ Vt
    right = (U / s[..., None, :]) @ Ut @ (E - (E @ V) @ Vt)
    return U @ turn @ Vt + left + right
''',
    ),
    "expm_frechet": (BLOCKS, FRECHET),
    "expm_frechet2": (BLOCKS, FRECHET),
    "expm_frechet3": (BLOCKS, FRECHET),
}


def defined(text: str) -> str:
    """The name of the function that a text defines."""
    return text.removeprefix("def ").partition("(")[0]
