"""The helper functions of helpers.py for PyTorch: no branch depends on a value, no array is written to.

Where a function has no derivative they return NaN in the place of an error, so that vmap and grad work.
"""

from __future__ import annotations

from collections.abc import Mapping

SYMMETRIC = '''def symmetric(A):
    """(A + A') / 2."""
    return (A + A.mT) / 2
'''
APART = '''def apart(values):
    """1, or NaN where values coincide up to rounding: there is no derivative there."""
    ordered = torch.sort(values, dim=-1).values
    scale = ordered.abs().amax(dim=-1, keepdim=True)
    close = torch.diff(ordered, dim=-1) <= 32 * torch.finfo(values.dtype).eps * scale
    return torch.where(close.any(dim=-1), torch.nan, torch.ones_like(scale[..., 0]))
'''
RANK = '''def full_rank(X):
    """1, or NaN where a singular value is 0 up to rounding: there is no derivative there."""
    s = torch.linalg.svdvals(X)
    lost = s[..., -1] <= max(X.shape[-2:]) * torch.finfo(X.dtype).eps * s[..., 0]
    return torch.where(lost, torch.nan, torch.ones_like(s[..., 0]))[..., None, None]
'''
SIGNS = '''def signs(V):
    """For each column 1 or -1, which makes its entry of largest absolute value positive."""
    largest = V.abs().argmax(dim=-2, keepdim=True)
    return torch.where(torch.gather(V, -2, largest) < 0, -1.0, 1.0).to(V.dtype)
'''
SVD = '''def thin_svd(X):
    """U, s, V with X = U diag(s) V'; NaN where singular values coincide or are 0."""
    U, s, Vt = torch.linalg.svd(X, full_matrices=False)
    turned = signs(U) * apart(torch.cat([s, 0 * s[..., :1]], dim=-1))[..., None, None]
    return U * turned, s, Vt.mT * turned
'''
TOP = '''def top_svd(X):
    """The singular vectors of the largest singular value; NaN where it is not simple."""
    U, s, Vt = torch.linalg.svd(X, full_matrices=False)
    first = torch.cat([s, 0 * s[..., :1]], dim=-1)[..., :2]
    turned = signs(U[..., :1])[..., 0] * apart(first)[..., None]
    return U[..., 0] * turned, Vt[..., 0, :] * turned
'''
BLOCKS = '''def blocks(X, E):
    """[[X, E], [0, X]]."""
    below = torch.cat([torch.zeros_like(X), X], dim=-1)
    return torch.cat([torch.cat([X, E], dim=-1), below], dim=-2)
'''
FRECHET = '''def expm_frechet(X, *directions):
    """The derivative of expm at X along each direction in turn: a block of expm([[X, E], [0, X]])."""
    if not directions:
        return torch.linalg.matrix_exp(X)
    n = X.shape[-1]
    doubled = [blocks(E, torch.zeros_like(E)) for E in directions[1:]]
    return expm_frechet(blocks(X, directions[0]), *doubled)[..., :n, n:]
'''
POLAR = '''def polar(X):
    """U V' of X = U diag(s) V'; NaN where the rank is not full."""
    U, _, Vt = torch.linalg.svd(X, full_matrices=False)
    return U @ Vt * full_rank(X)
'''
PLACES = '''def places(count, width, stride, dilation, device):
    """Where the entries of windows lie along an axis: count x width indices."""
    start = stride * torch.arange(count, device=device)
    return start[:, None] + dilation * torch.arange(width, device=device)
'''

MILLS = '''def mills(x):
    """The normal density divided by the distribution function, where that underflows too."""
    low, high = torch.clamp(x, max=0), torch.clamp(x, min=0)
    below = (2 / torch.pi)**0.5 / torch.special.erfcx(-low / 2**0.5)
    above = torch.exp(-high * high / 2) / (2 * torch.pi)**0.5 / torch.special.ndtr(high)
    return torch.where(x < 0, below, above)
'''

# An index_put that accumulates sorts its indices on a GPU, in case they repeat; these never do.
ADD_AT = '''def add_at(A, where, v):
    """A with v added at places of which no two are the same."""
    return A.index_put(where, A[where] + v)
'''
ADD_DIAGONAL = '''def add_diagonal(A, v):
    """A + diag(v)."""
    return torch.diagonal_scatter(A, torch.diagonal(A) + v)
'''

