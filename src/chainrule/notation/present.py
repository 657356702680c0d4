"""From derivatives to what is printed: matrix language where it exists, else index notation.

Parts named once.

In: expressions (simplified), the side on which each is written, a person's names. Out: Presentations, which
both printers can write, and the definitions of the names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.index import array, index_form, vec_form
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.names import name_parts
from chainrule.notation.recover import Reader
from chainrule.notation.text import to_text
from chainrule.rules.table import Elementwise
from chainrule.rules.unknown import unknown_in
from chainrule.rules.views import FOR_PRINT, View, fold

# Readers by the names that are taken and whether terms keep their order; what one has read it knows.
Readers = dict[tuple[frozenset[str], bool], Reader]


@dataclass(frozen=True, slots=True)
class Request:
    """An expression to print. `turned`: as its transpose, a vector as a row.

    `ranks`: how many of its axes are those of the formula, then of each variable that it is differentiated
    by.
    """

    expr: Expr
    turned: bool = False
    ranks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an expression is written.

    form     "matrix" or "index"
    indices  the letters of its axes in index form
    vec      ∂vec(Y)/∂vec(X)ᵀ (∂²f/∂vec(X)∂vec(X)ᵀ for a scalar f) where Kronecker products can say it
    part     what a name stands for, written out, if this is the definition of a name
    profile  in whose signs it is written; None: those of this project
    """

    tree: Tree
    form: str = "matrix"
    indices: tuple[str, ...] = ()
    vec: Tree | None = None
    part: Expr | None = None
    profile: str | None = None

    @property
    def text(self) -> str:
        """As Unicode text, which the language reads back."""
        return to_text(self.tree, self.profile)

    @property
    def latex(self) -> str:
        """As LaTeX for mathematics mode."""
        return to_latex(self.tree, self.profile)


def head(name: str, shown: Presentation) -> Tree:
    """What stands left of what a name is: X̂_ijk where that is written by entries, else the name."""
    return m.tree("entry", (m.name(name),), shown.indices) if shown.indices else m.name(name)


def named_by(left: Tree) -> str:
    """The name on such a left side."""
    return str((left.args[0] if left.op == "entry" else left).data[0])


def present(
    expr: Expr, *, turned: bool = False, profile: str | None = None, as_typed: bool = False
) -> Presentation:
    """One expression, without names for its parts."""
    request = Request(expr, turned)
    written, _ = present_many([request], abbreviate=False, profile=profile, as_typed=as_typed)
    return written[0]


def present_many(
    requests: Sequence[Request],
    names: Mapping[str, Expr] | None = None,
    *,
    taken: Iterable[str] = (),
    abbreviate: bool = True,
    errors: bool = False,
    profile: str | None = None,
    as_typed: bool = False,
    readers: Readers | None = None,
) -> tuple[list[Presentation], list[tuple[str, Presentation]]]:
    """Several expressions printed together, and the definitions of the names in them, each before it is used.

    `as_typed` keeps the terms of sums in their order: x + x², where the shortest answer is x² + x.
    `readers` keeps what has been read for the next call.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> n = Dim.of("n")
    >>> A, x = Variable("A", (n, n)), Variable("x", (n,))
    >>> written, _ = present_many([Request(A @ x, turned=True)])
    >>> written[0].text
    'xᵀAᵀ'
    """
    views: dict[Expr, Expr] = {}
    exprs = [fold(request.expr, FOR_PRINT, views) for request in requests]
    names = {name: views.get(part, part) for name, part in (names or {}).items()}
    before = {view: node for node, view in views.items()}
    definitions: tuple[tuple[str, Expr], ...] = ()
    parts: tuple[Expr, ...] = ()
    if abbreviate:
        named = name_parts(exprs, names, taken, errors=errors)
        exprs, definitions = list(named.exprs), named.definitions
        parts = tuple(before.get(part, part) for part in named.parts)
    shown = [replace(request, expr=expr) for expr, request in zip(exprs, requests, strict=True)]
    named_all = [(name, value, part) for (name, value), part in zip(definitions, parts, strict=True)]
    return present_named(shown, named_all, taken=taken, profile=profile, as_typed=as_typed, readers=readers)


def present_named(
    requests: Sequence[Request],
    definitions: Sequence[tuple[str, Expr, Expr]],
    *,
    taken: Iterable[str] = (),
    profile: str | None = None,
    as_typed: bool = False,
    readers: Readers | None = None,
) -> tuple[list[Presentation], list[tuple[str, Presentation]]]:
    """The same for expressions in which the names stand already.

    A definition is the name, what it stands for in terms of the names before it, and that written out.
    """
    everything = [*(request.expr for request in requests), *(value for _, value, _ in definitions)]
    used = frozenset((*taken, *(v.name for v in variables(*everything)), *unknown_in(*everything)))
    readers = {} if readers is None else readers
    reader = readers.setdefault((used, as_typed), Reader(used, as_typed=as_typed))
    written = [replace(_one(reader, r.expr, r.turned, r.ranks), profile=profile) for r in requests]
    where = [
        (name, replace(_definition(reader, value), part=part, profile=profile))
        for name, value, part in definitions
    ]
    return written, where


def _definition(reader: Reader, value: Expr) -> Presentation:
    """A function of a whole array as that, P = softmax(Z, axis=2); anything else as an answer is written."""
    whole = isinstance(value, Apply) and not isinstance(value.function, Elementwise | View)
    if value.rank > 2 and whole and all(isinstance(argument, Variable) for argument in value.children):
        return Presentation(array(value, reader))
    return _one(reader, value, False, ())


def _one(reader: Reader, expr: Expr, turned: bool, ranks: tuple[int, ...]) -> Presentation:
    tree = reader.tree(expr, int(turned)) if expr.rank <= 2 else None
    if tree is not None:
        return Presentation(tree)
    entries, indices = index_form(expr, reader)
    sides = [rank for rank in ranks if rank]
    vec = vec_form(expr, sides[0], reader) if len(sides) == 2 and max(sides) == 2 else None
    return Presentation(entries, "index", indices, vec)
