"""Index notation, ∂Y_ij/∂X_kl = A_ik B_lj: the left side declares the axes of the result.

A value carries a letter for each axis. A letter that stands twice in a product, and neither on the left nor
under a Σ, is summed (Einstein's convention); a letter that is missing is broadcast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import mul

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, elementwise
from chainrule.language import functions
from chainrule.language.elaborate import Elaborator
from chainrule.language.limits import check_shape
from chainrule.language.places import LETTER, bound, placed
from chainrule.language.syntax import (
    Add,
    Bars,
    Binary,
    Bracket,
    Call,
    Name,
    Node,
    Place,
    Postfix,
    Prefix,
    Special,
    Statement,
    post_order,
)
from chainrule.language.tokens import axes_of, is_index
from chainrule.language.unknown import Declared
from chainrule.language.values import Value
from chainrule.rules.constants import MERGE
from chainrule.rules.indexing import WINDOW
from chainrule.rules.table import ROWS, Elementwise, lookup

Letters = tuple[str, ...]


def letters_of(axis: str) -> str:
    """The letters of a place: ij of (ij), ik of 2i+k−2."""
    return "".join(c for c in axis if c.isalpha())


# A variable, the letters of each of its axes, and where that stands.
Source = tuple[Variable, Letters, Node]
PRODUCTS = frozenset({"", "*", "·", "⊙", "/"})
_ENTRYWISE = frozenset({"maximum", "minimum", "max", "min", "square", "clip", "where", "power"})


class IndexedElaborator(Elaborator):
    """The elaborator, with index notation."""

    def indexed(self, statement: Statement) -> Value:
        return _Indices(self, statement).value()


class _Indices:
    """One statement in index notation."""

    def __init__(self, elaborator: Elaborator, statement: Statement) -> None:
        self.elaborator, self.statement = elaborator, statement
        self.order = post_order(statement.value)
        self.axes = axes_of(statement.output or "")  # the letters of each axis of the result
        self.output: Letters = tuple("".join(self.axes))
        self.letters: dict[int, Letters] = {}  # the letters of each value; absent for values without indices
        self.seen: dict[int, list[str]] = {}  # every letter that stands in a product, as often as it stands
        self.bound = self.summed_letters()
        self.tops = self.product_tops()

    def problem(self, message: str, node: Node, hint: str = "") -> ShapeMismatch:
        source = self.elaborator.setting.source
        return ShapeMismatch(message, source=source, spans=(node.span,), hint=hint)

    def summed_letters(self) -> dict[int, frozenset[str]]:
        """For each node the letters that a Σ above it sums."""
        bound: dict[int, frozenset[str]] = {id(self.statement.value): frozenset()}
        for node in reversed(self.order):
            mine = bound[id(node)]
            if isinstance(node, Prefix) and node.symbol == "Σ":
                mine = mine | set(node.indices)
            bound |= {id(child): mine for child in node.children}
        return bound

    def product_tops(self) -> set[int]:
        """The nodes at which a product is complete, so that repeated letters are summed."""
        inner = {
            id(child)
            for node in self.order
            if (isinstance(node, Binary) and node.symbol in PRODUCTS) or isinstance(node, Prefix)
            for child in node.children
        }
        return {id(node) for node in self.order if id(node) not in inner}

    def size(self, letter: str) -> Dim:
        return self.elaborator.sizes.resolve(Dim.of(f"?{self.statement.span.start}.{ord(letter)}"))

    def whole_size(self, letters: str) -> Dim:
        """The size of an axis that is made of axes with these letters."""
        return reduce(mul, map(self.size, letters))

    def regrouped(self, expr: Expr, axes: Sequence[str], *, apart: bool) -> Expr:
        """Axes taken apart into those with a letter each, or such axes joined."""
        if all(len(letters) == 1 for letters in axes):
            return expr
        place = iter(range(sum(len(letters_of(own)) for own in axes)))
        whole: list[int] = []
        single: list[int] = []
        merges: list[Expr] = []
        labels: list[tuple[int, ...]] = []
        for letters in axes:
            inside = [next(place) for _ in letters_of(letters)]
            single += inside
            if len(letters) == 1:
                whole += inside
                continue
            whole.append(-len(merges) - 1)
            if letters.isalpha():
                merges.append(Apply(MERGE, (), tuple(map(self.size, letters))))
                labels.append((whole[-1], *inside))
                continue
            tensor, first = self.slid(letters, expr.shape[len(whole) - 1])
            merges.append(tensor)
            labels.append((*inside, whole[-1]) if first else (inside[1], whole[-1], inside[0]))
        before, after = (whole, single) if apart else (single, whole)
        return Einsum(ONE, (self.elaborator.sizes.settle(expr), *merges), (before, *labels), after)

    def slid(self, text: str, size: Dim) -> tuple[Expr, bool]:
        """The tensor that puts 2t+k−2, or n−2t+2, in the place of an axis; whether all signs are plus."""
        terms = re.findall(r"([-+−]?)([0-9]*)([i-t]?)", text)
        factors: list[int] = []
        constant = 0
        for sign, digits, letter in terms:
            value = (-1 if sign in ("-", "−") else 1) * int(digits or bool(letter))
            factors += [value] if letter else []
            constant += 0 if letter else value
        first, second = map(self.size, letters_of(text)) if len(factors) == 2 else (size, size)
        if len(factors) == 2 and min(factors) > 0:
            padding = Dim.of(1 - sum(factors) - constant)
            return Apply(WINDOW, (), (first, second, *factors, padding, size)), True
        if len(factors) == 2 and factors[0] == 1:
            stride = -factors[1]
            return Apply(WINDOW, (), (second, size, stride, 1, Dim.of(constant - stride), first)), False
        raise self.problem(
            f"the index {text} is not read", self.statement.value, "write X_{i+k−1}, X_{2i+k−2} or w_{j−2i+2}"
        )

    def value(self) -> Value:
        if len(set(self.output)) != len(self.output):
            raise self.problem(
                "a letter stands twice on the left side", self.statement.value, "give each axis its own"
            )
        sources: list[Source] = []
        for name, indices in self.statement.sources:
            variable = self.elaborator.variables.get(name)
            if variable is not None and variable.rank == len(axes_of(indices)):
                sources.append((variable, axes_of(indices), self.statement.value))
        if any(len(letters) > 1 for _, axes, _ in sources for letters in axes) or self.has_pairs():
            sources = self.told(sources)
        for variable, axes, place in sources:
            self.fit(variable, axes, place)
        values: dict[int, Value] = {}
        for node in self.order:
            made = self.node(node, [values[id(child)] for child in node.children])
            if id(node) in self.letters:
                made = self.contract(node, made) if id(node) in self.tops else made
            check_shape(made.expr.shape, self.elaborator.setting.source, node.span)
            if self.elaborator.opaque:
                made = self.elaborator.veiled(made, node)
            values[id(node)] = made
        root = self.statement.value
        made = self.elaborator.whole(values[id(root)], root)
        if made.rank and id(root) not in self.letters:
            raise self.problem(
                "the right side has no indices", root, "write A_ij x_j, or drop the indices on the left"
            )
        letters = self.letters.get(id(root), ())
        extra = [c for c in letters if c not in self.output]
        if extra:
            raise self.problem(
                f"the index {extra[0]} stands on the right side alone",
                root,
                f"write Σ_{extra[0]} in front, or add {extra[0]} to the left side",
            )
        return Value(self.regrouped(self.aligned(made.expr, letters, self.output), self.axes, apart=False))

    def has_pairs(self) -> bool:
        """Whether an axis is written by several letters, or a condition says how far one goes."""
        if any(isinstance(node, Place) and bound(node, self.letters_in(node)) for node in self.order):
            return True
        below = [node.indices for node in self.order if isinstance(node, Postfix) and node.symbol == "_"]
        several = any("(" in indices or "{" in indices for indices in below)
        return several or any(len(axis) > 1 for axis in self.axes)

    def told(self, sources: list[Source]) -> list[Source]:
        """What says how large the parts of a pair are, entries X_ij and δ_ij, goes before the pairs."""
        found = [node for node in self.order if isinstance(node, Postfix) and node.symbol == "_"]
        for node in found:
            name = node.operand.name if isinstance(node.operand, Name) else ""
            variable = self.elaborator.variables.get(name)
            if variable is not None and variable.rank == len(axes_of(node.indices)):
                sources.append((variable, axes_of(node.indices), node))
        for condition in (node for node in self.order if isinstance(node, Place)):
            letters = self.letters_in(condition)
            if (size := bound(condition, letters)) is not None:
                self.elaborator.sizes.unify(self.size(letters[0]), size)
        plain = [s for s in sources if all(len(letters) == 1 for letters in s[1])]
        for variable, axes, place in plain:
            self.fit(variable, axes, place)
        for node in found:
            if isinstance(node.operand, Special) and node.indices.isalpha() and len(node.indices) == 2:
                self.elaborator.sizes.unify(*map(self.size, node.indices))
        return [s for s in sources if s not in plain]

    def fit(self, expr: Expr, axes: Sequence[str], node: Node) -> Expr:
        """`expr` with the sizes of its axes and of the letters made equal."""
        wanted = [self.whole_size(letters) for letters in axes if letters.isalpha()]

        def agree(e: Expr) -> Expr:
            for have, letters in zip(e.shape, axes, strict=True):
                if not letters.isalpha():
                    continue  # a sum of indices may lie outside
                said = f"are two sizes for the index {letters}"
                nodes.require_same(have, self.whole_size(letters), said)
            return e

        return self.elaborator.built(agree, [expr], node.span, [node]) if wanted else expr

    def aligned(self, expr: Expr, letters: Letters, output: Letters) -> Expr:
        """`expr` with axes in the order of `output`, repeated along letters that it lacks."""
        if letters == output:
            return self.elaborator.sizes.settle(expr)
        constant = nodes.constant_of(expr)
        if constant is not None and not letters:
            return nodes.number(constant, [self.size(c) for c in output])
        number = {c: k for k, c in enumerate(dict.fromkeys([*letters, *output]))}
        sizes = {number[c]: self.size(c) for c in output}
        settled = self.elaborator.sizes.settle(expr)
        return Einsum(ONE, (settled,), ([number[c] for c in letters],), [number[c] for c in output], sizes)

    def contract(self, node: Node, value: Value) -> Value:
        """Einstein's convention at the top of a product."""
        letters, seen = self.letters[id(node)], self.seen[id(node)]
        kept = tuple(c for c in letters if c in self.output or c in self.bound[id(node)] or seen.count(c) < 2)
        self.letters[id(node)], self.seen[id(node)] = kept, list(kept)
        return replace(value, expr=self.sum_to(value.expr, letters, kept))

    def sum_to(self, expr: Expr, letters: Letters, kept: Letters) -> Expr:
        return (
            expr
            if kept == letters
            else Einsum(ONE, (expr,), (list(map(ord, letters)),), list(map(ord, kept)))
        )

    # ------------------------------------------------------------ nodes

    def mark(self, node: Node, letters: Letters, seen: list[str]) -> None:
        self.letters[id(node)], self.seen[id(node)] = letters, seen

    def node(self, node: Node, parts: list[Value]) -> Value:
        if isinstance(node, Special) and node.symbol == "δ":
            return Value(nodes.number(1))
        if isinstance(node, Place):
            return self.place(node)
        if isinstance(node, Postfix) and node.symbol == "_" and is_index(node.indices):
            return self.entry(node, parts[0])
        if isinstance(node, Prefix) and node.symbol == "Σ":
            return self.summed(node, parts[0])
        if not any(id(child) in self.letters for child in node.children):
            return self.elaborator.node(node, parts)
        parts = [self.elaborator.whole(p, child) for p, child in zip(parts, node.children, strict=True)]
        for part, child in zip(parts, node.children, strict=True):
            if id(child) not in self.letters and part.rank:
                raise self.problem("this part has axes and no indices", child, "write its indices: x_i, A_ij")
        match node:
            case Prefix(symbol="-" | "+" | "√"):
                self.mark(node, self.letters[id(node.operand)], self.seen[id(node.operand)])
                return self.elaborator.prefix(node, parts[0])
            case Add():
                exprs, _ = self.together(node, parts)
                signed = [
                    e if sign > 0 else nodes.negate(e) for e, sign in zip(exprs, node.signs, strict=True)
                ]
                return Value(nodes.add(*signed))
            case Binary() if node.symbol in PRODUCTS:
                return self.times(node, parts)
            case Binary():
                exprs, _ = self.together(node, parts)
                values = [Value(e, constant=p.constant) for e, p in zip(exprs, parts, strict=True)]
                symbol = {"sup": "**", "^": "**"}.get(node.symbol, node.symbol)
                if symbol in ("@", "⊗", "⊘"):
                    raise self.problem(
                        f"{symbol} does not stand between indexed parts", node, "write A_ij x_j side by side"
                    )
                return self.elaborator.binary(replace(node, symbol=symbol), *values)
            case Call():
                return self.call(node, parts)
            case Bracket() | Bars(symbol="|"):
                self.mark(node, self.letters[id(node.operand)], self.seen[id(node.operand)])
                if isinstance(node, Bars):
                    return Value(functions.abs(parts[0].expr))
                return self.elaborator.node(node, parts)
            case _:
                raise self.problem(
                    "this does not combine with indices", node, "apply it before the index: (AB)_ij"
                )

    def entry(self, node: Postfix, base: Value) -> Value:
        axes = axes_of(node.indices)
        letters = tuple(c for own in axes for c in letters_of(own))
        special = node.operand.symbol if isinstance(node.operand, Special) else ""
        if special in ("δ", "I"):
            if len(axes) != 2:
                raise self.problem("δ has two indices", node, "write δ_ij")
            first, second = (self.whole_size(c) for c in axes)
            self.elaborator.built(_same, [nodes.number(1, (first,)), nodes.number(1, (second,))], node.span)
            made: Expr = nodes.identity((self.whole_size(axes[0]),))
        else:
            base = self.elaborator.whole(base, node.operand)
            if base.rank != len(axes):
                shown = self.elaborator.text(node.operand)
                hint = "give one letter for each axis: A_ij, x_i"
                raise self.problem(
                    f"{shown} has {base.rank} ax{'i' if base.rank == 1 else 'e'}s and {len(axes)} indices",
                    node,
                    hint,
                )
            made = self.fit(base.expr, axes, node)
        made = self.regrouped(made, axes, apart=True)
        distinct = tuple(dict.fromkeys(letters))
        self.mark(node, distinct, list(letters))
        return Value(self.sum_to(made, letters, distinct))

    def place(self, node: Place) -> Value:
        """[k = i + 1]: a tensor of zeros and ones; a name that is no index of the statement is a size."""
        letters = self.letters_in(node)
        if wrong := [n for n in letters if not LETTER.fullmatch(n)]:
            raise self.problem(f"{wrong[0]} is no index", node, "indices are letters from i to t")
        self.mark(node, letters, list(letters))
        known = {self.size(c) for c in letters if not any(n.startswith("?") for n in self.size(c).names)}
        again = self.elaborator.sizes.meets_again(node.span.start, node.span.end)
        if node.is_delta and len(letters) == 2 and len(known) < 2 and again:
            return self.delta(letters, node)
        return Value(self.elaborator.built(lambda: placed(node, letters, self.size), [], node.span))

    def letters_in(self, node: Place) -> Letters:
        """The names in a condition that are indices."""
        names = [name for name, _ in node.terms if name]
        sizes = self.elaborator.setting.dims
        return tuple(n for n in names if n in self.output or n in self.bound[id(node)] or n not in sizes)

    def delta(self, letters: Letters, node: Node) -> Value:
        """δ_ij: the identity."""
        first, second = (self.size(c) for c in letters)
        self.elaborator.built(_same, [nodes.number(1, (first,)), nodes.number(1, (second,))], node.span)
        return Value(nodes.identity((self.size(letters[0]),)))

    def summed(self, node: Prefix, operand: Value) -> Value:
        letters = self.letters.get(id(node.operand), ())
        missing = [c for c in node.indices if c not in letters]
        if missing:
            raise self.problem(f"the index {missing[0]} does not stand under the sum", node, "Σ_j A_ij x_j")
        kept = tuple(c for c in letters if c not in node.indices)
        self.mark(node, kept, [c for c in self.seen[id(node.operand)] if c in kept])
        return Value(self.sum_to(operand.expr, letters, kept))

    def together(self, node: Node, parts: Sequence[Value]) -> tuple[list[Expr], Letters]:
        """The parts with the same axes, in the same order."""
        every = [self.letters.get(id(child), ()) for child in node.children]
        union = tuple(dict.fromkeys(c for letters in every for c in letters))
        self.mark(node, union, list(union))
        return [self.aligned(p.expr, mine, union) for p, mine in zip(parts, every, strict=True)], union

    def times(self, node: Binary, parts: Sequence[Value]) -> Value:
        right = parts[1].expr
        if node.symbol == "/":
            if parts[1].constant is not None and parts[1].constant.is_zero:
                raise self.elaborator.problem("division by zero", node.right.span)
            right = nodes.divide(nodes.number(1), right)
        mine, theirs = (self.letters.get(id(child), ()) for child in node.children)
        union = tuple(dict.fromkeys([*mine, *theirs]))
        self.mark(node, union, [*self.seen.get(id(node.left), []), *self.seen.get(id(node.right), [])])
        operands = [self.elaborator.sizes.settle(e) for e in (parts[0].expr, right)]
        return Value(
            Einsum(ONE, operands, [list(map(ord, mine)), list(map(ord, theirs))], list(map(ord, union)))
        )

    def call(self, node: Call, parts: Sequence[Value]) -> Value:
        if (declared := self.elaborator.setting.functions.find(node.name)) is not None:
            return self.unknown(node, declared, parts)
        build = functions.TABLE[node.name].build
        name = build.__name__
        known = name in _ENTRYWISE or isinstance(ROWS.get(name), Elementwise)
        if not known or node.keywords:
            raise self.problem(
                f"{node.name} does not work entry by entry", node, "apply it before the index: (softmax(x))_i"
            )
        exprs, _ = self.together(node, parts)
        return Value(build(*exprs))

    def unknown(self, node: Call, declared: Declared, parts: Sequence[Value]) -> Value:
        """An elementwise function left unknown, of entries."""
        if declared.kind != "elementwise" or node.keywords:
            raise self.problem(
                f"{declared.name} is not declared to work entry by entry",
                node,
                f"declare {declared.name}: elementwise, or apply it before the index: (h(x))_i",
            )
        exprs, _ = self.together(node, parts)
        return Value(declared.builder(self.elaborator.orders(node, declared, len(exprs)))(*exprs))


def _same(a: Expr, b: Expr) -> Expr:
    nodes.require_same(a.shape[0], b.shape[0], "are the sizes of the two indices of δ")
    return elementwise(lookup("equal"), a, b)
