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
}
