"""The helper functions of helpers.py for JAX: no branch depends on a value, no array is written to.

Where a function has no derivative they return NaN in the place of an error: a traced function cannot raise.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.codegen.helpers import BEHIND
from chainrule.codegen.linear_helpers import SIGNS, SYMMETRIC


def in_jax(text: str) -> str:
    """A text for NumPy that JAX runs as it is, but for the name of the library.

    >>> in_jax("np.exp(x)")
    'jnp.exp(x)'
    """
    return text.replace("np.", "jnp.")


APART = '''def apart(values):
    """1, or NaN where values coincide up to rounding: there is no derivative there."""
    ordered = jnp.sort(values, axis=-1)
    scale = jnp.abs(ordered).max(axis=-1, initial=0.0, keepdims=True)
    close = jnp.diff(ordered, axis=-1) <= 32 * jnp.finfo(values.dtype).eps * scale
    return jnp.where(close.any(axis=-1), jnp.nan, 1.0)
'''
RANK = '''def full_rank(X):
    """1, or NaN where a singular value is 0 up to rounding: there is no derivative there."""
    s = jnp.linalg.svd(X, compute_uv=False)
    lost = s[..., -1] <= max(X.shape[-2:]) * jnp.finfo(X.dtype).eps * s[..., 0]
    return jnp.where(lost, jnp.nan, 1.0)[..., None, None]
'''
SVD = '''def thin_svd(X):
    """U, s, V with X = U diag(s) V'; NaN where singular values coincide or are 0."""
    U, s, Vt = jnp.linalg.svd(X, full_matrices=False)
    turned = signs(U) * apart(jnp.concatenate([s, 0 * s[..., :1]], axis=-1))[..., None, None]
    return U * turned, s, jnp.swapaxes(Vt, -1, -2) * turned
'''
TOP = '''def top_svd(X):
    """The singular vectors of the largest singular value; NaN where it is not simple."""
    U, s, Vt = jnp.linalg.svd(X, full_matrices=False)
    first = jnp.concatenate([s, 0 * s[..., :1]], axis=-1)[..., :2]
    turned = signs(U[..., :1])[..., 0] * apart(first)[..., None]
    return U[..., 0] * turned, Vt[..., 0, :] * turned
'''
POLAR = '''def polar(X):
    """U V' of X = U diag(s) V'; NaN where the rank is not full."""
    U, _, Vt = jnp.linalg.svd(X, full_matrices=False)
    return U @ Vt * full_rank(X)
'''

MILLS = '''def mills(x):
    """The normal density divided by the distribution function; below -5 by a continued fraction."""
    far, near = jnp.maximum(-x, 5), jnp.maximum(x, -5)
    rest = 0
    for k in range(40, 0, -1):
        rest = k / (far + rest)
    density = jnp.exp(-near * near / 2) / jnp.sqrt(2 * jnp.pi)
    return jnp.where(x < -5, far + rest, density / special.ndtr(near))
'''

# Texts that differ by more than a name, in the place of those with the same name.
CHANGED: Mapping[str, tuple[str, ...]] = {
    "norm": (
        '''def norm(x, axes):
    """||x|| over the last axes, by way of x / max |x|, whose squares do not overflow."""
    axis = tuple(range(-axes, 0))
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    top = jnp.where((top > 0) & (top < jnp.inf), top, 1)
    return jnp.sqrt(jnp.sum((x / top)**2, axis=axis)) * jnp.squeeze(top, axis)
''',
    ),
    "unit": (
        '''def unit(x, axes):
    """x / ||x|| over the last axes, 0 where x is 0, by way of x / max |x|, whose squares do not overflow."""
    axis = tuple(range(-axes, 0))
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    x = x / jnp.where((top > 0) & (top < jnp.inf), top, 1)
    length = jnp.sqrt(jnp.sum(x * x, axis=axis, keepdims=True))
    return x / jnp.where(length == 0, 1, length)
''',
    ),
    "first_max": (
        '''def first_max(x, axes):
    """1 at the first largest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = jnp.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
    return chosen.reshape(x.shape).astype(x.dtype)
''',
    ),
    "first_min": (
        '''def first_min(x, axes):
    """1 at the first smallest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = jnp.arange(flat.shape[-1]) == flat.argmin(axis=-1)[..., None]
    return chosen.reshape(x.shape).astype(x.dtype)
''',
    ),
    "huber": (
        '''def huber(x, d):
    """x^2 / 2 where |x| <= d, else d (|x| - d/2)."""
    size = jnp.abs(x)
    return jnp.where(size <= d, x * x / 2, d * (size - d / 2))
''',
    ),
    "mills": (MILLS,),
    "lognormcdf": (
        MILLS,
        '''def lognormcdf(x):
    """The logarithm of the normal distribution function, where that underflows or is close to 1 too."""
    far, left, right = jnp.minimum(x, -5), jnp.clip(x, -5, 0), jnp.maximum(x, 0)
    tail = -far * far / 2 - jnp.log(jnp.sqrt(2 * jnp.pi) * mills(far))
    near = jnp.where(x < 0, jnp.log(special.ndtr(left)), jnp.log1p(-special.ndtr(-right)))
    return jnp.where(x < -5, tail, near)
''',
    ),
    "mills_excess": (
        '''def mills_excess(x):
    """mills(x) + x; below -1.1 by a continued fraction, since the sum cancels there."""
    far, near = jnp.maximum(-x, 1.1), jnp.maximum(x, -1.1)
    b = far + 1 / jnp.sqrt(far * far + 404)
    rest = 202 / (jnp.sqrt(b * b + 404) + b)  # about what terms from 101 on make of it
    for k in range(100, 0, -1):
        rest = k / (far + rest)
    density = jnp.exp(-near * near / 2) / jnp.sqrt(2 * jnp.pi)
    return jnp.where(x < -1.1, rest, density / special.ndtr(near) + near)
