"""The way back through a program of layers: what each part receives from those that read it.

In: a Board with the steps of the program, and its Recursion. Out: for each part, from the output back, and
for each parameter the gradient in terms of the gradients above it, with a claim that it is upstream × local,
those above held fixed; and the lines that tell it. So every δ is compared by itself, and the work grows with
the depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chainrule.derive import pulled_back
from chainrule.derive.flow import Part
from chainrule.explain.board import Board, elided
from chainrule.explain.coarse import places
from chainrule.explain.derivation import Line, Words
from chainrule.explain.folding import kind
from chainrule.explain.words import words_text
from chainrule.expr.nodes import Apply, Expr, Sum, Variable, number
from chainrule.expr.walk import substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.recursion import Delta, Recursion, barred
from chainrule.notation.text import sizes_text, to_text
from chainrule.rules.table import Row
from chainrule.simplify import matrix_free, simplify
from chainrule.steps import Claim

UPSTREAM = "upstream × local"


@dataclass(frozen=True, slots=True)
class Received:
    """The gradient by a part or a parameter, in its shape.

    symbol   what it is the gradient by
    name     what it is called
    value    in terms of the names of those above
    readers  the parts that read it
    delta    the same in the recursion; None for what has no name there
    kind     the same for what is found in the same way
    """

    symbol: Variable
    name: Variable
    value: Expr
    readers: tuple[Part, ...]
    delta: Delta | None
    kind: str


class Upstream:
    """One sweep from the output back.

    parts       what the parts receive, in that order
    parameters  what the parameters receive, those of the last layers first
    """

    def __init__(self, board: Board, layers: Recursion, taken: Iterable[str]) -> None:
        self.board, self.layers = board, layers
        self.used = {*taken, *(d.symbol.name for d in layers.deltas), *(p.name for p in board.flow.parts)}
        self.deltas = {delta.of: delta for delta in layers.deltas}
        self.names: dict[Variable, Expr] = {board.output.symbol: number(1)}
        self.wholes: dict[Expr, Expr] = {**board.wholes}
        self.received: dict[Variable, list[Expr]] = {}
        # What has been put into the formula of a layer that is told by that alone.
        self.unshown: dict[Expr, Received] = {}
        self._pass_on(board.output)
        self.parts: list[Received] = []
        for part in reversed(board.moving[:-1]):
            self.parts.append(self._part(part))
            self._pass_on(part)
        order = {symbol: k for k, symbol in enumerate(self.received)}
        parameters = [v for v in board.flow.wrt if v in order]
        self.parameters = [self._parameter(v) for v in sorted(parameters, key=order.__getitem__)]

    # ------------------------------------------------------------ what is received

    def _pass_on(self, part: Part) -> None:
        """Upstream × local to everything that the part reads."""
        arguments = self.board.flow.arguments(part)
        found = pulled_back(part.value, self.names[part.symbol], arguments, self.board.subject.at_kink)
        for argument in arguments:
            # What a function gives is known by its name: 1 − h² for 1 − tanh(z)².
            own = substitute(found[argument], {part.value: part.symbol})
            self.received.setdefault(argument, []).append(own)

    def _gradient(self, symbol: Variable) -> Expr:
        terms = self.received[symbol]
        return self.layers.shown(matrix_free([terms[0] if len(terms) == 1 else Sum(terms)])[0])

    def _part(self, part: Part) -> Received:
        delta = self.deltas.get(part.symbol)
        value = self._gradient(part.symbol)
        name = delta.symbol if delta else Variable(self._free(barred(part.name)), part.symbol.shape)
        whole = delta.whole if delta else substitute(value, self.wholes)
        self.names[part.symbol] = name
        self.wholes[name] = whole
        self.board.held.append((name, whole))
        self._claim(to_text(m.name(name.name)), part.symbol, value)
        if delta:
            # The name stands for this value, and for this in the names of the answer.
            self.board.claim(to_text(m.name(name.name)), value, name)
            self.board.claim(to_text(m.name(name.name)), self.layers.shown(delta.value), name)
        return self._told(part.symbol, name, value, delta)

    def _parameter(self, variable: Variable) -> Received:
        value = self._gradient(variable)
        name = f"∂{self.board.output.name}/∂{to_text(m.name(variable.name))}"
        self._claim(name, variable, value)
        self.board.claim(name, value, self.layers.wholes[variable])
        self.board.claim(name, value, self.layers.shown(self.layers.gradients[variable]))
        return self._told(variable, variable, value, None)

    def _told(self, symbol: Variable, name: Variable, value: Expr, delta: Delta | None) -> Received:
        readers = tuple(r for r in self.board.flow.users(symbol) if r.symbol in self.names)
        found = [f"{self.board.flow.arguments(r).index(symbol)} of {kind(r.value)}" for r in readers]
        return Received(symbol, name, value, readers, delta, "; ".join(found))

    def _free(self, name: str) -> str:
        while name in self.used:
            name += "_"
        self.used.add(name)
        return name

    def _claim(self, name: str, symbol: Variable, value: Expr) -> None:
        """That the value is the derivative of what reads the symbol, times what comes from above."""
        reached = [
            part.value if part is self.board.output else (self.names[part.symbol] * part.value).sum()
            for part in self.board.flow.users(symbol)
            if part.symbol in self.names
        ]
        self.board.claim(name, value, reached[0] if len(reached) == 1 else Sum(reached), symbol)

    # ------------------------------------------------------------ lines

    def revealed(self, value: Expr) -> list[Line]:
        """The gradients in a value that have not been told yet."""
        lines: list[Line] = []
        for name in variables(value):
            own = self.unshown.pop(name, None)
            if own is not None:
                lines += self.revealed(own.value)
                words: Words = ("the gradient by ", self.board.symbol(own.symbol))
                size = sizes_text(own.symbol.shape)
                lines.append(written(self.board, m.name(own.name.name), own.value, words, size))
        return lines

    def locals(self, own: Received, told: set[str]) -> list[Line]:
        """The local derivatives of the readers, as far as nothing like them has been told."""
        lines: list[Line] = []
        for reader in own.readers:
            arguments = self.board.flow.arguments(reader)
            what = f"{arguments.index(own.symbol)} of {kind(reader.value)}"
            if reader is not self.board.output and what not in told:
                told.add(what)
                lines.append(self._local(reader, own.symbol))
        return lines

    def _local(self, reader: Part, symbol: Variable) -> Line:
        board = self.board
        reason = (board.reason(reader, symbol),)
        if self.is_linear(reader, symbol):
            inward = board.inward(reader.value, symbol, differential=True)
            moved = inward.moved
            value = self.layers.shown(substitute(simplify(inward.end), {reader.value: reader.symbol}))
            board.claims.append(Claim(f"d{reader.name}", value, reader.value, symbol, moved))
            shown = substitute(value, {moved: board.placeholder(self._moved(symbol), symbol.shape)})
            left, sizes = self._moved(reader.symbol), sizes_text(reader.symbol.shape)
            return replace(written(board, left, shown, reason, sizes), value=value)
        value = substitute(board.local(reader, symbol), {reader.value: reader.symbol})
        value = self.layers.shown(value)
        board.claim(f"∂{reader.name}/∂{symbol.name}", value, reader.value, symbol)
        left = m.derivative(board.symbol(reader.symbol), board.symbol(symbol))
        tree = board.jacobian(value, reader.symbol.rank, symbol.rank)
        return Line(left, tree, reason, board.sizes(reader.symbol, symbol), value=value)

    @staticmethod
    def is_linear(reader: Part, symbol: Variable) -> bool:
        """Whether the local derivative is told as a differential: as an array it has too many axes."""
        return max(reader.symbol.rank, symbol.rank) > 1

    def _moved(self, symbol: Variable) -> Tree:
        return m.differential(self.board.symbol(symbol))

    def reason(self, own: Received) -> Words:
        """Why the gradient is what it is."""
        board = self.board
        if own.readers == (board.output,):
            value = board.output.value
            inside = [n for n in topological([value]) if isinstance(n, Apply) and own.symbol in variables(n)]
            if len(variables(value)) > 1 and places(own.symbol, value) == 1 and not inside:
                return (board.symbol(board.output.symbol), " is linear in ", board.symbol(own.symbol))
            if says := dict.fromkeys(n.function.says for n in inside if isinstance(n.function, Row)):
                return (" and ".join(says),)
            return (board.reason(board.output, own.symbol),)
        if len(own.readers) > 1:
            names: list[str | Tree] = []
            for k, reader in enumerate(own.readers):
                names += [" and " if k == len(own.readers) - 1 else ", "] * bool(k)
                names.append(board.symbol(reader.symbol))
            return (f"{UPSTREAM}, the sum over what reads ", board.symbol(own.symbol), ": ", *names)
        return (UPSTREAM, *self._read_off(own))

    def _read_off(self, own: Received) -> Words:
        """tr(Δᵀ dH W) = tr((Δ Wᵀ)ᵀ dH): what the differential is multiplied by."""
        (reader,) = own.readers
        local = self._local(reader, own.symbol)
        if words_text(local.reason).startswith("element-wise"):
            return (", entry by entry",)
        if not self.is_linear(reader, own.symbol) or local.right.op != "chain":
            return ()
        before = self.paired(self.name_of(reader), local.right, reader.symbol)
        after = self.paired(self.board.tree(own.value), self._moved(own.symbol), own.symbol)
        return (": ", before, " = ", after)

    def name_of(self, part: Part) -> Tree:
        """What the gradient by a part is called, as it is written."""
        name = self.names[part.symbol]
        assert isinstance(name, Variable)
        return m.name(name.name)

    @staticmethod
    def paired(gradient: Tree, moved: Tree, of: Variable) -> Tree:
        """The change of the output: gᵀ dx, and tr(Gᵀ dX) for a matrix."""
        turned = m.transpose(gradient) if gradient.op == "name" else m.tree("transpose", (gradient,))
        return m.chain(turned, moved) if of.rank < 2 else m.call("tr", m.chain(turned, moved))


def written(
    board: Board, left: Tree, value: Expr, reason: Words, size: str = "", *, turned: bool = False
) -> Line:
    """A line left = value; where the right side is by entries, the left side has its indices too."""
    right = board.present(value, turned)
    if right.form == "index" and right.indices:
        left = m.tree("entry", (left,), right.indices)
    return Line(left, elided(right.tree), reason, size, value=value)


def groups(parts: Sequence[Received]) -> list[list[Received]]:
    """What is received, each group up to a name of the recursion."""
    found: list[list[Received]] = [[]]
    for part in parts:
        found[-1].append(part)
        if part.delta:
            found.append([])
    return [group for group in found if group]
