"""Formulas that are drawn in the tests, and pictures of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from chainrule.api.explanation import letter_of
from chainrule.api.targets import parse_targets
from chainrule.derive.flow import Flow, flow
from chainrule.draw.maths import SMALL, text_width
from chainrule.language import parse_formula

SVG = "{http://www.w3.org/2000/svg}"
NETWORK = "; ".join(
    f"z{k} = W{k} @ {f'a{k - 1}' if k > 1 else 'x'} + b{k}; a{k} = relu(z{k})" for k in range(1, 13)
)
FORMULAS = {
    "scalar chain": ("log(sin(x**3)**2)", "", "x"),
    "two paths": ("x + x**2", "", "x"),
    "three steps, two paths": ("sin(x + x**2)", "", "x"),
    "product of paths": ("x * x**2", "", "x"),
    "neuron loss": ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w"),
    "neuron loss by both": ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w,b"),
    "two layers": (
        "z1 = X @ W1 + b1; a1 = relu(z1); mean((a1 @ w2 + b2 - y)**2)",
        "X[N,n] W1[n,h] b1[h] w2[h] b2 y[N]",
        "W1,b1,w2,b2",
    ),
    "quadratic form": ("x @ A @ x", "A[n,n] x[n]", "x"),
    "cross-entropy": ("-sum(y * log(softmax(W @ x + b)))", "y[k] W[k,n] x[n] b[k]", "W"),
    "factorisation": (
        "norm(Y - U @ V.T)**2 + lam*(norm(U)**2 + norm(V)**2)",
        "Y[m,n] U[m,k] V[n,k] lam",
        "U,V",
    ),
    "log-determinant": ("logdet(X)", "X[n,n]", "X"),
    "square Jacobian": ("[3*x**2*y, 2*x + y**8]", "", "x,y"),
    "matrix product": ("X @ W", "X[N,n] W[n,k]", "W"),
    "element-wise": ("w * x", "w[n] x[n]", "x"),
    "soft maximum": ("logsumexp(A @ x) + norm(x)", "A[m,n] x[n]", "x"),
    "nothing depends on it": ("sin(x)", "x y", "y"),
    "the variable itself": ("x", "x[n]", "x"),
    "twelve layers": (
        f"{NETWORK}; norm(a12 - y)**2",
        " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, 13)) + " x[n] y[n]",
        "W1",
    ),
}  # fmt: skip


def steps_of(formula: str, shapes: str, wrt: str) -> Flow:
    """The steps of a formula as the pictures of a derivative take them."""
    parsed = parse_formula(formula, shapes)
    targets, _ = parse_targets(wrt, parsed)
    variables = [v for target in targets for v in target.variables]
    letter = letter_of(parsed, parsed.expr, targets[0])
    return flow(parsed.expr, variables, parsed.names, output=letter, taken=parsed.variables)


def case(name: str) -> Flow:
    """The steps of one of the formulas."""
    return steps_of(*FORMULAS[name])


@dataclass(frozen=True)
class Area:
    """A rectangle in a picture."""

    left: float
    top: float
    right: float
    bottom: float
    what: str = ""

    def overlaps(self, other: Area, by: float = 0.5) -> bool:
        """Whether the two have more than their borders in common."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > by and down > by


def parsed_svg(svg: str) -> ET.Element:
    """The root of a picture; raises if it is not well-formed."""
    return ET.fromstring(svg)


def rectangles(root: ET.Element) -> list[Area]:
    """Every rectangle but the page."""
    found = []
    for rect in root.iter(f"{SVG}rect"):
        if rect.get("class") != "page":
            x, y, w, h = (float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
            found.append(Area(x, y, x + w, y + h, rect.get("class", "")))
    return found


def texts(root: ET.Element) -> list[Area]:
    """Every text with the room that its letters take at most."""
    return [text_area(text) for text in root.iter(f"{SVG}text")]


def text_area(text: ET.Element) -> Area:
    size = float(text.get("font-size", "0"))
    width = size * text_width(text.text or "")
    for span in text:
        scale = SMALL if span.get("font-size") else 1
        width += size * (scale * text_width(span.text or "") + text_width(span.tail or ""))
    x, y = float(text.get("x", "0")), float(text.get("y", "0"))
    left = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor", "start")]
    return Area(left, y - 0.75 * size, left + width, y + 0.25 * size, "".join(text.itertext()))


def page(root: ET.Element) -> Area:
    """The page."""
    x, y, w, h = map(float, root.get("viewBox", "").split())
    return Area(x, y, x + w, y + h)