TORCH_HELPERS: Mapping[str, tuple[str, ...]] = {
    "add_at": (ADD_AT,),
    "add_diagonal": (ADD_DIAGONAL,),
    "norm": (
        '''def norm(x, axes):
    """||x|| over the last axes, by way of x / max |x|, whose squares do not overflow."""
    dims = tuple(range(-axes, 0))
    top = torch.linalg.vector_norm(x.detach(), torch.inf, dim=dims, keepdim=True)
    top = torch.where((top > 0) & (top < torch.inf), top, 1)
    return torch.linalg.vector_norm(x / top, dim=dims) * top.reshape(top.shape[:x.ndim - axes])
''',
    ),
    "unit": (
        '''def unit(x, axes):
    """x / ||x|| over the last axes, 0 where x is 0, by way of x / max |x|, whose squares do not overflow."""
    dims = tuple(range(-axes, 0))
    top = torch.linalg.vector_norm(x.detach(), torch.inf, dim=dims, keepdim=True)
    x = x / torch.where((top > 0) & (top < torch.inf), top, 1)
    length = torch.linalg.vector_norm(x, dim=dims, keepdim=True)
    return x / torch.where(length == 0, 1, length)
''',
    ),
    "first_max": (
        '''def first_max(x, axes):
    """1 at the first largest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    ties = flat == flat.amax(dim=-1, keepdim=True)
    return (ties & (ties.cumsum(dim=-1) == 1)).reshape(x.shape).to(x.dtype)
''',
    ),
    "first_min": (
        '''def first_min(x, axes):
    """1 at the first smallest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    ties = flat == flat.amin(dim=-1, keepdim=True)
    return (ties & (ties.cumsum(dim=-1) == 1)).reshape(x.shape).to(x.dtype)
''',
    ),
    "elu": (
        '''def elu(x, a):
    """x where x > 0, else a (exp(x) - 1)."""
    return torch.where(x > 0, x, a * torch.expm1(torch.clamp(x, max=0)))
''',
    ),
    "softsign": (
        '''def softsign(x):
    """x / (1 + |x|)."""
    return x / (1 + torch.abs(x))
''',
    ),
    "huber": (
        '''def huber(x, d):
    """x^2 / 2 where |x| <= d, else d (|x| - d/2)."""
    size = torch.abs(x)
    return torch.where(size <= d, x * x / 2, d * (size - d / 2))
''',
    ),
    "normpdf": (
        '''def normpdf(x):
    """The density of the standard normal distribution."""
    return torch.exp(-x * x / 2) / (2 * torch.pi)**0.5
''',
    ),
    "mills": (MILLS,),
    "mills_excess": (
        MILLS,
        '''def mills_excess(x):
    """mills(x) + x; below -1.1 by a continued fraction, since the sum cancels there."""
    far, near = torch.clamp(-x, min=1.1), torch.clamp(x, min=-1.1)
    b = far + (far * far + 404)**-0.5
    rest = 202 / ((b * b + 404)**0.5 + b)  # about what terms from 101 on make of it
    for k in range(100, 0, -1):
        rest = k / (far + rest)
    return torch.where(x < -1.1, rest, mills(near) + near)
''',
    ),
    "masked_softmax": (
        '''def masked_softmax(x, mask):
    """softmax along the last axis over the entries where the mask is not 0, and 0 elsewhere."""
    seen = mask != 0
    top = torch.where(seen, x, -torch.inf).amax(dim=-1, keepdim=True)
    shifted = x - torch.where(torch.isfinite(top), top, 0)
    e = torch.where(seen, torch.exp(torch.where(seen, shifted, 0)), 0)
    total = e.sum(dim=-1, keepdim=True)
    return e / torch.where(total == 0, 1, total)
''',
    ),
    "prod": (
        '''def prod(x, axes):
    """The product over the last axes."""
    return x.flatten(-axes).prod(dim=-1)
''',
    ),
    "prod_others": (
        '''def prod_others(x, axes, k):
    """The product over the last axes without k different entries, for every choice of them."""
    shape = x.shape[x.ndim - axes:]
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    lead, n = flat.shape[:-1], flat.shape[-1]
    if k == 1:
        one = torch.ones_like(flat[..., :1])
        before = torch.cumprod(torch.cat([one, flat[..., :-1]], dim=-1), dim=-1)
        after = torch.cumprod(torch.cat([one, flat.flip(-1)[..., :-1]], dim=-1), dim=-1).flip(-1)
        return (before * after).reshape(x.shape)
    entries = torch.arange(n, device=x.device)
    out = sum((entries == entries.reshape((n,) + (1,) * (k - axis))).to(x.dtype) for axis in range(k))
    products = torch.where(out > 0, 1, flat.reshape(lead + (1,) * k + (n,))).prod(dim=-1)
    return (products * (out.amax(dim=-1) == 1)).reshape(lead + shape * k)
''',
    ),
    "adjugate": (
        '''def adjugate(A):
    """det(A) inv(A), which exists where A is singular too: from A = U diag(s) V'."""
    U, s, Vt = torch.linalg.svd(A)
    eye = torch.eye(s.shape[-1], dtype=torch.bool, device=A.device)
    others = torch.where(eye, 1, s[..., None, :]).prod(dim=-1)
    sign = torch.linalg.det(U) * torch.linalg.det(Vt)
    return (U @ ((sign[..., None] * others)[..., None] * Vt)).mT
''',
    ),
    "scatter_rows": (
        '''def scatter_rows(rows, ids, size):
    """An array of `size` rows: row v is the sum of the rows with ids == v."""
    total = rows.new_zeros((size,) + rows.shape[ids.ndim:])
    return total.index_put((ids,), rows, accumulate=True)
''',
    ),
    "windows": (
        PLACES,
        '''def windows(x, widths, strides, dilations, paddings):
    """The windows of the last axes of x, zeros around it: which window along each, then where in it."""
    axes = len(widths)
    around = [p for padding in reversed(paddings) for p in (padding, padding)]
    every = torch.nn.functional.pad(x, around)
    for k, (w, s, d) in enumerate(zip(widths, strides, dilations)):
        axis = x.ndim - axes + k
        count = (every.shape[axis] - d * (w - 1) - 1) // s + 1
        where = places(count, w, s, d, x.device).reshape(-1)
        every = every.index_select(axis, where).unflatten(axis, (count, w)).movedim(axis + 1, -1)
    return every
''',
    ),
    "overlap_add": (
        PLACES,
        '''def overlap_add(parts, sizes, strides, dilations, paddings):
    """The transpose of windows: every window added at its place in axes of these sizes."""
    axes = len(sizes)
    lead, counts, widths = parts.shape[:-2 * axes], parts.shape[-2 * axes:-axes], parts.shape[-axes:]
    for k in reversed(range(axes)):
        # One axis after the other: the windows along it and the places in them become one axis.
        axis = len(lead) + k
        n = sizes[k] + 2 * paddings[k]
        where = places(counts[k], widths[k], strides[k], dilations[k], parts.device).reshape(-1)
        flat = parts.movedim(len(lead) + axes + k, axis + 1).flatten(axis, axis + 1)
        total = flat.new_zeros(flat.shape[:axis] + (n,) + flat.shape[axis + 1:])
        parts = total.index_add(axis, where, flat).narrow(axis, paddings[k], sizes[k])
    return parts
''',
    ),
    "cholesky": (
        SYMMETRIC,
        '''def cholesky(A):
    """The lower L with L L' = (A + A') / 2."""
    return torch.linalg.cholesky(symmetric(A))
''',
    ),
    "eigvalsh": (
        SYMMETRIC,
        '''def eigvalsh(A):
    """The eigenvalues of (A + A') / 2."""
    return torch.linalg.eigvalsh(symmetric(A))
''',
    ),
    "eigvecsh": (
        SYMMETRIC,
        APART,
        SIGNS,
        '''def eigvecsh(A):
    """The eigenvectors of (A + A') / 2; NaN where eigenvalues coincide."""
    values, vectors = torch.linalg.eigh(symmetric(A))
    return vectors * signs(vectors) * apart(values)[..., None, None]
''',
    ),
    "inverse_gaps": (
        APART,
        '''def inverse_gaps(x):
    """1 / (x_j - x_i), 0 on the diagonal; NaN where entries coincide."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    gaps = x[..., None, :] - x[..., :, None] + eye
    return (1 - eye) / gaps * apart(x)[..., None, None]
''',
    ),
    "svdvals": (
        '''def svdvals(X):
    """The singular values."""
    return torch.linalg.svdvals(X)
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
    """The pseudo-inverse; NaN where the rank is not full."""
    return torch.linalg.pinv(X) * full_rank(X)
''',
    ),
    "polar": (RANK, POLAR),
    "polar_frechet": (
        RANK,
        '''def polar_frechet(X, E):
    """The derivative of polar at X along E, in the bases of X = U diag(s) V'; NaN at a lost rank."""
    U, s, Vt = torch.linalg.svd(X, full_matrices=False)
    inside = U.mT @ E @ Vt.mT
    turn = (inside - inside.mT) / (s[..., :, None] + s[..., None, :])
    left = (E - U @ (U.mT @ E)) @ (Vt.mT / s[..., None, :]) @ Vt
    right = (U / s[..., None, :]) @ U.mT @ (E - (E @ Vt.mT) @ Vt)
    return (U @ turn @ Vt + left + right) * full_rank(X)
''',
    ),
    "expm_frechet": (BLOCKS, FRECHET),
    "expm_frechet2": (BLOCKS, FRECHET),
    "expm_frechet3": (BLOCKS, FRECHET),
}
