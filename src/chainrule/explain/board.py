"""What every style of derivation needs: how symbols, derivatives and sizes are written in one layout.

In: what is explained and its steps (a Flow). Out: trees. Expressions may hold placeholders: variables whose
names begin with ∎, each of which is written as the tree that it stands for, a derivative that is not taken or
the total derivative of an intermediate variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

from chainrule.derive.engine import jacobians
from chainrule.derive.flow import Flow, Part, flow
from chainrule.derive.inward import Inward, is_unevaluated, taken
from chainrule.explain.coarse import coarse
from chainrule.explain.reasons import of_differential, rule
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable
from chainrule.expr.walk import dim_names, substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.abbreviate import Introduced, introduced
from chainrule.notation.layout import chain_layout, is_turned, layout_sizes
from chainrule.notation.matform import Tree
from chainrule.notation.present import Presentation, Readers, Request, present_many
from chainrule.notation.recursion import Recursion
from chainrule.rules.table import Tensorial
from chainrule.rules.tensorial import inv, matrix_power
from chainrule.simplify import simplify
from chainrule.steps import Claim

# It sorts behind every letter, so derivatives stand behind what they are multiplied by.
MARK = "∎"
# Functions that have a sign of their own, so that no name is shorter: A⁻¹, A³.
WITH_SIGNS = (inv, matrix_power)
# Formulas with more names than this have their longest sums and products cut short inside a derivation;
# what is still longer than that has dots for its innermost parts.
ELIDED_LEAVES, MOST_LEAVES = 60, 200
MOST_TERMS = 8


@dataclass(frozen=True)
class Subject:
    """What is explained.

    expr       the formula as it was written
    wrt        the variable
    variables  every variable of the formula
    names      the parts that the person named
    letter     what the value of the formula is called
    given      abbreviations for the answer
    at_kink    the derivative taken at the kink of relu, and of a maximum or minimum with a constant
    notation   a second way in which the answer is written: sums, index, kron or map
    profile    whose signs are used
    origin     the derivative that the formula is, when one is derived again
    together   the scalars that are differentiated by as one, `wrt` among them; () for `wrt` alone
    loss       whether it is one to be made small, so that an update step is shown; C, L and J are
    layers     the recursion of a program of layers that is explained for all of `together` at once
    """

    expr: Expr
    wrt: Variable
    variables: tuple[Variable, ...]
    names: Mapping[str, Expr]
    layout: str
    letter: str
    given: Mapping[str, Expr] = field(default_factory=dict)
    at_kink: Fraction = Fraction(0)
    notation: str = "matrix"
    profile: str | None = None
    origin: Tree | None = None
    together: tuple[Variable, ...] = ()
    loss: bool = False
    layers: Recursion | None = None

    @cached_property
    def flow(self) -> Flow:
        """The formula in steps; those that `wrt` does not move too, where another variable moves them."""
        if self.layers is not None:
            return _layered(self.layers, self.letter)
        moving = self.together or (self.wrt,)
        steps = flow(self.expr, moving, self.names, output=self.letter, taken=self.taken)
        return replace(steps, wrt=(self.wrt,))

    @cached_property
    def taken(self) -> frozenset[str]:
        """Names that nothing else may have."""
        sizes = dim_names(self.expr, *self.variables)
        return frozenset({*sizes, *(v.name for v in self.variables), *self.names, self.letter})


def _layered(layers: Recursion, letter: str) -> Flow:
    """The steps of a program of layers under the name of its value, those of the loss joined."""
    *parts, last = layers.steps.parts
    named = replace(last, symbol=Variable(letter, last.symbol.shape))
    steps = Flow(tuple(layers.gradients), (*parts, named))
    shown = [*(delta.value for delta in layers.deltas), *layers.gradients.values()]
    kept = {name for value in shown for name in variables(value)}
    return coarse(steps, kept, {delta.of for delta in layers.deltas})


class Board:
    """One derivation while it is being written: its symbols, and what its lines claim."""

    def __init__(self, subject: Subject, steps: Flow) -> None:
        self.subject, self.flow = subject, steps
        self.wrt = subject.wrt
        self.output = steps.output
        self.layout = chain_layout(self.output.symbol.rank, subject.layout)
        # The style that the derivation is written in.
        self.style = ""
        self.claims: list[Claim] = []
        self.wholes: dict[Expr, Expr] = {part.symbol: part.whole for part in steps.parts}
        self._locals: dict[tuple[Part, Variable], Expr] = {}
        self._marks: dict[Tree, Tree] = {}
        self._readers: Readers = {}
        # What a recursion ends with: left side, right side, sizes.
        self.recursion: tuple[Tree, Tree, str] | None = None
        # What placeholders in claims stand for, written out.
        self.held: list[tuple[Variable, Expr]] = []

    # ------------------------------------------------------------ facts

    @cached_property
    def several(self) -> bool:
        """Whether more than one path leads from the variable to the output."""
        return self.flow.count_paths(self.wrt) > 1

    @cached_property
    def alone(self) -> bool:
        """Whether the formula has one variable, a scalar, so that d/dx is written, not ∂/∂x."""
        inputs = variables(self.subject.expr)
        return inputs == (self.wrt,) and not self.wrt.rank and not self.output.symbol.rank

    @cached_property
    def moving(self) -> tuple[Part, ...]:
        """The parts on a path from the variable to the output."""
        reach: set[Variable] = {self.output.symbol}
        for part in reversed(self.flow.parts):
            if part.symbol in reach:
                reach.update(self.flow.arguments(part))
        return tuple(p for p in self.flow.parts if p.symbol in reach and self.flow.arguments(p))

    @cached_property
    def has_axes(self) -> bool:
        """Whether anything on the way is a vector or a matrix, so that sizes and layouts matter."""
        return bool(self.wrt.rank) or any(p.symbol.rank for p in self.moving)

    @property
    def definitions(self) -> tuple[tuple[Variable, Expr], ...]:
        """The intermediate variables, and derivatives that stand in claims, written out."""
        return (*((part.symbol, part.whole) for part in self.flow.parts), *self.held)

    def simplified(self, value: Expr, argument: Variable) -> Expr:
        """∂value/∂argument at its simplest."""
        return simplify(jacobians(value, [argument], self.subject.at_kink)[argument])

    def local(self, part: Part, argument: Variable) -> Expr:
        """∂part/∂argument, every other name held fixed, at its simplest; axes of the part, then the argument.

        Raises: NoDerivative.
        """
        key = part, argument
        if key not in self._locals:
            self._locals[key] = self.in_names(self.simplified(part.value, argument))
        return self._locals[key]

    @cached_property
    def _called(self) -> dict[Expr, Expr]:
        """The symbols of parts that are calls of a function of whole arrays, such as cholesky(A)."""
        return {
            part.value: part.symbol
            for part in self.flow.parts
            if isinstance(part.value, Apply)
            and isinstance(part.value.function, Tensorial)
            and part.value.function not in WITH_SIGNS
            and part.symbol.rank
        }

    def in_names(self, value: Expr) -> Expr:
        """A local derivative in the names of the parts: diag(p) − ppᵀ, where p = softmax(z) is one."""
        return substitute(value, self._called) if self._called else value

    def written_out(self, expr: Expr) -> Expr:
        """An expression in symbols in terms of the formula's variables."""
        return substitute(expr, self.wholes)

    @cached_property
    def derivative(self) -> Expr:
        """The derivative of the whole formula at its simplest."""
        return self.simplified(self.subject.expr, self.wrt)

    @cached_property
    def abbreviated(self) -> Introduced:
        """The derivative with the parts standing out that the person gave names to."""
        return introduced(self.derivative, self.subject.given)

    def inward(self, value: Expr, argument: Variable, *, differential: bool = False) -> Inward:
        """The derivative of a part, pushed inward rule by rule."""
        return Inward(value, argument, differential=differential, at_kink=self.subject.at_kink)

    def taken(self, expr: Expr, argument: Variable) -> Expr:
        """An expression with the derivatives in it taken."""
        return taken(expr, argument, at_kink=self.subject.at_kink)

    def reason(self, part: Part, argument: Variable) -> str:
        """Why a local derivative is what it is."""
        return rule(part, argument, self.flow, self.subject.at_kink)

    def reasons(self, part: Part) -> str:
        """Why the differential of a part is what it is."""
        return of_differential(part, self.flow, self.subject.at_kink)

    # ------------------------------------------------------------ symbols

    @property
    def total_sign(self) -> str:
        """How a total derivative is written: with d where ∂ is a direct partial derivative."""
        direct = self.several and self.style == "variables"
        return "d" if direct or self.alone else "∂"

    def symbol(self, variable: Variable) -> Tree:
        """A variable as it is written."""
        return m.name(variable.name)

    def total(self, symbol: Variable) -> Tree:
        """The total derivative of an intermediate variable by the variable."""
        return m.derivative(self.symbol(symbol), self.symbol(self.wrt), self.total_sign)

    def partial(self, part: Part, argument: Variable) -> Tree:
        """The local derivative of a part, written with d where nothing is held fixed."""
        alone = len(self.flow.arguments(part)) == 1
        plain = alone and (self.alone or (self.several and argument is self.wrt))
        return m.derivative(self.symbol(part.symbol), self.symbol(argument), "d" if plain else "∂")

    def placeholder(self, tree: Tree, shape: Sequence[Dim], turned: bool = False) -> Variable:
        """A variable of that shape which is written as `tree`, or stands for its transpose if turned."""
        # Padded, so that they sort in the order in which they were made.
        variable = Variable(f"{MARK}{len(self._marks):04}", tuple(shape))
        self._marks[m.name(variable.name)] = m.transpose(tree) if turned else tree
        return variable

    # ------------------------------------------------------------ trees

    def tree(self, expr: Expr, turned: bool = False) -> Tree:
        """An expression as it is written; long sums inside a derivation are cut short."""
        return elided(self.present(expr, turned).tree)

    def typed(self, expr: Expr, turned: bool = False) -> Tree:
        """An expression with its terms in the order in which the person typed them."""
        return elided(self.present(expr, turned, as_typed=True).tree)

    def present(self, expr: Expr, turned: bool = False, *, as_typed: bool = False) -> Presentation:
        """An expression as it is written, with what its axes are called where it has too many."""
        shown = self._hidden(expr, as_typed)
        (written,), _ = present_many(
            [Request(shown, turned)],
            taken=self.subject.taken,
            abbreviate=False,
            as_typed=as_typed,
            readers=self._readers,
        )
        names = [m.name(v.name) for v in variables(shown) if v.name.startswith(MARK)]
        if not names:
            return written
        tree = m.replace_leaves(written.tree, {name: self._marks[name] for name in names})
        return Presentation(tree, written.form, written.indices, written.vec, written.part)

    def _hidden(self, expr: Expr, as_typed: bool = False) -> Expr:
        """The expression with derivatives that are not taken as placeholders."""
        found: dict[Expr, Expr] = {}
        for node in topological([expr]):
            if is_unevaluated(node):
                found[node] = self.unevaluated(node, as_typed)
        return substitute(expr, found) if found else expr

    def unevaluated(self, node: Expr, as_typed: bool = False) -> Variable:
        """A placeholder for a derivative that is not taken."""
        assert isinstance(node, Apply)
        body = node.arguments[0]
        inner = self.typed(body) if as_typed else self.tree(body)
        if node.rank == body.rank and self.wrt.rank:
            return self.placeholder(m.differential(inner), node.shape)
        turned = is_turned(body.rank, self.wrt.rank, self.layout)
        sign = "d" if self.alone else "∂"
        tree = m.operator(inner, self.symbol(self.wrt), sign)
        return self.placeholder(tree, node.shape, turned)

    def jacobian(self, expr: Expr, output: int, inputs: int) -> Tree:
        """A derivative with that many output and input axes, in the layout of the chain."""
        return self.tree(expr, is_turned(output, inputs, self.layout))

    def result(self, expr: Expr) -> Tree:
        """A derivative of the formula by the variable, in the layout that was asked for."""
        turned = is_turned(self.output.symbol.rank, self.wrt.rank, self.subject.layout)
        return self.tree(expr, turned)

    def sizes(self, output: Variable, argument: Variable) -> str:
        """The sizes of a Jacobian in the layout of the chain."""
        return layout_sizes(output.shape, argument.shape, self.layout)

    def result_typed(self, expr: Expr) -> Tree:
        """The same with the terms of sums in the order in which they stand."""
        turned = is_turned(self.output.symbol.rank, self.wrt.rank, self.subject.layout)
        return self.typed(expr, turned)

    def result_sizes(self) -> str:
        """The sizes of the derivative in the layout that was asked for."""
        return layout_sizes(self.output.symbol.shape, self.wrt.shape, self.subject.layout)

    def chained(self, factors: Sequence[tuple[Expr, int]], inputs: int) -> Expr:
        """The product of Jacobians, outermost first; each with the number of its output axes."""
        product, output = factors[0]
        for factor, middle in factors[1:]:
            inner = factor.rank - middle
            front = tuple(range(output))
            shared = tuple(range(output, output + middle))
            back = tuple(range(output + middle, output + middle + inner))
            product = Einsum(ONE, (product, factor), (front + shared, shared + back), front + back)
        assert product.rank == output + inputs
        return product

    # ------------------------------------------------------------ claims

    def claim(self, name: str, value: Expr, of: Expr, by: Expr | None = None) -> Expr:
        """Notes what a line claims; gives the value."""
        self.claims.append(Claim(name, value, of, by))
        return value


def elided(tree: Tree) -> Tree:
    """A tree whose longest sums and products show only their first and last parts."""
    if tree.leaves <= ELIDED_LEAVES:
        return tree
    shown = m.fold(tree, _shortened)
    return shown if shown.leaves <= MOST_LEAVES else _cut(shown, MOST_LEAVES)


def _shortened(node: Tree, args: list[Tree]) -> Tree:
    data = node.data
    if len(args) > MOST_TERMS and node.op in ("sum", "times", "chain", "scale", "product"):
        if node.op == "sum":
            data = (*data[: MOST_TERMS - 3], 1, data[-1])
        args = [*args[: MOST_TERMS - 3], m.DOTS, args[-1]]
    return m.tree(node.op, args, data) if args else node


def _cut(tree: Tree, most: int) -> Tree:
    """A tree with dots for what lies too deep in it for so many names."""
    if tree.leaves <= most or not tree.args:
        return tree
    if most <= len(tree.args):
        return m.DOTS
    share = (most - 1) // len(tree.args)
    return m.tree(tree.op, [_cut(part, share) for part in tree.args], tree.data)
