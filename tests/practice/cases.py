"""Losses and layers from practice with all their parameters: the formula, and the same in JAX beside it.

`wrt` are the parameters (and inputs, for layers) that it is differentiated by. `second` is False where only
the first order is asked for, and `fixed` gives values that random ones would not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from judged import jax, jnp

nn, sp = jax.nn, jax.scipy
log, exp, relu, sigmoid, softplus, tanh = jnp.log, jnp.exp, nn.relu, nn.sigmoid, nn.softplus, jnp.tanh
inv, logdet = jnp.linalg.inv, lambda x: jnp.linalg.slogdet(x)[1]


def sq(x: Any) -> Any:
    """The sum of squares."""
    return (x**2).sum()


def entropies(z: Any, y: Any) -> Any:
    """The cross entropy of each row."""
    return -(y * nn.log_softmax(z, axis=-1)).sum(-1)


def normalised(x: Any, axis: int = -1) -> Any:
    """Deviations from the mean, over the root of their variance and 1e-5."""
    return (x - x.mean(axis, keepdims=True)) / jnp.sqrt(x.var(axis, keepdims=True) + 1e-5)


def unit(x: Any, axis: int) -> Any:
    """Each row or column divided by its length."""
    return x / jnp.linalg.norm(x, axis=axis, keepdims=True)


def attention(q: Any, k: Any, v: Any, mask: Any = None, bias: Any = 0.0) -> Any:
    """Scaled dot-product attention."""
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
    return nn.softmax(scores, axis=-1, where=None if mask is None else mask != 0) @ v


@dataclass(frozen=True)
class Case:
    """One loss or layer."""

    name: str
    formula: str
    shapes: str
    wrt: str
    judge: Callable[..., Any]
    second: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)


RISK = np.tril(np.ones((4, 4)))
ONE_HOT = np.eye(3)[[0, 2, 1, 2]]
CASES = [
    # ------------------------------------------------------------ regression
    Case(
        "linear regression",
        "mse(X @ w + b, y)",
        "X[N,n] w[n] b y[N]",
        "w b",
        lambda X, w, b, y: ((X @ w + b - y) ** 2).mean(),
    ),
    Case(
        "weighted least squares",
        "sum(c * (X @ w - y)**2)",
        "X[N,n] w[n] y[N] c[N]:positive",
        "w c",
        lambda X, w, y, c: (c * (X @ w - y) ** 2).sum(),
    ),
    Case(
        "ridge regression",
        "mse(X @ w + b, y) + lam * norm(w)**2",
        "X[N,n] w[n] b y[N] lam:positive",
        "w b lam",
        lambda X, w, b, y, lam: ((X @ w + b - y) ** 2).mean() + lam * sq(w),
    ),
    Case(
        "lasso",
        "sum((X @ w - y)**2)/(2*N) + lam * norm1(w)",
        "X[N,n] w[n] y[N] lam:positive",
        "w lam",
        lambda X, w, y, lam: sq(X @ w - y) / 8 + lam * jnp.abs(w).sum(),
    ),
    Case(
        "elastic net",
        "mse(X @ w, y) + lam * (a * norm1(w) + (1 - a)/2 * norm(w)**2)",
        "X[N,n] w[n] y[N] lam:positive a:probability",
        "w lam a",
        lambda X, w, y, lam, a: (
            ((X @ w - y) ** 2).mean() + lam * (a * jnp.abs(w).sum() + (1 - a) / 2 * sq(w))
        ),
    ),
    Case(
        "Huber regression",
        "mean(huber(y - X @ w, delta))",
        "X[N,n] w[n] y[N] delta:positive",
        "w delta",
        lambda X, w, y, delta: huber(y - X @ w, delta).mean(),
    ),
    Case(
        "quantile regression",
        "mean(pinball(y - X @ w - b, tau))",
        "X[N,n] w[n] b y[N] tau:probability",
        "w b tau",
        lambda X, w, b, y, tau: jnp.maximum(tau * (y - X @ w - b), (tau - 1) * (y - X @ w - b)).mean(),
    ),
    Case(
        "Student-t regression",
        "sum((nu + 1)/2 * log(1 + (y - X @ w)**2/(nu*s**2))) + N*log(s)",
        "X[N,n] w[n] y[N] nu:positive s:positive",
        "w nu s",
        lambda X, w, y, nu, s: ((nu + 1) / 2 * log(1 + (y - X @ w) ** 2 / (nu * s**2))).sum() + 4 * log(s),
    ),
    Case(
        "heteroscedastic regression",
        "gaussian_nll(X @ w, y, exp(X @ v))",
        "X[N,n] w[n] v[n] y[N]",
        "w v",
        lambda X, w, v, y: (0.5 * (X @ v + (y - X @ w) ** 2 / exp(X @ v))).mean(),
    ),
    Case(
        "Poisson regression",
        "poisson_nll(X @ w + b, y)",
        "X[N,n] w[n] b y[N]:integer",
        "w b",
        lambda X, w, b, y: (exp(X @ w + b) - y * (X @ w + b)).mean(),
    ),
    Case(
        "gamma regression",
        "sum(y * exp(-X @ w) + X @ w)",
        "X[N,n] w[n] y[N]:positive",
        "w",
        lambda X, w, y: (y * exp(-X @ w) + X @ w).sum(),
    ),
    Case(
        "kernel ridge regression",
        "K = exp(-g * D); sum((y - K @ a)**2) + lam * a @ K @ a",
        "D[N,N] a[N] y[N] g:positive lam:positive",
        "a g lam",
        lambda D, a, y, g, lam: sq(y - exp(-g * D) @ a) + lam * a @ exp(-g * D) @ a,
    ),
    Case(
        "Gaussian process",
        "K = s*exp(-D/(2*l**2)) + v*eye(N); y @ inv(K) @ y/2 + logdet(K)/2",
        "D[N,N]:symmetric y[N] s:positive l:positive v:positive",
        "y s l v",
        lambda D, y, s, l, v: gp(s * exp(-D / (2 * l**2)) + v * jnp.eye(4), y),  # noqa: E741
        fixed={"D": np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0))) ** 1.5},
    ),
    # ------------------------------------------------------------ classification
    Case(
        "logistic regression",
        "bce_with_logits(X @ w + b, y)",
        "X[N,n] w[n] b y[N]:probability",
        "w b",
        lambda X, w, b, y: (softplus(X @ w + b) - y * (X @ w + b)).mean(),
    ),
    Case(
        "logistic regression, labels ±1",
        "sum(softplus(-y * (X @ w)))",
        "X[N,n] w[n] y[N]:sign",
        "w X",
        lambda X, w, y: softplus(-y * (X @ w)).sum(),
    ),
    Case(
        "softmax regression",
        "cross_entropy(X @ W + b, Y)",
        "X[N,n] W[n,k] b[k] Y[N,k]",
        "W b",
        lambda X, W, b, Y: entropies(X @ W + b, Y).mean(),
        fixed={"Y": ONE_HOT},
    ),
    Case(
        "cross entropy of integer labels",
        "cross_entropy(X @ W, y)",
        "X[N,n] W[n,k] y[N]:integer(k)",
        "W X",
        lambda X, W, y: entropies(X @ W, nn.one_hot(y, 3)).mean(),
        fixed={"y": [0, 2, 1, 2]},
    ),
    Case(
        "label smoothing",
        "cross_entropy(Z, Y, label_smoothing=0.1)",
        "Z[N,k] Y[N,k]",
        "Z",
        lambda Z, Y: entropies(Z, 0.9 * Y + 0.1 / 3).mean(),
        fixed={"Y": ONE_HOT},
    ),
    Case(
        "probit regression",
        "-sum(lognormcdf(y * (X @ w)))",
        "X[N,n] w[n] y[N]:sign",
        "w",
        lambda X, w, y: -sp.stats.norm.logcdf(y * (X @ w)).sum(),
    ),
    Case(
        "support vector machine",
        "lam/2 * w @ w + hinge_loss(X @ w + b, y)",
        "X[N,n] w[n] b y[N]:sign lam:positive",
        "w b lam",
        lambda X, w, b, y, lam: lam / 2 * sq(w) + relu(1 - y * (X @ w + b)).mean(),
    ),
    Case(
        "squared hinge",
        "mean(hinge(y * (X @ w))**2)",
        "X[N,n] w[n] y[N]:sign",
        "w",
        lambda X, w, y: (relu(1 - y * (X @ w)) ** 2).mean(),
    ),
    Case(
        "multiclass hinge",
        "mean(max(Z - Y + 1, axis=1) - sum(Y * Z, axis=1))",
        "Z[N,k] Y[N,k]",
        "Z",
        lambda Z, Y: ((Z - Y + 1).max(1) - (Y * Z).sum(1)).mean(),
        fixed={"Y": ONE_HOT},
    ),
    Case(
        "focal loss",
        "p = sigmoid(z); -mean(y*(1 - p)**g*log(p) + (1 - y)*p**g*log(1 - p))",
        "z[N] y[N]:probability g:positive",
        "z g",
        lambda z, y, g: (
            -(
                y * sigmoid(-z) ** g * nn.log_sigmoid(z) + (1 - y) * sigmoid(z) ** g * nn.log_sigmoid(-z)
            ).mean()
        ),
    ),
    Case(
        "Dice loss",
        "p = sigmoid(z); 1 - (2*sum(p*y) + s)/(sum(p) + sum(y) + s)",
        "z[N] y[N]:probability s:positive",
        "z s",
        lambda z, y, s: 1 - (2 * (sigmoid(z) * y).sum() + s) / (sigmoid(z).sum() + y.sum() + s),
    ),
    Case(
        "Jaccard loss",
        "p = sigmoid(z); 1 - sum(p*y)/(sum(p) + sum(y) - sum(p*y))",
        "z[N] y[N]:probability",
        "z",
        lambda z, y: 1 - (sigmoid(z) @ y) / (sigmoid(z).sum() + y.sum() - sigmoid(z) @ y),
    ),
    Case(
        "Tversky loss",
        "p = sigmoid(z); 1 - sum(p*y)/(sum(p*y) + a*sum(p*(1 - y)) + b*sum((1 - p)*y))",
        "z[N] y[N]:probability a:positive b:positive",
        "z a b",
        lambda z, y, a, b: (
            1 - (sigmoid(z) @ y) / (sigmoid(z) @ y + a * sigmoid(z) @ (1 - y) + b * sigmoid(-z) @ y)
        ),
    ),
    Case(
        "distillation",
        "T**2 * sum(kl(softmax(Y/T), softmax(Z/T)))/N",
        "Y[N,k] Z[N,k] T:positive",
        "Z Y T",
        lambda Y, Z, T: (
            T**2 * (nn.softmax(Y / T) * (nn.log_softmax(Y / T) - nn.log_softmax(Z / T))).sum() / 4
        ),
    ),
    Case(
        "Jensen-Shannon divergence",
        "p = softmax(a); q = softmax(b); (kl(p, (p + q)/2) + kl(q, (p + q)/2))/2",
        "a[k] b[k]",
        "a b",
        lambda a, b: jensen_shannon(nn.softmax(a), nn.softmax(b)),
    ),
    Case(
        "margin softmax",
        "cross_entropy(s*(unit(X, axis=1) @ unit(W, axis=0) - m*Y), Y)",
        "X[N,n] W[n,k] Y[N,k] s:positive m",
        "X W s m",
        lambda X, W, Y, s, m: entropies(s * (unit(X, 1) @ unit(W, 0) - m * Y), Y).mean(),
        fixed={"Y": ONE_HOT},
    ),
    # ------------------------------------------------------------ survival, ranking, decisions
    Case(
        "Cox partial likelihood",
        "-sum(c * (X @ w - log(R @ exp(X @ w))))",
        "X[N,n] w[n] c[N]:probability R[N,N]",
        "w",
        lambda X, w, c, R: -(c * (X @ w - log(R @ exp(X @ w)))).sum(),
        fixed={"R": RISK},
    ),
    Case(
        "Weibull survival",
        "sum((t/s)**k - c*(log(k) + (k - 1)*log(t) - k*log(s)))",
        "t[N]:positive c[N]:probability k:positive s:positive",
        "k s",
        lambda t, c, k, s: ((t / s) ** k - c * (log(k) + (k - 1) * log(t) - k * log(s))).sum(),
    ),
    Case(
        "Bradley-Terry",
        "-sum(logsigmoid(D @ s))",
        "D[N,n] s[n]",
        "s",
        lambda D, s: -nn.log_sigmoid(D @ s).sum(),
    ),
    Case(
        "Plackett-Luce",
        "sum(log(R @ exp(s)) - s)",
        "R[N,N] s[N]",
        "s",
        lambda R, s: (log(R @ exp(s)) - s).sum(),
        fixed={"R": RISK.T},
    ),
    Case(
        "direct preference optimisation",
        "-mean(logsigmoid(beta*((p - p0) - (q - q0))))",
        "p[N] q[N] p0[N] q0[N] beta:positive",
        "p q beta",
        lambda p, q, p0, q0, beta: -nn.log_sigmoid(beta * (p - p0 - q + q0)).mean(),
    ),
    Case(
        "proximal policy optimisation",
        "r = exp(p - q); -mean(minimum(r*A, clip(r, 0.8, 1.2)*A))",
        "p[N] q[N] A[N]",
        "p",
        lambda p, q, A: ppo(exp(p - q), A),
    ),
    Case(
        "policy gradient with entropy",
        "p = softmax(Z); -sum(R*Y*log_softmax(Z)) + beta*sum(p*log(p))",
        "Z[N,k] Y[N,k] R[N,k] beta",
        "Z beta",
        lambda Z, Y, R, beta: (
            -(R * Y * nn.log_softmax(Z)).sum() + beta * (nn.softmax(Z) * nn.log_softmax(Z)).sum()
        ),
    ),
    Case(
        "Sharpe ratio",
        "-mean(R @ w)/std(R @ w, ddof=1)",
        "R[N,n] w[n]",
        "w",
        lambda R, w: -(R @ w).mean() / (R @ w).std(ddof=1),
    ),
    Case(
        "mean-variance portfolio",
        "g/2 * w @ S @ w - m @ w",
        "S[n,n]:spd m[n] w[n] g:positive",
        "w m g",
        lambda S, m, w, g: g / 2 * w @ S @ w - m @ w,
    ),
    Case(
        "conditional value at risk",
        "a + mean(relu(L @ w - a))/(1 - q)",
        "L[N,n] w[n] a q:probability",
        "w a q",
        lambda L, w, a, q: a + relu(L @ w - a).mean() / (1 - q),
    ),
    # ------------------------------------------------------------ latent variables
    Case(
        "factor analysis",
        "S = W @ W.T + diag(psi); N/2*(logdet(S) + tr(inv(S) @ C))",
        "W[n,k] psi[n]:positive C[n,n]:spd N",
        "W psi",
        lambda W, psi, C, N: likelihood(W @ W.T + jnp.diag(psi), C, N),
    ),
    Case(
        "probabilistic PCA",
        "S = W @ W.T + s*eye(n); logdet(S) + tr(solve(S, C))",
        "W[n,k] s:positive C[n,n]:spd",
        "W s",
        lambda W, s, C: 2 * likelihood(W @ W.T + s * jnp.eye(3), C, 1),
    ),
    Case(
        "PCA by reconstruction",
        "norm(X - X @ W @ W.T)**2",
        "X[N,n] W[n,k]",
        "W X",
        lambda X, W: sq(X - X @ W @ W.T),
    ),
    Case(
        "matrix factorisation",
        "sum(M*(R - U @ V.T)**2) + lam*(norm(U)**2 + norm(V)**2)",
        "M[N,n]:probability R[N,n] U[N,k] V[n,k] lam",
        "U V lam",
        lambda M, R, U, V, lam: (M * (R - U @ V.T) ** 2).sum() + lam * (sq(U) + sq(V)),
    ),
    Case(
        "matrix factorisation with biases",
        "sum((R - U @ V.T - a[:, None] - b[None, :] - c)**2)",
        "R[N,n] U[N,k] V[n,k] a[N] b[n] c",
        "U V a b c",
        lambda R, U, V, a, b, c: sq(R - U @ V.T - a[:, None] - b[None, :] - c),
    ),
    Case(
        "non-negative factorisation",
        "sum(W @ H - V*log(W @ H))",
        "W[N,k]:positive H[k,n]:positive V[N,n]:positive",
        "W H",
        lambda W, H, V: (W @ H - V * log(W @ H)).sum(),
    ),
    Case(
        "GloVe",
        "sum(F*(W @ C.T + b[:, None] + c[None, :] - log(X))**2)",
        "F[N,n]:positive X[N,n]:positive W[N,k] C[n,k] b[N] c[n]",
        "W C b c",
        lambda F, X, W, C, b, c: (F * (W @ C.T + b[:, None] + c[None, :] - log(X)) ** 2).sum(),
    ),
    Case(
        "word2vec",
        "-logsigmoid(u @ v) - sum(logsigmoid(-M @ v))",
        "u[n] v[n] M[k,n]",
        "u v M",
        lambda u, v, M: -nn.log_sigmoid(u @ v) - nn.log_sigmoid(-M @ v).sum(),
    ),
    Case(
        "variational autoencoder",
        "z = m + exp(s/2)*e; bce_with_logits(W @ z + c, x, reduction='sum') + kl_normal(m, exp(s))",
        "m[k] s[k] e[k] W[n,k] c[n] x[n]:probability",
        "m s W c",
        lambda m, s, e, W, c, x: elbo(m, s, W @ (m + exp(s / 2) * e) + c, x),
    ),
    Case(
        "Gaussian mixture",
        "d = (x[:, None] - m[None, :])**2;"
        " -sum(logsumexp(log_softmax(a) - d/(2*v[None, :]) - log(v[None, :])/2, axis=1))",
        "x[N] a[k] m[k] v[k]:positive",
        "a m v",
        lambda x, a, m, v: (
            -sp.special.logsumexp(
                nn.log_softmax(a) - (x[:, None] - m) ** 2 / (2 * v) - log(v) / 2, axis=1
            ).sum()
        ),
    ),
    Case(
        "Kalman innovation",
        "S = H @ P @ H.T + R; r = y - H @ x; logdet(S)/2 + r @ inv(S) @ r/2",
        "H[k,n] P[n,n]:spd R[k,k]:spd x[n] y[k]",
        "H x P R",
        lambda H, P, R, x, y: gp(H @ P @ H.T + R, y - H @ x),
    ),
    Case(
        "independent components",
        "sum(log(cosh(X @ W))) - N*logdet(W)",
        "X[N,n] W[n,n]",
        "W",
        lambda X, W: log(jnp.cosh(X @ W)).sum() - 4 * logdet(W),
    ),
    Case(
        "Boltzmann machine",
        "-b @ v - sum(softplus(W @ v + c))",
        "b[n] v[n] W[k,n] c[k]",
        "b v W c",
        lambda b, v, W, c: -b @ v - softplus(W @ v + c).sum(),
    ),
    Case(
        "planar flow",
        "h = tanh(w @ z + b); sum((z + u*h)**2)/2 - log(abs(1 + (u @ w)*(1 - h**2)))",
        "z[n] u[n] w[n] b",
        "z u w b",
        lambda z, u, w, b: (
            sq(z + u * tanh(w @ z + b)) / 2 - log(jnp.abs(1 + (u @ w) * (1 - tanh(w @ z + b) ** 2)))
        ),
    ),
    Case(
        "Fisher discriminant",
        "-(w @ m)**2/(w @ S @ w)",
        "w[n] m[n] S[n,n]:spd",
        "w m S",
        lambda w, m, S: -((w @ m) ** 2) / (w @ S @ w),
    ),
    Case(
        "t-SNE",
        "D = sum((Z[:, None, :] - Z[None, :, :])**2, axis=2); Q = 1/(1 + D); sum(P*D) + log(sum(Q) - N)",
        "Z[N,n] P[N,N]:positive",
        "Z",
        lambda Z, P: tsne(((Z[:, None] - Z[None]) ** 2).sum(2), P),
    ),
    # ------------------------------------------------------------ similarity
    Case(
        "InfoNCE",
        "cross_entropy(unit(X, axis=1) @ unit(Y, axis=1).T/tau, eye(N))",
        "X[N,n] Y[N,n] tau:positive",
        "X Y tau",
        lambda X, Y, tau: entropies(unit(X, 1) @ unit(Y, 1).T / tau, jnp.eye(4)).mean(),
    ),
    Case(
        "triplet loss",
        "mean(relu(sum((A - P)**2, axis=1) - sum((A - M)**2, axis=1) + m))",
        "A[N,n] P[N,n] M[N,n] m",
        "A P M m",
        lambda A, P, M, m: relu(((A - P) ** 2).sum(1) - ((A - M) ** 2).sum(1) + m).mean(),
    ),
    Case(
        "contrastive loss",
        "d = norm(A - B, axis=1); mean(y*d**2 + (1 - y)*relu(m - d)**2)",
        "A[N,n] B[N,n] y[N]:probability m:positive",
        "A B m",
        lambda A, B, y, m: contrast(jnp.linalg.norm(A - B, axis=1), y, m),
    ),
    Case(
        "cosine embedding",
        "mean(1 - sum(unit(A, axis=1)*unit(B, axis=1), axis=1))",
        "A[N,n] B[N,n]",
        "A B",
        lambda A, B: (1 - (unit(A, 1) * unit(B, 1)).sum(1)).mean(),
    ),
    Case(
        "Barlow twins",
        "C = unit(A, axis=0).T @ unit(B, axis=0); sum((diag(C) - 1)**2) + lam*(norm(C)**2 - sum(diag(C)**2))",
        "A[N,n] B[N,n] lam",
        "A B lam",
        lambda A, B, lam: twins(unit(A, 0).T @ unit(B, 0), lam),
    ),
    Case(
        "graph smoothing",
        "tr(F.T @ L @ F) + lam*norm(F - Y)**2",
        "F[N,k] L[N,N]:symmetric Y[N,k] lam",
        "F lam",
        lambda F, L, Y, lam: jnp.trace(F.T @ L @ F) + lam * sq(F - Y),
    ),
    Case(
        "factorisation machine",
        "bce_with_logits(X @ w + sum((X @ V)**2 - X**2 @ V**2, axis=1)/2 + b, y)",
        "X[N,n] w[n] V[n,k] b y[N]:probability",
        "w V b",
        lambda X, w, V, b, y: bce(X @ w + ((X @ V) ** 2 - X**2 @ V**2).sum(1) / 2 + b, y),
    ),
    # ------------------------------------------------------------ layers
    Case(
        "multi-layer perceptron",
        "Z = relu(X @ W1 + b1); cross_entropy(Z @ W2 + b2, Y)",
        "X[N,n] W1[n,h] b1[h] W2[h,k] b2[k] Y[N,k]",
        "W1 b1 W2 b2",
        lambda X, W1, b1, W2, b2, Y: entropies(relu(X @ W1 + b1) @ W2 + b2, Y).mean(),
        fixed={"Y": ONE_HOT},
    ),
    Case(
        "deep regression",
        "h1 = tanh(W1 @ x + b1); h2 = gelu(W2 @ h1 + b2); (w @ h2 - y)**2",
        "x[n] W1[h,n] b1[h] W2[h,h] b2[h] w[h] y",
        "W1 b1 W2 b2 w",
        lambda x, W1, b1, W2, b2, w, y: (
            (w @ nn.gelu(W2 @ tanh(W1 @ x + b1) + b2, approximate=False) - y) ** 2
        ),
    ),
    Case(
        "autoencoder, tied weights",
        "norm(X - sigmoid(X @ W + b) @ W.T - c)**2",
        "X[N,n] W[n,k] b[k] c[n]",
        "W b c",
        lambda X, W, b, c: sq(X - sigmoid(X @ W + b) @ W.T - c),
    ),
    Case(
        "graph convolution",
        "cross_entropy(A @ relu(A @ X @ W1) @ W2, Y)",
        "A[N,N] X[N,n] W1[n,h] W2[h,k] Y[N,k]",
        "W1 W2",
        lambda A, X, W1, W2, Y: entropies(A @ relu(A @ X @ W1) @ W2, Y).mean(),
        fixed={"Y": ONE_HOT},
    ),
    Case(
        "layer normalisation",
        "layernorm(X, g, b)",
        "X[N,n] g[n] b[n]",
        "X g b",
        lambda X, g, b: g * normalised(X) + b,
    ),
    Case(
        "loss of a layer normalisation",
        "sum(G*layernorm(X, g, b)**2)",
        "G[N,n] X[N,n] g[n] b[n]",
        "X g b",
        lambda G, X, g, b: (G * (g * normalised(X) + b) ** 2).sum(),
    ),
    Case(
        "batch normalisation",
        "sum(G*relu(batchnorm(X @ W, g, b)))",
        "G[N,k] X[N,n] W[n,k] g[k] b[k]",
        "W g b",
        lambda G, X, W, g, b: (G * relu(g * normalised(X @ W, 0) + b)).sum(),
    ),
    Case(
        "root mean square normalisation",
        "sum(G*rmsnorm(X, g, eps=e)**2)",
        "G[N,n] X[N,n] g[n] e:positive",
        "X g e",
        lambda G, X, g, e: (G * (g * X / jnp.sqrt((X**2).mean(1, keepdims=True) + e)) ** 2).sum(),
    ),
    Case(
        "residual block",
        "norm(layernorm(X + relu(X @ W1 + b) @ W2) - Y)**2",
        "X[N,n] W1[n,h] b[h] W2[h,n] Y[N,n]",
        "W1 b W2",
        lambda X, W1, b, W2, Y: sq(normalised(X + relu(X @ W1 + b) @ W2) - Y),
    ),
    Case(
        "SwiGLU",
        "(silu(X @ A)*(X @ B)) @ C",
        "X[N,n] A[n,h] B[n,h] C[h,n]",
        "X A B C",
        lambda X, A, B, C: (nn.silu(X @ A) * (X @ B)) @ C,
    ),
    Case(
        "attention",
        "attention(X @ A, X @ B, X @ C)",
        "X[N,n] A[n,d] B[n,d] C[n,k]",
        "X A B C",
        lambda X, A, B, C: attention(X @ A, X @ B, X @ C),
    ),
    Case(
        "loss of an attention head",
        "sum((attention(Q, K, V) - Y)**2)",
        "Q[N,d] K[M,d] V[M,k] Y[N,k]",
        "Q K V",
        lambda Q, K, V, Y: sq(attention(Q, K, V) - Y),
    ),
    Case(
        "causal attention",
        "sum(G*attention(Q, K, V, tri(N)))",
        "G[N,k] Q[N,d] K[N,d] V[N,k]",
        "Q K V",
        lambda G, Q, K, V: (G * attention(Q, K, V, jnp.tril(jnp.ones((4, 4))))).sum(),
    ),
    Case(
        "attention with a mask that is added",
        "sum(G*attention(Q, K, V, M)**2)",
        "G[N,k] Q[N,d] K[m,d] V[m,k] M[N,m]",
        "Q K V M",
        lambda G, Q, K, V, M: (G * attention(Q, K, V, bias=M) ** 2).sum(),
    ),
    Case(
        "attention with bias and mask, two heads",
        "sum(G*attention(Q, K, V, mask=M, bias=B)**2)",
        "G[2,N,k] Q[2,N,d] K[2,N,d] V[2,N,k] M[N,N]:integer(2) B[2,N,N]",
        "Q K V B",
        lambda G, Q, K, V, M, B: (G * attention(Q, K, V, M, B) ** 2).sum(),
        fixed={"M": RISK},
    ),
    Case(
        "bilinear layer",
        "sum((bilinear(X, W, Y, b) - T)**2)",
        "X[N,n] W[k,n,m] Y[N,m] b[k] T[N,k]",
        "X W Y b",
        lambda X, W, Y, b, T: sq(jnp.einsum("ni,kij,nj->nk", X, W, Y) + b - T),
    ),
    Case(
        "dropout",
        "mse(dropout(relu(X @ W), M, 0.25) @ v, y)",
        "X[N,n] W[n,h] M[N,h] v[h] y[N]",
        "W v",
        lambda X, W, M, v, y: (((relu(X @ W) * M / 0.75) @ v - y) ** 2).mean(),
        fixed={"M": (np.arange(12) % 4 > 0).reshape(4, 3) * 1.0},
    ),
    Case(
        "recurrent step",
        "sum(g*tanh(W @ h + U @ x + b))",
        "g[k] W[k,k] U[k,n] h[k] x[n] b[k]",
        "W U h x b",
        lambda g, W, U, h, x, b: (g * tanh(W @ h + U @ x + b)).sum(),
    ),
    Case(
        "GRU step",
        "z = sigmoid(A @ x + B @ h); r = sigmoid(C @ x + D @ h);"
        " sum(g*((1 - z)*h + z*tanh(E @ x + F @ (r*h))))",
        "x[n] h[k] A[k,n] B[k,k] C[k,n] D[k,k] E[k,n] F[k,k] g[k]",
        "h x A B D F",
        lambda x, h, A, B, C, D, E, F, g: (
            g * gru(sigmoid(A @ x + B @ h), sigmoid(C @ x + D @ h), x, h, E, F)
        ).sum(),
    ),
    Case(
        "LSTM step",
        "i = sigmoid(A @ x + B @ h); f = sigmoid(C @ x + D @ h); o = sigmoid(E @ x + F @ h);"
        " s = f*c + i*tanh(P @ x + Q @ h); sum(g*o*tanh(s))",
        "x[n] h[k] c[k] A[k,n] B[k,k] C[k,n] D[k,k] E[k,n] F[k,k] P[k,n] Q[k,k] g[k]",
        "h c x A D Q",
        lambda x, h, c, A, B, C, D, E, F, P, Q, g: (
            g
            * sigmoid(E @ x + F @ h)
            * tanh(sigmoid(C @ x + D @ h) * c + sigmoid(A @ x + B @ h) * tanh(P @ x + Q @ h))
        ).sum(),
    ),
    Case(
        "associative memory",
        "x @ x/2 - logsumexp(beta*(M @ x))/beta",
        "x[n] M[k,n] beta:positive",
        "x M beta",
        lambda x, M, beta: sq(x) / 2 - sp.special.logsumexp(beta * M @ x) / beta,
    ),
    # ------------------------------------------------------------ convolution, pooling, sequences, labels
    Case(
        "convolution of a signal",
        "sum(g*relu(conv1d(x, k) + b))",
        "g[4] x[6] k[3] b",
        "x k b",
        lambda g, x, k, b: (g * relu(conv(x[None, None], k[None, None])[0, 0] + b)).sum(),
    ),
    Case(
        "convolution in one dimension, stride and padding",
        "sum(G*(conv1d(X, K, stride=2, padding=1) + b[None, :, None])**2)",
        "G[2,2,3] X[2,2,5] K[2,2,3] b[2]",
        "X K b",
        lambda G, X, K, b: (G * (conv(X, K, 2, 1) + b[None, :, None]) ** 2).sum(),
    ),
    Case(
        "convolution in two dimensions, padding",
        "sum(G*tanh(conv2d(X, K, padding=1) + b[:, None, None]))",
        "G[2,3,3] X[2,3,3] K[2,2,3,3] b[2]",
        "X K b",
        lambda G, X, K, b: (G * tanh(conv(X[None], K, 1, 1)[0] + b[:, None, None])).sum(),
    ),
    Case(
        "convolutional classifier",
        "Z = max_pool2d(relu(conv2d(X, K) + b[:, None, None]), 2); cross_entropy(W @ flatten(Z) + c, y)",
        "X[1,5,5] K[2,1,2,2] b[2] W[k,8] c[k] y:integer(k)",
        "K b W c",
        lambda X, K, b, W, c, y: entropies(
            W @ pool(relu(conv(X[None], K)[0] + b[:, None, None]), (2, 2), True).ravel() + c,
            nn.one_hot(y, 3),
        ),
        second=False,
        fixed={"y": 1},
    ),
    Case(
        "average pooling of squares",
        "sum(g*sqrt(avg_pool1d(x**2, 2) + e))",
        "g[3] x[6] e:positive",
        "x e",
        lambda g, x, e: (g * jnp.sqrt(pool(x**2, (2,), False) + e)).sum(),
    ),
    Case(
        "strided convolution against a target, two dimensions",
        "mse(conv2d(X, K, stride=2), Y)",
        "X[2,5,5] K[2,2,3,3] Y[2,2,2]",
        "X K",
        lambda X, K, Y: ((conv(X[None], K, 2)[0] - Y) ** 2).mean(),
    ),
    Case(
        "recurrent network over a sequence",
        "h = scan(h = tanh(W @ h + U @ x[t] + b), h0, t = 0:3); sum((V @ h - y)**2)",
        "W[m,m] U[m,n] x[3,n] b[m] h0[m] V[k,m] y[k]",
        "W U b h0 V",
        lambda W, U, x, b, h0, V, y: sq(V @ reduce(lambda h, a: tanh(W @ h + U @ a + b), x, h0) - y),
        second=False,
    ),
    Case(
        "linear recurrence, Hessian",
        "h = scan(h = a*h + b*x[t], h0, t = 0:3); (c*h - y)**2",
        "a b x[3] h0 c y",
        "a b c h0",
        lambda a, b, x, h0, c, y: (c * (a**3 * h0 + b * (a**2 * x[0] + a * x[1] + x[2])) - y) ** 2,
    ),
    Case(
        "language model",
        "Z = scan_all(h = rnn_step(E[w[t]], h, W, U, b), zeros(n), t = 0:3) @ V; cross_entropy(Z, c)",
        "E[k,n] w[3]:integer(k) W[n,n] U[n,n] b[n] V[n,k] c[3]:integer(k)",
        "E W U b V",
        lambda E, w, W, U, b, V, c: entropies(
            states(lambda h, a: tanh(W @ a + U @ h + b), E[w.astype(int)], jnp.zeros(3)) @ V,
            nn.one_hot(c, 3),
        ).mean(),
        second=False,
        fixed={"w": [2, 0, 1], "c": [0, 1, 1]},
    ),
    Case(
        "recurrent unit with all its weights",
        "sum(g*rnn_step(x, h, W, U, b)**2)",
        "g[k] x[n] h[k] W[k,n] U[k,k] b[k]",
        "x h W U b",
        lambda g, x, h, W, U, b: (g * tanh(W @ x + U @ h + b) ** 2).sum(),
    ),
    Case(
        "long short-term memory with all its weights",
        "s = lstm_step(x, h, c, W, U, b); sum(g*s[0]) + sum(s[1]**2)",
        "g[2] x[2] h[2] c[2] W[8,2] U[8,2] b[8]",
        "x h c W U b",
        lambda g, x, h, c, W, U, b: lstm(W @ x + U @ h + b, c, g),
        second=False,
    ),
    Case(
        "long short-term memory, Hessian by the state",
        "s = lstm_step(x, h, c, W, U, b); sum(g*s[0] + s[1]**2)",
        "g[2] x[2] h[2] c[2] W[8,2] U[8,2] b[8]",
        "h c",
        lambda g, x, h, c, W, U, b: lstm(W @ x + U @ h + b, c, g),
    ),
    Case(
        "gated recurrent unit with all its weights",
        "sum(g*gru_step(x, h, W, U, b, c))",
        "g[2] x[2] h[2] W[6,2] U[6,2] b[6] c[6]",
        "x h W U b c",
        lambda g, x, h, W, U, b, c: (g * gated(W @ x + b, U @ h + c, h)).sum(),
        second=False,
    ),
    Case(
        "gated recurrent unit, Hessian by the state and a bias of the state",
        "g @ gru_step(x, h, W, U, b, c)",
        "g[2] x[2] h[2] W[6,2] U[6,2] b[6] c[6]",
        "h c",
        lambda g, x, h, W, U, b, c: (g * gated(W @ x + b, U @ h + c, h)).sum(),
    ),
    Case(
        "embedding, mean of words",
        "cross_entropy(mean(E[w], axis=0) @ W + b, y)",
        "E[k,n] w[N]:integer(k) W[n,k] b[k] y:integer(k)",
        "E W b",
        lambda E, w, W, b, y: entropies(E[w.astype(int)].mean(0) @ W + b, nn.one_hot(y, 3)),
        fixed={"w": [2, 0, 2, 1], "y": 2},
    ),
    Case(
        "softmax regression with whole numbers and a bias",
        "cross_entropy(X @ W + b, y, label_smoothing=e)",
        "X[N,n] W[n,k] b[k] y[N]:integer(k) e:probability",
        "W b e",
        lambda X, W, b, y, e: entropies(X @ W + b, (1 - e) * nn.one_hot(y, 3) + e / 3).mean(),
        fixed={"y": [0, 2, 1, 2]},
    ),
    Case(
        "negative log-likelihood of picked entries",
        "mean(logsumexp(Z, axis=1) - pick(Z, c)) where Z = relu(X @ V + a) @ W",
        "X[N,n] V[n,h] a[h] W[h,k] c[N]:integer(k)",
        "V a W",
        lambda X, V, a, W, c: entropies(relu(X @ V + a) @ W, nn.one_hot(c, 3)).mean(),
        fixed={"c": [1, 1, 0, 2]},
    ),
    Case(
        "multi-class hinge by whole numbers",
        "mean(sum(relu(1 + Z - pick(Z, y)[:, None]), axis=1) - 1)",
        "Z[N,k] y[N]:integer(k)",
        "Z",
        lambda Z, y: (relu(1 + Z - (Z * nn.one_hot(y, 3)).sum(1, keepdims=True)).sum(1) - 1).mean(),
        fixed={"y": [0, 2, 1, 2]},
    ),
]


def conv(x: Any, k: Any, stride: int = 1, padding: int = 0) -> Any:
    """Cross-correlation of N C ... with O C ... arrays."""
    axes = k.ndim - 2
    return jax.lax.conv_general_dilated(x, k, (stride,) * axes, [(padding, padding)] * axes)


def pool(x: Any, width: tuple[int, ...], largest: bool) -> Any:
    """The largest entry or the mean of windows side by side in the last axes."""
    lead = x.ndim - len(width)
    for a, w in enumerate(width, lead):
        n = x.shape[a] // w
        x = jnp.moveaxis(x, a, -1)[..., : n * w].reshape(*np.delete(x.shape, a), n, w)
        x = jnp.moveaxis(x.max(-1) if largest else x.mean(-1), -1, a)
    return x


def states(step: Callable[..., Any], inputs: Any, h: Any) -> Any:
    """The states that a step goes through, one below the other."""
    found = []
    for given in inputs:
        h = step(h, given)
        found.append(h)
    return jnp.stack(found)


def lstm(z: Any, c: Any, g: Any) -> Any:
    """g · h and the squared length of c, for the next state of an LSTM with gates i, f, g, o."""
    i, f, n, o = z.reshape(4, -1)
    cell = sigmoid(f) * c + sigmoid(i) * tanh(n)
    return (g * sigmoid(o) * tanh(cell)).sum() + sq(cell)


def gated(given: Any, known: Any, h: Any) -> Any:
    """The next state of a GRU, from what the input and what the state give to its gates r, u, n."""
    (a, b, c), (r, u, n) = given.reshape(3, -1), known.reshape(3, -1)
    update = sigmoid(b + u)
    return (1 - update) * tanh(c + sigmoid(a + r) * n) + update * h


def huber(r: Any, delta: Any) -> Any:
    """The Huber loss by its two cases."""
    return jnp.where(jnp.abs(r) <= delta, r**2 / 2, delta * (jnp.abs(r) - delta / 2))


def gp(K: Any, y: Any) -> Any:
    """Half of yᵀK⁻¹y and log det K."""
    return y @ inv(K) @ y / 2 + logdet(K) / 2


def likelihood(S: Any, C: Any, N: Any) -> Any:
    """N/2 (log det S + tr S⁻¹C)."""
    return N / 2 * (logdet(S) + jnp.trace(inv(S) @ C))


def jensen_shannon(p: Any, q: Any) -> Any:
    """The mean divergence from the mean distribution."""
    m = (p + q) / 2
    return ((p * log(p / m)).sum() + (q * log(q / m)).sum()) / 2


def ppo(r: Any, A: Any) -> Any:
    """The clipped surrogate objective."""
    return -jnp.minimum(r * A, jnp.clip(r, 0.8, 1.2) * A).mean()


def bce(z: Any, y: Any) -> Any:
    """Binary cross entropy with logits."""
    return (softplus(z) - y * z).mean()


def elbo(m: Any, s: Any, z: Any, x: Any) -> Any:
    """The negative evidence lower bound of a Bernoulli decoder with logits z."""
    return (softplus(z) - x * z).sum() + 0.5 * (exp(s) + m**2 - 1 - s).sum()


def contrast(d: Any, y: Any, m: Any) -> Any:
    """Hadsell, Chopra, LeCun 2006, on distances."""
    return (y * d**2 + (1 - y) * relu(m - d) ** 2).mean()


def twins(C: Any, lam: Any) -> Any:
    """Diagonal entries to 1, the others to 0."""
    return sq(jnp.diag(C) - 1) + lam * (sq(C) - sq(jnp.diag(C)))


def tsne(D: Any, P: Any) -> Any:
    """Attraction by P, repulsion by the normaliser of a Student kernel."""
    return (P * D).sum() + log((1 / (1 + D)).sum() - len(D))


def gru(z: Any, r: Any, x: Any, h: Any, E: Any, F: Any) -> Any:
    """The new state from the two gates."""
    return (1 - z) * h + z * tanh(E @ x + F @ (r * h))
