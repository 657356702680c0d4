"""Which parts of a loss Gauss-Newton takes as f, where nobody named one.

A loss is a sum of terms ℓ(f(θ)). In each, f is the outermost part with axes that its parameters act through
and in which the term is not affine: y − tanh(Xw + b) in a mean of squares, Xw + b in a cross entropy.
A term without such a part, as w·w, keeps its Hessian.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from chainrule.api.chain import Chains, Target
from chainrule.api.gauss_newton import blocks_of
from chainrule.derive.flow import regrouped
from chainrule.errors import NoDerivative
from chainrule.expr.nodes import Expr, Sum, Variable, constant_of
from chainrule.expr.walk import depends_on, substitute, topological, variables
from chainrule.language import Formula
from chainrule.notation.present import present
from chainrule.notation.text import to_text
from chainrule.simplify import Normaliser, simplify

Blocks = dict[tuple[str, str], Expr]


@dataclass(frozen=True)
class Term:
    """A term of a loss, the parameters in it, and its f; None where the Hessian is taken."""

    expr: Expr
    moving: tuple[Variable, ...]
    part: Expr | None


def terms(loss: Expr, params: Sequence[Variable], at_kink: Fraction) -> list[Term]:
    """The terms that depend on parameters.

    >>> from chainrule.language import parse_formula
    >>> loss = parse_formula("mean((y - tanh(X @ w))**2) + w @ w", "X[N,n] w[n] y[N]")
    >>> [said(term) for term in terms(loss.expr, [loss.variables["w"]], Fraction(0))]
    ['f = y − tanh(Xw)', 'the Hessian of wᵀw']
    """
    found = []
    for term in loss.terms if isinstance(loss, Sum) else (loss,):
        moving = tuple(v for v in params if v in set(variables(term)))
        if moving:
            found.append(Term(term, moving, _part(term, moving, at_kink)))
    return found


def said(term: Term) -> str:
    """What is taken for a term, in words."""
    if term.part is None:
        return f"the Hessian of {to_text(present(term.expr).tree)}"
    return f"f = {to_text(present(term.part).tree)}"


def gauss_newton_blocks(formula: Formula, params: Sequence[Variable], at_kink: Fraction) -> Blocks:
    """The blocks of Σ JᵀHJ over the terms, by pairs of names.

    Raises: CheckFailed, NoDerivative.
    """
    gathered: dict[tuple[str, str], list[Expr]] = {(v.name, w.name): [] for v in params for w in params}
    for term in terms(formula.expr, params, at_kink):
        for names, block in _blocks(formula, term, at_kink).items():
            gathered[names].append(block)
    known = {v.name: v for v in params}
    normal = Normaliser()
    result: Blocks = {}
    for (v, w), parts in gathered.items():
        if not parts:
            by, other = Target((known[v],)), Target((known[w],))
            parts = [Chains(formula.expr, [by, other], at_kink)((by, other))[-1]]
        result[v, w] = simplify(normal.sum(list(map(normal, parts))) if len(parts) > 1 else parts[0])
    return result


def _blocks(formula: Formula, term: Term, at_kink: Fraction) -> Mapping[tuple[str, str], Expr]:
    if term.part is not None:
        return blocks_of(replace(formula, expr=term.expr, source=""), term.moving, term.part, at_kink)
    targets = [Target((v,)) for v in term.moving]
    chains = Chains(term.expr, targets, at_kink)
    return {
        (v.name, w.name): chains((one, other))[-1]
        for v, one in zip(term.moving, targets, strict=True)
        for w, other in zip(term.moving, targets, strict=True)
    }


def _part(term: Expr, moving: Sequence[Variable], at_kink: Fraction) -> Expr | None:
    """The outermost part that fits."""
    for node in reversed(list(topological([term]))):
        if node is term or not node.rank or not node.children:
            continue
        if not depends_on([node], moving) & {node}:
            continue
        # A sum within a sum was flattened: z − logsumexp(z) has the terms of z.
        whole, named = regrouped(term, {"f": node})
        symbol = Variable("inner part", node.shape)
        loss = substitute(whole, {named["f"]: symbol})
        if set(moving) & set(variables(loss)):
            continue
        if not _affine(loss, symbol, at_kink):
            return node
    return None


def _affine(loss: Expr, symbol: Variable, at_kink: Fraction) -> bool:
    by = Target((symbol,))
    try:
        curvature = constant_of(Chains(loss, [by], at_kink)((by, by))[-1])
    except NoDerivative:
        return True
    return curvature is not None and curvature.is_zero
