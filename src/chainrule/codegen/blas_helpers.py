"""Functions above generated NumPy source that call BLAS and LAPACK, by the name of the operation."""

from __future__ import annotations

INVERTED = "a matrix that must be inverted"
NOT_DEFINITE = "is not positive definite up to rounding"
CHOLESKY = f'''def cholesky_factor(A, name="{INVERTED}"):
    """The lower L with L L' = A; of A, which is positive definite, the upper triangle is read."""
    potrf = linalg.lapack.spotrf if A.dtype == np.float32 else linalg.lapack.dpotrf
    L, failed = potrf(A.T, lower=1)
    d = L.diagonal()
    if not failed and (d.dot(d) < np.inf or np.isfinite(d).all()):
        return L
    if failed and np.isfinite(A).all():
        raise np.linalg.LinAlgError(name + " {NOT_DEFINITE}")
    return np.full_like(L, np.nan)
'''
LU = '''def lu_factor(A):
    """The LU factors of A' and their pivots."""
    getrf = linalg.lapack.sgetrf if A.dtype == np.float32 else linalg.lapack.dgetrf
    LU, pivots, failed = getrf(A.T) if len(A) else (A.T, np.arange(0), 0)
    if failed:
        raise np.linalg.LinAlgError("Singular matrix")
    return LU, pivots
'''
BLAS: dict[str, tuple[str, ...]] = {
    "cholesky_factor": (CHOLESKY,),
    "lu_factor": (LU,),
    "cholesky_inv": (
        '''def inv_by_cholesky(L):
    """The inverse of L L', of which LAPACK makes one half."""
    potri = linalg.lapack.spotri if L.dtype == np.float32 else linalg.lapack.dpotri
    half, _ = potri(L, lower=1) if len(L) else (L, 0)
    half.ravel('K')[::len(half) + 1] /= 2
    return half + half.T
''',
    ),
    "cholesky_solve": (
        '''def solve_by_cholesky(L, b):
    """inv(L L') @ b."""
    potrs = linalg.lapack.spotrs if L.dtype == np.float32 else linalg.lapack.dpotrs
    return potrs(L, b, lower=1)[0].reshape(b.shape) if len(L) else 1.0 * b
''',
    ),
    "cholesky_logdet": (
        '''def logdet_by_cholesky(L):
    """log det(L L')."""
    return 2 * np.sum(np.log(np.diagonal(L)))
''',
    ),
    "cholesky_det": (
        '''def det_by_cholesky(L):
    """det(L L')."""
    return np.prod(np.diagonal(L))**2
''',
    ),
    "lu_inv": (
        '''def inv_by_lu(factors):
    """The inverse of the matrix that lu_factor was given."""
    LU, pivots = factors
    getri = linalg.lapack.sgetri if LU.dtype == np.float32 else linalg.lapack.dgetri
    return getri(LU, pivots, lwork=64 * len(LU))[0].T if len(LU) else LU
''',
    ),
    "lu_solve": (
        '''def solve_by_lu(factors, b, trans=1):
    """inv(A) @ b for the matrix A that lu_factor was given, inv(A') @ b with trans=0."""
    LU, pivots = factors
    getrs = linalg.lapack.sgetrs if LU.dtype == np.float32 else linalg.lapack.dgetrs
    return getrs(LU, pivots, b, trans=trans)[0].reshape(b.shape) if len(LU) else 1.0 * b
''',
    ),
    "lu_logdet": (
        '''def logdet_by_lu(factors):
    """log |det A| of the matrix A that lu_factor was given."""
    return np.sum(np.log(np.abs(np.diagonal(factors[0]))))
''',
    ),
    "lu_det": (
        '''def det_by_lu(factors):
    """The determinant of the matrix that lu_factor was given."""
    LU, pivots = factors
    swaps = np.count_nonzero(pivots != np.arange(len(pivots)))
    return np.prod(np.diagonal(LU)) * (-1)**swaps
''',
    ),
    "grams_in_blocks": (
        '''def grams_in_blocks(part, rows, grams, *arrays):
    """The sums over blocks of rows of what part(*arrays) gives: of Z' Z where its number is in grams."""
    sums = {}
    for i in range(0, max(len(arrays[0]), 1), rows):
        for k, t in enumerate(part(*[a[i:i + rows] for a in arrays])):
            if k in grams:
                syrk = linalg.blas.ssyrk if t.dtype == np.float32 else linalg.blas.dsyrk
                s = sums[k] if i else np.zeros((t.shape[1],) * 2, t.dtype, order="F")
                sums[k] = syrk(1, t.T, beta=1, c=s, overwrite_c=True) if len(t) else s
            else:
                sums[k] = sums[k] + t if i else t
    for k in grams:
        for i in range(0, len(sums[k]), 64):
            block = sums[k][i:i + 64, i:i + 64]
            block += np.triu(block, 1).T
            sums[k][i + 64:, i:i + 64] = sums[k][i:i + 64, i + 64:].T
    return [sums[k] for k in sorted(sums)]
''',
    ),
    "add_outer": (
        '''def add_outer(H, a, b):
    """H + outer(a, b), written into H."""
    ger = linalg.blas.sger if H.dtype == np.float32 else linalg.blas.dger
    return ger(1.0, b, a, a=H.T, overwrite_a=1).T if H.size else H
''',
    ),
    "weighted_gram": (
        '''def weighted_gram(X, w):
    """X' diag(w) X; if large, rows of each sign of w apart, as Z' Z, of which BLAS makes one half."""
    if X.shape[1] < 100:
        return X.T * w @ X
    above = w > 0
    P, N = X[above], X[~above]
    P *= np.sqrt(w[above])[:, None]
    N *= np.sqrt(-w[~above])[:, None]
    G = P.T @ P
    G -= N.T @ N
    return G
''',
    ),
}
