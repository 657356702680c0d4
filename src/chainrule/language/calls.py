"""Calls: the arguments of a function, as its entry in the table takes them."""

from __future__ import annotations

from chainrule.errors import ShapeMismatch, SyntaxProblem, UnknownName
from chainrule.expr import nodes
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr
from chainrule.language import functions, problems
from chainrule.language.context import Context
from chainrule.language.marks import read_call
from chainrule.language.syntax import Call, Listing, Node
from chainrule.language.unknown import Declared, orders_of_call
from chainrule.language.values import Value, as_dim

_TEXTS = frozenset({"ord", "reduction"})
_MIXED = frozenset(
    {
        *("outer", "dot", "kron", "einsum", "matmul", "solve", "concat", "concatenate", "stack"),
        *("take", "pick", "embedding", "one_hot", "rnn_step", "gru_step", "conv1d", "windows"),
    }
)


class Calls(Context):
    """Functions and methods."""

    def call(self, node: Call, parts: list[Value]) -> Value:
        """The value of a call."""
        if (declared := self.setting.functions.find(node.name)) is not None:
            return self.unknown(node, declared, parts)
        if node.name in ("vector", "matrix"):
            return self.filled(node, parts)
        entry = functions.TABLE[node.name]
        dotted = self.setting.source[: node.place.start].rstrip().endswith(".")
        if dotted and node.name in ("max", "min", "amax", "amin") and len(node.arguments) > 1:
            raise self.problem(
                f"the second argument of NumPy's {node.name} is an axis",
                node.span,
                hint="write axis=, or maximum(a, b) and minimum(a, b) entry by entry",
            )
        given, rest = parts[: len(node.arguments)], parts[len(node.arguments) :]
        named = {
            key: (part, value)
            for (key, part), value in zip(node.keywords.items(), rest, strict=True)
            if key in entry.expressions and not value.absent
        }
        options = self.options(node, entry, rest)
        letters = self.letters(node, entry)
        if letters.startswith("l"):
            written, values = self.listed(node, given)
            plain: list[object] = []
            letters = "x" * len(values)
        elif letters.startswith("d"):
            if self.setting.dialect == "matlab" and len(letters) == 1 and node.name in ("ones", "zeros"):
                raise self.problem(
                    f"{node.name}(n) is a square matrix in MATLAB",
                    node.span,
                    hint=f"write {node.name}(n, 1) for a column, {node.name}(n, n) for the matrix",
                )
            written, values = [], []
            plain = self.dims(node, given)
            for size_ in plain:
                if isinstance(size_, Dim) and size_.constant is not None and size_.constant < 1:
                    raise self.problem(f"{size_} is not a size", node.span, hint="sizes count from 1")
            letters = "d" * len(plain)
        else:
            taken = list(zip(letters, given, node.arguments, strict=True))
            written = [n for letter, _, n in taken if letter == "x"]
            values = [self.whole(v, n) for letter, v, n in taken if letter == "x"]
            plain = [self.argument(letter, v, n) for letter, v, n in taken if letter != "x"]
        if values:
            self.check_positive(node.span, values[0], node.name)
        keys = list(named)
        written = [*written, *(part for part, _ in named.values())]
        given_by_name = [self.whole(value, part) for part, value in named.values()]
        # max(a, b) is entry by entry; one argument is reduced.
        for value in values if entry.forces and not (entry.many and len(values) > 1) else []:
            self.forces(node, value, node.name)

        def make(*operands: Expr) -> Expr:
            exprs, others = iter(operands), iter(plain)
            plainly = [next(exprs) if letter == "x" else next(others) for letter in letters]
            return entry.build(*plainly, **options, **{key: next(exprs) for key in keys})

        if entry.tells is not None:
            sentence = entry.tells(*(v.expr for v in values), **{k: p.expr for k, (_, p) in named.items()})
            self.note(sentence)
        row = self.turned(node, values)
        made = self.built(make, [v.expr for v in [*values, *given_by_name]], node.span, written)
        return Value(made, row and made.rank == 1)

    def unknown(self, node: Call, declared: Declared, parts: list[Value]) -> Value:
        """The value of a function left unknown, or of its derivative."""
        if node.keywords:
            raise self.problem(f"{declared.name} has no options", node.span, hint="leave the keyword out")
        if not parts:
            raise self.problem(
                f"{declared.name} has no argument", node.span, hint=f"write {declared.name}(x)"
            )
        values = [self.whole(v, n) for v, n in zip(parts, node.arguments, strict=True)]
        orders = self.orders(node, declared, len(values))
        wrong = next((k for k, v in enumerate(values) if declared.kind == "scalar" and v.rank), None)
        if wrong is not None:
            given = node.arguments[wrong]
            raise ShapeMismatch(
                f"{declared.name} is a scalar function, and {self.text(given)} "
                f"{problems.is_text(values[wrong].expr.shape, self.sizes.shown)}",
                source=self.setting.source,
                spans=(given.span,),
                hint=f"declare {declared.name}: elementwise to apply it to each entry, "
                f"or {declared.name}: n->m for a vector function of a vector",
            )
        made = self.built(declared.builder(orders), [v.expr for v in values], node.span, node.arguments)
        row = made.rank == 1 and (
            self.turned(node, values) if declared.kind != "map" else _is_row(node.name, declared)
        )
        return Value(made, row)

    def orders(self, node: Call, declared: Declared, arity: int) -> tuple[int, ...]:
        """How often the called function is differentiated by each argument."""
        found = orders_of_call(read_call(node.name), declared, arity)
        if isinstance(found, str):
            raise self.problem(
                found, node.place, hint="f′(u), ∂₁f(u, v), ∇h(u) are derivatives of unknown functions"
            )
        return found

    def letters(self, node: Call, entry: functions.Entry) -> str:
        """A letter for each argument; raises where there are too many or too few."""
        count, most = len(node.arguments), len(entry.takes)
        least = most - entry.optional
        if least <= count <= most or (entry.many and count >= least):
            return (entry.takes + entry.takes[-1] * count)[:count]
        wanted = f"{least} or more" if entry.many else str(most) if least == most else f"{least} or {most}"
        options = f" (and {'=, '.join(entry.keywords)}=)" if entry.keywords else ""
        raise SyntaxProblem(
            f"{node.name} takes {wanted} argument{'' if wanted == '1' else 's'}{options}, not {count}",
            source=self.setting.source, spans=(node.span,), hint=f"{node.name}: {entry.summary}",
        )  # fmt: skip

    def dims(self, node: Call, given: list[Value]) -> list[object]:
        """The sizes of ones(m, n) or ones((m, n))."""
        if len(given) == 1 and given[0].items is not None and isinstance(node.arguments[0], Listing):
            return [self.size(v, n) for v, n in zip(given[0].items, node.arguments[0].entries, strict=True)]
        return [self.size(self.whole(v, n), n) for v, n in zip(given, node.arguments, strict=True)]

    def listed(self, node: Call, given: list[Value]) -> tuple[list[Node], list[Value]]:
        """The parts of stack and concat, given one by one or as a list."""
        parts: list[Node] = node.arguments
        if len(given) == 1 and given[0].items is not None and isinstance(node.arguments[0], Listing):
            parts, given = node.arguments[0].entries, list(given[0].items)
        return parts, [self.whole(v, n) for v, n in zip(given, parts, strict=True)]

    def turned(self, node: Call, values: list[Value]) -> bool:
        """Whether a rank-1 result is a row: an entrywise function of rows gives a row."""
        vectors = [v for v in values if v.rank == 1]
        if not vectors or node.name in _MIXED:
            return False
        if len({v.row for v in vectors}) > 1:
            raise ShapeMismatch(
                f"{node.name} is given a row and a column",
                source=self.setting.source,
                spans=tuple(a.span for a in node.arguments),
                hint="transpose one of them",
            )
        return vectors[0].row

    def argument(self, letter: str, value: Value, node: Node) -> object:
        if letter == "s":
            if value.text is None:
                raise self.problem(
                    "einsum begins with its letters in quotes", node.span, hint="einsum('ij,j->i', A, x)"
                )
            return value.text
        if letter == "o" and value.text is not None:
            return value.text
        if letter == "o" and not self.whole(value, node).rank and not _is_integer(value):
            return value.expr
        if letter == "n":
            return self.nested(value, node)
        found = as_dim(value.constant)
        if found is None or found.constant is None:
            raise self.problem(
                f"an integer stands here, not {self.text(node)}", node.span, hint="write a number"
            )
        return found.constant

    def nested(self, value: Value, node: Node) -> object:
        """A size, or sizes in brackets: 3, n, (2, −1), ((1, 1), (0, 2))."""
        if value.items is not None and isinstance(node, Listing):
            return tuple(self.nested(v, n) for v, n in zip(value.items, node.entries, strict=True))
        return self.size(self.whole(value, node), node)

    def options(self, node: Call, entry: functions.Entry, values: list[Value]) -> dict[str, object]:
        options: dict[str, object] = {}
        for (key, part), value in zip(node.keywords.items(), values, strict=True):
            if key in entry.expressions:
                continue
            if key not in entry.keywords:
                known = ", ".join(f"{k}=" for k in (*entry.keywords, *entry.expressions))
                raise UnknownName(
                    f"{node.name} has no option {key}=",
                    source=self.setting.source,
                    spans=(part.span,),
                    hint=f"it has {known}" if known else "it has no options",
                )
            if value.items is not None:
                options[key] = tuple(self.argument("i", v, part) for v in value.items)
            elif value.absent:
                options[key] = None
            else:
                options[key] = self.argument("o" if key in _TEXTS else "i", value, part)
        if "keepdims" in options:
            options["keepdims"] = bool(options["keepdims"])
        return options

    def filled(self, node: Call, parts: list[Value]) -> Value:
        """vector(c) and matrix(c) of the MATLAB dialect: c in every entry, of whatever size fits."""
        if len(parts) != 1 or self.whole(parts[0], node.arguments[0]).rank:
            raise self.problem(f"{node.name} takes one scalar", node.span, hint=f"{node.name}(1)")
        shape = tuple(self.fresh(node, slot) for slot in range(1 if node.name == "vector" else 2))
        return Value(nodes.broadcast_to(parts[0].expr, shape))


def _is_integer(value: Value) -> bool:
    found = as_dim(value.constant)
    return found is not None and found.constant is not None


def _is_row(name: str, declared: Declared) -> bool:
    """h′(u) of a scalar h by a vector is a row, the 1 × n Jacobian; ∇h(u) is a column."""
    return bool(read_call(name).primes) and not declared.output
