"""Texts of the functions that generated code defines above itself, by the name of the row that needs them."""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.codegen.blas_helpers import BLAS
from chainrule.codegen.linear_helpers import LINEAR_ALGEBRA

MILLS = '''def mills(x):
    """The normal density divided by the distribution function, where that underflows too."""
    low, high = np.minimum(x, 0), np.maximum(x, 0)
    below = np.sqrt(2 / np.pi) / special.erfcx(-low / np.sqrt(2))
    return np.where(x < 0, below, np.exp(-high * high / 2) / np.sqrt(2 * np.pi) / special.ndtr(high))
'''

HELPERS = {
    "norm": '''def norm(x, axes):
    """||x|| over the last axes; x is divided by its largest entry where squares overflow or underflow."""
    axis = tuple(range(-axes, 0))
    length = np.linalg.norm(x) if axes == x.ndim else np.sqrt(np.sum(x * x, axis=axis))
    limits = np.finfo(length.dtype)
    if (limits.tiny / limits.eps)**0.5 < np.min(length, initial=1) and np.max(length, initial=1) < np.inf:
        return length
    top = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    top = np.where((top > 0) & (top < np.inf), top, 1)
    return np.sqrt(np.sum((x / top)**2, axis=axis)) * top.reshape(length.shape)
''',
    "unit": '''def unit(x, axes):
    """x / ||x|| over the last axes, 0 where x is 0; first x / max |x| where squares overflow."""
    axis = tuple(range(-axes, 0))
    length = np.linalg.norm(x) if axes == x.ndim else np.sqrt(np.sum(x * x, axis=axis, keepdims=True))
    limits = np.finfo(length.dtype)
    if np.min(length, initial=1) <= (limits.tiny / limits.eps)**0.5 or not np.max(length, initial=1) < np.inf:
        top = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
        x = x / np.where((top > 0) & (top < np.inf), top, 1)
        length = np.sqrt(np.sum(x * x, axis=axis, keepdims=True))
    return x / np.where(length == 0, 1, length)
''',
    "first_max": '''def first_max(x, axes):
    """1 at the first largest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
    return chosen.reshape(x.shape) * 1.0
''',
    "first_min": '''def first_min(x, axes):
    """1 at the first smallest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = np.arange(flat.shape[-1]) == flat.argmin(axis=-1)[..., None]
    return chosen.reshape(x.shape) * 1.0
''',
    "elu": '''def elu(x, a):
    """x where x > 0, else a (exp(x) - 1)."""
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))
''',
    "softsign": '''def softsign(x):
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))
''',
    "normpdf": '''def normpdf(x):
    """The density of the standard normal distribution."""
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
''',
    "mills": MILLS,
    "masked_softmax": '''def masked_softmax(x, mask):
    """softmax along the last axis over the entries where the mask is not 0, and 0 elsewhere."""
    seen = mask != 0
    top = np.where(seen, x, -np.inf).max(axis=-1, keepdims=True)
    e = np.where(seen, np.exp(np.where(seen, x - np.where(np.isfinite(top), top, 0), 0)), 0)
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total)
''',
    "prod_others": '''def prod_others(x, axes, k):
    """The product over the last axes without k different entries, for every choice of them."""
    shape = x.shape[x.ndim - axes:]
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    lead, n = flat.shape[:-1], flat.shape[-1]
    if k == 1:
        one = np.ones_like(flat[..., :1])
        before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
        after = np.cumprod(np.concatenate([one, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        return (before * after).reshape(x.shape)
    places = np.indices((n,) * k)
    out = sum(p[..., None] == np.arange(n) for p in places)
    products = np.where(out > 0, 1, flat.reshape(lead + (1,) * k + (n,))).prod(axis=-1)
    return (products * (out.max(axis=-1) == 1)).reshape(lead + shape * k)
''',
    "diag": '''def diag(v):
    """The matrix with v on its diagonal, in half the time of np.diag where v is short."""
    D = np.zeros((len(v), len(v)), v.dtype)
    D.ravel()[::len(v) + 1] = v
    return D
''',
    "softmax": '''def softmax(x, out=None):
    """exp(x) / sum(exp(x)) along the last axis."""
    e = np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
    np.exp(e, out=e)
    e /= e.sum(axis=-1, keepdims=True)
    return e
''',
    "logsumexp": '''def logsumexp(x):
    """log(sum(exp(x))) along the last axis."""
    top = x.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.exp(x - top).sum(axis=-1)) + top[..., 0]
''',
    "in_blocks": '''def in_blocks(part, rows, *arrays):
    """The sums that part(*arrays) gives, added up over blocks of rows."""
    if len(arrays[0]) <= rows:
        return part(*arrays)
    sums = None
    for i in range(0, len(arrays[0]), rows):
        more = part(*[a[i:i + rows] for a in arrays])
        sums = [s + t for s, t in zip(sums, more)] if sums else more
    return sums
''',
    "in_rows": '''def in_rows(part, rows, joined, *arrays):
    """What part(*arrays) gives by blocks of rows: results in joined (or None) row by row, others added up."""
    count, results = len(arrays[0]), []
    if count <= rows and not any(r is not None for r in joined.values()):
        return part(*arrays)
    np.empty(2**18)  # when this is freed, the allocator begins to keep what blocks free, and not return it
    for i in range(0, max(count, 1), rows):
        for k, m in enumerate(part(*[a[i:i + rows] for a in arrays])):
            if not i:
                new = m if k not in joined else joined[k]
                results.append(np.empty((count, *m.shape[1:]), m.dtype) if new is None else new)
            if k in joined:
                results[k][i:i + rows] = m
            elif i:
                results[k] = results[k] + m
    return results
''',
    "sum_along": '''def sum_along(x, axis):
    """x.sum(axis), for float32 in double precision: NumPy adds one entry after another along such an axis."""
    return x.sum(axis=axis, dtype=np.float64).astype(x.dtype) if x.dtype == np.float32 else x.sum(axis=axis)
''',
    "in_parts": '''def in_parts(function, cut, whole=()):
    """function(*cut, *whole) for parts of the arrays that stay in cache: arrays joined, numbers added up."""
    shape = cut[0].shape
    if len(shape) > 1 and not all(a.flags.c_contiguous for a in cut):
        return function(*cut, *whole)
    if all(a.shape == shape for a in cut) and not any(map(np.ndim, whole)):
        cut = [a.reshape(-1) for a in cut]
    rows = max(1, 2**14 * len(cut[0]) // cut[0].size)
    np.empty(2**18)  # when this is freed, the allocator begins to keep what parts free, and not return it
    results = None
    for i in range(0, len(cut[0]), rows):
        made = function(*[a[i:i + rows] for a in cut], *whole)
        made = made if isinstance(made, tuple) else (made,)
        if results is None:
            results = [np.empty(cut[0].shape, m.dtype) if m.ndim else 0 for m in made]
        for k, m in enumerate(made):
            if m.ndim:
                results[k][i:i + rows] = m
            else:
                results[k] += m
    results = [r.reshape(shape) if r.ndim else r for r in results]
    return results[0] if len(results) == 1 else results
''',
    "adjugate": '''def adjugate(A):
    """det(A) inv(A), which exists where A is singular too: from A = U diag(s) V'."""
    if not np.isfinite(A).all():
        return np.full_like(A, np.nan)
    U, s, Vt = np.linalg.svd(A)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    sign = np.linalg.det(U) * np.linalg.det(Vt)
    return np.swapaxes(U @ ((sign[..., None] * others)[..., None] * Vt), -1, -2)
''',
    "scatter_rows": '''def scatter_rows(rows, ids, size):
    """An array of `size` rows: row v is the sum of the rows with ids == v."""
    total = np.zeros((size,) + rows.shape[ids.ndim:], rows.dtype)
    np.add.at(total, ids, rows)
    return total
''',
    "windows": '''def windows(x, widths, strides, dilations, paddings):
    """The windows of the last axes of x, zeros around it: which window along each, then where in it."""
    axes = len(widths)
    padded = np.pad(x, [(0, 0)] * (x.ndim - axes) + [(p, p) for p in paddings])
    reach = [d * (w - 1) + 1 for w, d in zip(widths, dilations)]
    every = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(-axes, 0)))
    return every[(..., *(slice(None, None, s) for s in (*strides, *dilations)))]
''',
    "overlap_add": '''def overlap_add(parts, sizes, strides, dilations, paddings):
    """The transpose of windows: every window added at its place in axes of these sizes."""
    axes = len(sizes)
    counts, widths = parts.shape[-2 * axes:-axes], parts.shape[-axes:]
    shape = parts.shape[:-2 * axes] + tuple(n + 2 * p for n, p in zip(sizes, paddings))
    total = np.zeros(shape, parts.dtype)
    for place in np.ndindex(*widths):
        along = zip(place, dilations, strides, counts)
        where = (slice(k * d, k * d + s * (c - 1) + 1, s) for k, d, s, c in along)
        total[(..., *where)] += parts[(..., *place)]
    return total[(..., *(slice(p, p + n) for n, p in zip(sizes, paddings)))]
''',
}
# The texts behind each name: helper functions may call others.
BEHIND: Mapping[str, tuple[str, ...]] = {
    **{name: (text,) for name, text in HELPERS.items()},
    "mills_excess": (
        MILLS,
        '''def mills_excess(x):
    """mills(x) + x; below -1.1 by a continued fraction, since the sum cancels there."""
    near = np.asarray(mills(np.maximum(x, -1.1)) + x)
    far = np.asarray(x < -1.1)
    if far.any():
        a = -np.asarray(x)[far]
        b = a + 1 / np.sqrt(a * a + 404)
        rest = 202 / (np.sqrt(b * b + 404) + b)  # about what terms from 101 on make of it
        for k in range(100, 0, -1):
            rest = k / (rest + a)
        near[far] = rest
    return near[()]
''',
    ),
    **LINEAR_ALGEBRA,
    **BLAS,
}
