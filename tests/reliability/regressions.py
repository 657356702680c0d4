"""Programs that once were differentiated wrongly or not at all, each with what was wrong."""

from __future__ import annotations

from reliability.programs import Program

SIZES = {"k": 2, "m": 3, "n": 4}


def _case(text: str, wrt: str, **variables: str) -> Program:
    shapes = " ".join(f"{name}[{','.join(axes)}]" if axes else name for name, axes in variables.items())
    return Program(text, shapes, wrt, SIZES, variables)


REGRESSIONS = {
    "a mask times a whole number was an array of integers, to which nothing could be added": _case(
        "diag(s * maximum(s * x, arccos(tanh(s * x[::-1]) / 2)**3))", "x", s="", x="n"
    ),
    "windows beside a factor without axes were an IndexError in the code": _case(
        "sum(max_pool1d(pad(x, (1, 1)), 3, stride=1) * x[0])", "x", x="n"
    ),
    "so were the windows of a convolution": _case(
        "sum(sin(x[0] * conv1d(v, stack(a, b, a), padding=1)))", "v", x="n", v="n", a="", b=""
    ),
    "the rows of a solution in reverse were solved with the rows of the matrix in reverse": _case(
        "sum(B @ flip(solve(A.T @ A + 2 * eye(n), x), axis=0))", "x", A="nn", B="mn", x="n"
    ),
    "conditions that were guarded by each other held where neither did": _case(
        "clip(hardsigmoid((2 + x**2)**1.5), -0.5, 0.7)", "x", x="n"
    ),
    "so they did in a Hessian": _case("sum(clip(hardsigmoid((2 + x**2)**1.5), -0.5, 0.7))", "x", x="n"),
    "normalised rows that vary little lost their digits where what prints had been multiplied out": _case(
        "p0 = arccos(tanh((layernorm(X2[0]) @ attention(cosh(mean(T3, axis=0) / 2), arctan(X4), X5))) / 2); "
        "outer(gelu_tanh((-(log1p(tan(tanh(cumsum(x0)))**2) * normcdf(((x1 > 0) * x1))))), layernorm(p0))",
        "X2",
        T3="nkm",
        X2="kk",
        X4="km",
        X5="kn",
        x0="m",
        x1="m",
    ),
    "an outer product was added in place to a matrix that was read once more": _case(
        "sum(sin(A + outer(x, y) + C) * (A + C))", "C", A="mn", C="mn", x="m", y="n"
    ),
    "a matrix times its transpose within a product of one more axis was a ValueError in the code": _case(
        "p0 = mish(((normcdf((sin(sinh(arccos(tanh(X0) / 2) / 2)) + huber(log_softmax(X0), 0.5))) + x1) "
        "* softmax(X2)[0, -1])); p1 = log1p(p0**2); p2 = sum(p1, axis=1); "
        "p3 = normcdf((p2[:, None] - selu(sigmoid(log1p((0.5 * ((X3.T @ X3) "
        "@ expm1(sum(attention(X4, X5, X6), axis=1) / 2)))**2))))); p4 = swapaxes(p3.T, 0, 1); "
        "p5 = log(1 + p4**2); p6 = cholesky(p5 @ p5.T + 2 * eye(n)); softplus(p6)",
        "X3",
        X0="nm",
        X2="kn",
        X3="kk",
        X4="km",
        X5="mm",
        X6="mn",
        x1="m",
    ),
    "windows of windows were taken for windows along two axes": _case(
        "p = conv1d(max_pool1d(pad(avg_pool1d(maximum(x, y * a), 3, stride=1, padding=1), (1, 1)), 3, "
        "stride=1)**3, stack(a, b, a), padding=1); max(avg_pool1d(p, 3, stride=1, padding=1))",
        "x",
        a="",
        b="",
        x="n",
        y="n",
    ),
    "so they were in a Hessian": _case(
        "max(log(1 + selu(cumsum(cos(expm1((gelu_tanh(avg_pool1d(conv1d(x, stack(a, b, s), padding=1), 3, "
        "stride=1, padding=1)) - c) / 2))))**2))",
        "s",
        a="",
        b="",
        s="",
        x="m",
        c="m",
    ),
}
