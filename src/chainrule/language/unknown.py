"""Functions left unknown: declarations, `f: scalar, g: elementwise, h: n->m`, and their calls.

In: the declarations as a text or a mapping. Out: Functions, which knows each by name. A call carries its
order with it: f′(u), f″(u), f⁽³⁾(u) of one argument, ∂₁f(u, v), ∂₁²∂₂f(u, v) of several, ∇h(u) and ∇₂h(u,
v) of a scalar h by a vector; `marks` reads these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.errors import ChainruleError, OptionError, ShapeMismatch, Span, SyntaxProblem, UnknownName
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Expr, Shape, broadcast
from chainrule.language.declarations import RESERVED, Declarations, Reader, shape_text
from chainrule.language.marks import Marked, read_call, stored
from chainrule.language.syntax import Call, Statement, post_order
from chainrule.language.tokens import Token
from chainrule.rules.unknown import Unknown, UnknownMap, apply_unknown, entrywise, map_of

EXAMPLE = "declare as in f: scalar, g: elementwise, h: n->m"
KINDS = ("scalar", "elementwise")
HIGHEST_ORDER = 12


@dataclass(frozen=True, slots=True)
class Declared:
    """One function: a number of arguments (None until it is used), the shapes of these and of the value.

    kind  "scalar", "elementwise" or "map"
    """

    name: str
    kind: str
    arity: int | None
    place: Span
    inputs: tuple[Shape, ...] = ()
    output: Shape = ()

    def row(self, arity: int) -> Unknown:
        """Its row, for that many arguments."""
        if self.kind == "map":
            return map_of(self.name, tuple(len(shape) for shape in self.inputs), len(self.output))
        return entrywise(self.name, arity, self.kind == "scalar")

    def builder(self, orders: tuple[int, ...]) -> Callable[..., Expr]:
        """What makes the derivative of these orders from its arguments.

        It raises ShapeMismatch if they do not fit.
        """

        def build(*arguments: Expr) -> Expr:
            row = self.row(len(arguments))
            if isinstance(row, UnknownMap):
                self.fit([a.shape for a in arguments])
                return apply_unknown(row, arguments, orders, self.output)
            return apply_unknown(row, broadcast(arguments), orders)

        return build

    def fit(self, shapes: Sequence[Shape]) -> None:
        """Raises ShapeMismatch unless the arguments have the declared shapes."""
        for k, (wanted, shape) in enumerate(zip(self.inputs, shapes, strict=True), 1):
            which = f"argument {k} of {self.name}" if len(shapes) > 1 else f"the argument of {self.name}"
            hint = f"{self.name} is declared as {self.name}: {self.signature}"
            if len(wanted) != len(shape):
                given = ("a scalar", "a vector", "a matrix")[len(shape)] if len(shape) < 3 else "a tensor"
                raise ShapeMismatch(f"{which} is {shape_text(wanted)}, not {given}", hint=hint)
            for dim, found in zip(wanted, shape, strict=True):
                if dim != found:
                    whole = f"not {'of ' * (len(shape) == 1)}{'×'.join(map(str, shape))}"
                    raise ShapeMismatch(
                        f"{which} is {shape_text(wanted)}, {whole}", dims=(dim, found), hint=hint
                    )

    @property
    def signature(self) -> str:
        """The declaration of its kind: scalar(2), n,p->m."""
        if self.kind != "map":
            return self.kind + (f"({self.arity})" if self.arity and self.arity > 1 else "")
        inputs = ",".join(map(dim_words, self.inputs))
        return f"{inputs}->{dim_words(self.output) if self.output else ''}"

    @property
    def words(self) -> str:
        """What it is, for people: scalar function, function n, p → m."""
        if self.kind != "map":
            return f"{self.kind} function"
        inputs, output = (
            ", ".join(" × ".join(map(str, shape)) or "scalar" for shape in shapes)
            for shapes in (self.inputs, (self.output,))
        )
        return f"function {inputs} → {output}"


@dataclass(frozen=True, slots=True)
class Functions:
    """The declared functions by name."""

    source: str = ""
    declared: Mapping[str, Declared] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.declared)

    @property
    def dims(self) -> tuple[str, ...]:
        """The named sizes in their declarations."""
        shapes = [s for d in self.declared.values() for s in (*d.inputs, d.output)]
        return tuple(dict.fromkeys(name for shape in shapes for dim in shape for name in dim.names))

    def find(self, called: str) -> Declared | None:
        """The function that a call names, order marks and all."""
        if not self.declared:
            return None
        return self.declared.get(stored(read_call(called).name, self.declared))

    def said(self) -> list[str]:
        """What they are, for people.

        >>> parse_functions("f: scalar, h: n->m, g: scalar").said()
        ['f, g: unknown scalar functions', 'h: unknown function n → m']
        """
        kinds: dict[str, list[str]] = {}
        for function in self.declared.values():
            kinds.setdefault(function.words, []).append(pretty(function.name))
        return [
            f"{', '.join(names)}: unknown {words.replace('function', 'functions') if names[1:] else words}"
            for words, names in kinds.items()
        ]

    def text(self) -> str:
        """The declaration, as it can be read again.

        >>> parse_functions({"h": "n -> 1", "f": "scalar"}).text()
        'h: n->, f: scalar'
        """
        return ", ".join(f"{d.name}: {d.signature}" for d in self.declared.values())


def dim_words(shape: Shape) -> str:
    """One argument or value as it is declared: scalar, n, [m,n]."""
    sizes = ",".join(map(str, shape))
    return f"[{sizes}]" if len(shape) > 1 else sizes or "scalar"


NONE = Functions()
Given = str | Mapping[str, object] | Functions | None


def parse_functions(functions: Given, taken: Collection[str] = ()) -> Functions:
    """The declarations in `functions`; `taken` are the names of functions that the language has.

    Raises: a ChainruleError with the place in the declaration.

    >>> parse_functions("f: scalar, h: n,p->m").declared["h"].signature
    'n,p->m'
    """
    if isinstance(functions, Functions):
        return functions
    if not functions:
        return NONE
    if isinstance(functions, Mapping):
        functions = ", ".join(f"{name}: {kind}" for name, kind in functions.items())
    if not isinstance(functions, str):
        raise OptionError(f"functions is a text or a mapping, not {type(functions).__name__}", hint=EXAMPLE)
    return _FunctionReader(functions, taken).read()


class _FunctionReader(Reader):
    """Reads name: kind, one after the other."""

    example = EXAMPLE

    def __init__(self, text: str, taken: Collection[str]) -> None:
        super().__init__(text.replace("→", ">"))
        self.text, self.taken = text, taken

    def read(self) -> Functions:
        found: dict[str, Declared] = {}
        while not self.done():
            declared = self.one()
            if declared.name in found:
                raise self.problem(
                    f"{declared.name} is declared twice", declared.place, "declare each name once"
                )
            found[declared.name] = declared
        functions = Functions(self.text, found)
        for name in functions.dims:
            if name in found:
                hint = "rename one of the two"
                raise self.problem(f"{name} is a function and a size at once", found[name].place, hint)
        return functions

    def one(self) -> Declared:
        token = self.next()
        if token.kind != "name" or token.text in RESERVED:
            raise self.problem(
                f"a declaration begins with the name of a function, not `{token.text}`", token.span
            )
        name = ascii_name(token.text)
        if name in self.taken or token.text in self.taken or name in ("e", "pi", "I"):
            what = "a function" if name in self.taken or token.text in self.taken else "a constant"
            raise self.problem(f"{token.text} is {what} of the language", token.span, "give it another name")
        colon = self.next()
        if colon.text != ":":
            place = colon.span if colon.kind != "end" else token.span
            raise self.problem(f"the kind of {token.text} is missing", place)
        return self.kind(name, token.span, self.specification(token))

    def specification(self, name: Token) -> list[Token]:
        """The tokens up to the next declaration."""
        tokens: list[Token] = []
        while self.peek().kind != "end":
            following = [
                *self.tokens[self.position + 1 : self.position + 3],
                self.tokens[-1],
                self.tokens[-1],
            ]
            ends = following[0].kind in ("name", "end") and (
                following[1].text == ":" or following[0].kind == "end"
            )
            if self.peek().text in (",", ";") and ends and tokens:
                break
            tokens.append(self.next())
        if not tokens:
            raise self.problem(f"the kind of {name.text} is missing", name.span)
        return tokens

    def kind(self, name: str, place: Span, tokens: list[Token]) -> Declared:
        arrow = next((k for k, t in enumerate(tokens) if t.text == ">"), None)
        if arrow is None:
            return Declared(name, tokens[0].text, self.arity(tokens), place)
        second = next((t for t in tokens[arrow + 1 :] if t.text == ">"), None)
        if second is not None:
            raise self.problem(
                "a function has one arrow", second.span, "h: n->m is a vector of m of a vector of n"
            )
        before = tokens[: arrow - (arrow > 0 and tokens[arrow - 1].text == "-")]
        inputs = tuple(self.shape_of(part, tokens[arrow]) for part in _split(before))
        after = tokens[arrow + 1 :]
        output = self.shape_of(after, tokens[arrow]) if after else ()
        if not output and not any(inputs):
            return Declared(name, "scalar", len(inputs), place)
        return Declared(name, "map", len(inputs), place, inputs, output)

    def arity(self, tokens: list[Token]) -> int | None:
        """The number in scalar(2)."""
        word, rest = tokens[0], tokens[1:]
        if word.text not in KINDS:
            raise self.problem(
                f"`{word.text}` is no kind of function",
                word.span,
                "kinds are scalar, elementwise, and sizes with an arrow, n->m",
            )
        if not rest:
            return None
        whole = rest[0].span.join(rest[-1].span)
        if [t.text for t in rest[::2]] != ["(", ")"] or not rest[1].text.isdigit() or not int(rest[1].text):
            raise self.problem(f"only a number of arguments follows, {word.text}(2)", whole)
        return int(rest[1].text)

    def shape_of(self, tokens: list[Token], arrow: Token) -> Shape:
        """The shape of one argument or of the value: a size, or scalar."""
        if not tokens:
            raise self.problem("a size is missing", arrow.span, "h: n->m is a vector of m of a vector of n")
        if len(tokens) == 1 and tokens[0].text in ("scalar", "1"):
            return ()
        if tokens[0].text != "[":
            return (self.dim(tokens),)
        whole = tokens[0].span.join(tokens[-1].span)
        parts = _split(tokens[1:-1])
        if tokens[-1].text != "]" or not all(parts) or len(parts) > 2:
            hint = "L: [m,n]-> is a scalar of a matrix of m rows and n columns"
            raise self.problem("in brackets stand the two sizes of a matrix", whole, hint)
        return tuple(map(self.dim, parts))


def _split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts between commas outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "[") - (token.text == "]")
        if token.text == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


# ---------------------------------------------------------------- what a formula does with them


def orders_of_call(marked: Marked, declared: Declared, arity: int) -> tuple[int, ...] | str:
    """How often it is differentiated by each argument, or why the marks make no sense."""
    name, orders = marked.name, [0] * arity
    gradient = declared.kind == "map" and not declared.output
    if marked.primes and gradient and len(declared.inputs[0]) > 1:
        return f"the derivative of a scalar by a matrix is written ∇{name}"
    if marked.primes and (arity > 1 or marked.marks):
        return f"a prime belongs to a function of one argument; of several, ∂₁{name} is by the first"
    orders[0] += marked.primes
    for mark, index, times in marked.marks:
        if index is None and arity > 1:
            return f"{name} has {arity} arguments; {mark}₁{name} is the derivative by the first"
        which = (index or 1) - 1
        if not 0 <= which < arity:
            return f"{name} has no argument number {index}"
        vector = declared.kind == "map" and bool(declared.inputs[which])
        if mark == "∇" and not (gradient and vector):
            right = f"{name}′" if arity == 1 else f"∂{which + 1}{name}"
            return f"∇ is the derivative of a scalar by a vector or matrix; here write {right}"
        orders[which] += times
    if sum(orders) > HIGHEST_ORDER:
        return f"derivatives of {name} go up to order {HIGHEST_ORDER}"
    return tuple(orders)


def check_names(
    functions: Functions, declared: Declarations, assigned: Mapping[str, Span], source: str
) -> None:
    """Raises if a function has the name of a variable, of a size or of a part of the formula."""
    for name, function in functions.declared.items():
        kind = "variable" if name in declared.variables else "size" if name in declared.dims else ""
        if kind:
            raise ShapeMismatch(
                f"{name} is declared as a function and as a {kind}",
                source=functions.source,
                spans=(function.place,),
                hint="rename one of the two",
            )
        if name in assigned:
            raise SyntaxProblem(
                f"{name} is declared as a function and given a value here",
                source=source,
                spans=(assigned[name],),
                hint="use another name for the part, or leave the function undeclared",
            )
    for dim in functions.dims:
        if dim in declared.variables or dim in assigned:
            raise ShapeMismatch(
                f"{dim} is a size in the declaration of a function and a "
                f"{'variable' if dim in declared.variables else 'part of the formula'}",
                source=functions.source,
                spans=(_size_place(functions, dim),),
                hint="rename one of the two",
            )


def _size_place(functions: Functions, dim: str) -> Span:
    places = re.finditer(r"[^\W\d]\w*", functions.source)
    return next(Span(*p.span()) for p in places if ascii_name(p[0]) == dim)


def with_arities(functions: Functions, statements: Sequence[Statement], source: str) -> Functions:
    """The functions with the numbers of arguments that the formula gives them; raises if they differ."""
    if not functions:
        return functions
    found = dict(functions.declared)
    places: dict[str, Span] = {}
    for statement in statements:
        for node in sorted(post_order(statement.value), key=lambda n: n.span.start):
            declared = functions.find(node.name) if isinstance(node, Call) else None
            if declared is None or not isinstance(node, Call):
                continue
            known, count = found[declared.name], len(node.arguments)
            if known.arity not in (None, count):
                raise _other_arity(known, node, places.get(declared.name), source)
            found[declared.name] = replace(known, arity=count)
            places.setdefault(declared.name, node.span)
    return replace(functions, declared=found)


def _other_arity(known: Declared, node: Call, first: Span | None, source: str) -> ChainruleError:
    count = len(node.arguments)
    return SyntaxProblem(
        f"{known.name} takes {known.arity} argument{'s' * (known.arity != 1)}, not {count}"
        + (", as elsewhere in the formula" if first else ""),
        source=source,
        spans=(first, node.span) if first else (node.span,),
        hint="a function has one number of arguments; give the other one a name of its own"
        if first
        else f"it is declared as {known.name}: {known.signature}",
    )


def bare(name: str, function: Declared, source: str, span: Span) -> UnknownName:
    """The error for a function without its arguments."""
    shown = ", ".join(("x", "y", "z", "u", "v")[: function.arity or 1])
    return UnknownName(
        f"{name} is a function left unknown",
        source=source,
        spans=(span,),
        hint=f"write its argument{'s' * ((function.arity or 1) > 1)} in brackets: {name}({shown})",
    )