''',
    ),
    "adjugate": (
        '''def adjugate(A):
    """det(A) inv(A), which exists where A is singular too: from A = U diag(s) V'."""
    U, s, Vt = jnp.linalg.svd(A, full_matrices=False)
    others = jnp.where(jnp.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    sign = jnp.linalg.det(U) * jnp.linalg.det(Vt)
    return jnp.swapaxes(U @ ((sign[..., None] * others)[..., None] * Vt), -1, -2)
''',
    ),
    "scatter_rows": (
        '''def scatter_rows(rows, ids, size):
    """An array of `size` rows: row v is the sum of the rows with ids == v."""
    return jnp.zeros((size,) + rows.shape[ids.ndim:], rows.dtype).at[ids].add(rows)
''',
    ),
    "windows": (
        '''def windows(x, widths, strides, dilations, paddings):
    """The windows of the last axes of x, zeros around it: which window along each, then where in it."""
    axes = len(widths)
    every = jnp.pad(x, [(0, 0)] * (x.ndim - axes) + [(p, p) for p in paddings])
    for k, (w, s, d) in enumerate(zip(widths, strides, dilations)):
        axis = x.ndim - axes + k
        count = (every.shape[axis] - d * (w - 1) - 1) // s + 1
        places = s * jnp.arange(count)[:, None] + d * jnp.arange(w)
        every = jnp.moveaxis(jnp.take(every, places, axis=axis), axis + 1, -1)
    return every
''',
    ),
    "overlap_add": (
        '''def overlap_add(parts, sizes, strides, dilations, paddings):
    """The transpose of windows: every window added at its place in axes of these sizes."""
    axes = len(sizes)
    counts, widths = parts.shape[-2 * axes:-axes], parts.shape[-axes:]
    padded = tuple(n + 2 * p for n, p in zip(sizes, paddings))
    where = []
    for k, (c, w, s, d) in enumerate(zip(counts, widths, strides, dilations)):
        places = s * jnp.arange(c)[:, None] + d * jnp.arange(w)
        shape = [1] * (2 * axes)
        shape[k], shape[axes + k] = c, w
        where.append(places.reshape(shape))
    total = jnp.zeros(parts.shape[:-2 * axes] + padded, parts.dtype).at[(..., *where)].add(parts)
    return total[(..., *(slice(p, p + n) for n, p in zip(sizes, paddings)))]
''',
    ),
    "eigvecsh": (
        in_jax(SYMMETRIC),
        APART,
        in_jax(SIGNS),
        '''def eigvecsh(A):
    """The eigenvectors of (A + A') / 2; NaN where eigenvalues coincide."""
    values, vectors = jnp.linalg.eigh(symmetric(A))
    return vectors * signs(vectors) * apart(values)[..., None, None]
''',
    ),
    "inverse_gaps": (
        APART,
        '''def inverse_gaps(x):
    """1 / (x_j - x_i), 0 on the diagonal; NaN where entries coincide."""
    eye = jnp.eye(x.shape[-1], dtype=x.dtype)
    gaps = x[..., None, :] - x[..., :, None] + eye
    return (1 - eye) / gaps * apart(x)[..., None, None]
''',
    ),
    "pinv": (
        RANK,
        '''def pinv(X):
    """The pseudo-inverse; NaN where the rank is not full."""
    return jnp.linalg.pinv(X) * full_rank(X)
''',
    ),
    "polar": (RANK, POLAR),
    "polar_frechet": (
        RANK,
        '''def polar_frechet(X, E):
    """The derivative of polar at X along E, in the bases of X = U diag(s) V'; NaN at a lost rank."""
    U, s, Vt = jnp.linalg.svd(X, full_matrices=False)
    Ut, V = jnp.swapaxes(U, -1, -2), jnp.swapaxes(Vt, -1, -2)
    inside = Ut @ E @ V
    turn = (inside - jnp.swapaxes(inside, -1, -2)) / (s[..., :, None] + s[..., None, :])
    left = (E - U @ (Ut @ E)) @ (V / s[..., None, :]) @ Vt
    right = (U / s[..., None, :]) @ Ut @ (E - (E @ V) @ Vt)
    return (U @ turn @ Vt + left + right) * full_rank(X)
''',
    ),
    "svd_left": (
        APART,
        in_jax(SIGNS),
        SVD,
        '''def svd_left(X):
    """The left singular vectors."""
    return thin_svd(X)[0]
''',
    ),
    "svd_right": (
        APART,
        in_jax(SIGNS),
        SVD,
        '''def svd_right(X):
    """The right singular vectors."""
    return thin_svd(X)[2]
''',
    ),
    "top_left": (
        APART,
        in_jax(SIGNS),
        TOP,
        '''def top_left(X):
    """The left singular vector of the largest singular value."""
    return top_svd(X)[0]
''',
    ),
    "top_right": (
        APART,
        in_jax(SIGNS),
        TOP,
        '''def top_right(X):
    """The right singular vector of the largest singular value."""
    return top_svd(X)[1]
''',
    ),
}
SAME = (
    *("elu", "softsign", "normpdf", "masked_softmax", "prod_others"),
    *("cholesky", "eigvalsh", "svdvals", "expm_frechet", "expm_frechet2", "expm_frechet3"),
)
JAX_HELPERS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(map(in_jax, BEHIND[name])) for name in SAME},
    **CHANGED,
}
