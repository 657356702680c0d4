"""Answers per instance: (2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = relu(w·xᵢ + b) − yᵢ.

In: a Subject. Out: how it is written, or the reason why it has no such form. What is summed is found in
`instances`; here the parts get their names and letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Expr, Sum, Variable
from chainrule.expr.walk import topological, variables
from chainrule.notation import matform as m
from chainrule.notation.instances import Hole, Summed, over_instances, slices
from chainrule.notation.matform import Tree
from chainrule.notation.names import Namer, has_contraction, is_leaf
from chainrule.notation.recover import Reader
from chainrule.notation.written import Line, Subject, Written
from chainrule.simplify.normal import split

# A difference with at least so many names in it is an error that gets a name.
LONG_ERROR = 4
PROBABILITIES = ("softmax", "sigmoid")


def write_sums(subject: Subject) -> Written | str:
    """The answer as sums over instances; a reason where it has none.

    >>> from chainrule.expr.dims import Dim
    >>> n, N = Dim.of("n"), Dim.of("N")
    >>> X, w, y = Variable("X", (N, n)), Variable("w", (n,)), Variable("y", (N,))
    >>> found = write_sums(Subject(X.T @ (X @ w - y), ("f", ()), (("w", (n,)),), (w,), turned=True))
    >>> found.text, found.notes[0][1]
    ('Σᵢ (w·xᵢ − yᵢ) xᵢᵀ', 'is row i of X, as a column')
    """
    if subject.expr.rank > 2:
        return "it has more than two axes"
    for found in over_instances(subject.expr, subject.moving, subject.taken):
        try:
            return _Writer(subject, found).written()
        except _NoForm:
            continue
    return "no sum in it runs over instances, an axis of the data that the answer does not have"


class _NoForm(Exception):
    """Something that stands below a sum is no vector and no matrix."""


class _InstanceNamer(Namer):
    """Names what is one number or vector for each instance: an error e, a prediction p, what is repeated."""

    def deserves(
        self, part: Expr, node: Expr, count: int, reader: Reader, arguments: Mapping[Expr, str]
    ) -> bool:
        """An error and a prediction deserve a name even where they stand once."""
        if part in self.given:
            return True
        if is_leaf(part) or node in self.exprs or part.rank > 1:
            return False
        if _is_prediction(part):
            return True
        if _is_difference(part):
            assert isinstance(part, Sum)
            return sum(1 if _is_prediction(split(t)[1]) else _names(t) for t in part.terms) >= LONG_ERROR
        return super().deserves(part, node, count, reader, {})


def _is_difference(part: Expr) -> bool:
    """Whether it is something computed minus data, or the other way round."""
    if not isinstance(part, Sum):
        return False
    signs = {split(t)[0].rational > 0 for t in part.terms}
    return len(signs) == 2 and any(isinstance(split(t)[1], Variable) for t in part.terms)


def _is_prediction(part: Expr) -> bool:
    return isinstance(part, Apply) and part.function.name in PROBABILITIES and has_contraction(part)


def _names(part: Expr) -> int:
    """How many names stand in it, a function counting as one more."""
    nodes = topological([part])
    return sum(isinstance(n, Variable) for n in nodes) + any(isinstance(n, Apply) for n in nodes)


def _is_negative(part: Tree) -> bool:
    """Whether it is one term with a minus in front."""
    return part.op == "sum" and part.data == (-1,)


def _spread(node: Tree) -> Tree:
    """The transpose of a sum as the sum of the transposes, so that a Σ in it is transposed inside."""
    return _turned(node.args[0]) if node.op == "transpose" and node.args[0].op == "sum" else node


def _turned(part: Tree) -> Tree:
    match part.op:
        case "sum":
            return m.tree("sum", [_turned(a) for a in part.args], part.data)
        case "scale":
            return m.tree("scale", [*part.args[:-1], _turned(part.args[-1])])
        case "over":
            return m.tree("over", [_turned(part.args[0]), part.args[1]])
    return m.transpose(part)


class _Writer:
    def __init__(self, subject: Subject, found: Summed) -> None:
        self.subject, self.found = subject, found
        self.holes = list(found.holes.values())
        self.letter = found.letter
        given: dict[str, Expr] = {}
        for name, part in subject.given.items():
            own = slices(found, part, self.letter)
            given[name] = part if own is None else own
        exprs = [found.expr, *(hole.body for hole in self.holes)]
        bases = {i.base for i in found.instances.values()}
        named = _InstanceNamer(exprs, given, {*subject.taken, *bases}).named()
        self.expr = named.exprs[0]
        self.bodies = dict(zip([hole.symbol for hole in self.holes], named.exprs[1:], strict=True))
        self.definitions = named.definitions
        everything = [*named.exprs, *(value for _, value in named.definitions)]
        self.variables = variables(*everything)
        self.reader = Reader([*subject.taken, *(v.name for v in self.variables)])
        self.leaves: dict[Tree, Tree] = {}
        self.vectors: set[Tree] = set()
        for variable in self.variables:
            self.vectors |= {m.name(variable.name)} if variable.rank == 1 else set()
        for instance in found.instances.values():
            array, base = instance.array, m.name(instance.base)
            if not isinstance(array, Variable):
                base = self.read(array, 0)
            elif instance.axis and array.shape[0] == array.shape[1]:
                base = m.transpose(m.name(array.name))  # xᵢ would be taken for a row of a square matrix
            self.rename(instance.symbol, m.tree("entry", (base,), (instance.letter,)))
        self.where: list[tuple[Tree, Tree]] = []
        for name, value in self.definitions:
            letter = self.letter_of([value])
            label = m.tree("entry", (m.name(name),), (letter,)) if letter else m.name(name)
            definition = self.tree(value, 0)
            if letter:
                self.rename(Variable(name, value.shape), label)
            self.where.append((label, definition))

    def rename(self, symbol: Variable, tree: Tree) -> None:
        self.leaves[m.name(symbol.name)] = tree
        if symbol.rank == 1:
            self.vectors.add(tree)

    def letter_of(self, exprs: Iterable[Expr]) -> str:
        """The letter of the instances in the expressions, or ""."""
        inside = [self.leaves.get(m.name(v.name)) for v in variables(*exprs)]
        return next((t.data[0] for t in inside if t is not None and t.op == "entry"), "")

    def tree(self, expr: Expr, side: int) -> Tree:
        """The tree of an expression, with its holes filled."""
        leaves = dict(self.leaves)
        for hole in self.holes:
            if hole.symbol in variables(expr):
                leaves |= self.filled(hole)
        found = self.read(expr, side)
        if any(n in self.bodies for n in variables(expr)):
            found = m.rewritten(found, _spread)
        return self.finished(m.replace_leaves(found, leaves))

    def read(self, expr: Expr, side: int) -> Tree:
        found = self.reader.tree(expr, side) if expr.rank <= 2 else None
        if found is None:
            raise _NoForm
        return found

    def filled(self, hole: Hole) -> dict[Tree, Tree]:
        """Σᵢ in place of a hole, and in place of its transpose."""
        body, name = self.bodies[hole.symbol], m.name(hole.symbol.name)
        sums = [m.tree("sigma", (self.tree(body, side),), (hole.letter,)) for side in (0, 1)]
        return {name: sums[0], m.transpose(name): sums[1]} if hole.symbol.rank else {name: sums[0]}

    def finished(self, root: Tree) -> Tree:
        """Dot products with a dot, and a condition behind what it decides about."""

        def finish(node: Tree) -> Tree:
            if node.op == "scale" and (node.args[-1].op in ("entry", "name", "transpose")):
                conditions = [a for a in node.args if a.op == "compare"]
                return m.tree("scale", [*(a for a in node.args if a.op != "compare"), *conditions])
            if node.op in ("sigma", "scale") and _is_negative(node.args[-1]):
                positive = [*node.args[:-1], node.args[-1].args[0]]
                return m.negative(m.tree(node.op, positive, node.data))
            return m.number_in_front(node)

        return m.dotted(m.rewritten(root, finish), self.vectors)

    def written(self) -> Written:
        trees = [self.tree(self.expr, side) for side in (int(self.subject.turned), 0)]
        gradient = Line(trees[1]) if self.subject.gradient and self.subject.turned else None
        return Written(
            "sums",
            Line(trees[0]),
            gradient,
            tuple(self.where),
            tuple(self.notes()),
            profile=self.subject.profile,
        )

    def notes(self) -> list[tuple[Tree, str]]:
        """Which rows the vectors are."""
        rows: dict[str, tuple[Tree, str]] = {}
        for instance in self.found.instances.values():
            used = instance.symbol in self.variables and instance.symbol.rank
            said = any(t.args == self.leaves[m.name(instance.symbol.name)].args for t, _ in rows.values())
            if used and not said and isinstance(instance.array, Variable):
                line = f"column {instance.letter}" if instance.axis else f"row {instance.letter}"
                column = ", as a column" if not instance.axis and instance.symbol.rank == 1 else ""
                label = self.leaves[m.name(instance.symbol.name)]
                rows[instance.symbol.name] = label, f"is {line} of {pretty(instance.array.name)}{column}"
        return [note for _, note in sorted(rows.items())]
