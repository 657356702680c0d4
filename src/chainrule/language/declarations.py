"""Declarations, X[N,n] w[n] b y[N]:sign: a size in brackets for each axis, a structure after a colon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from chainrule.errors import OptionError, ShapeMismatch, Span, SyntaxProblem, UnknownName
from chainrule.expr.dims import Dim
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Variable
from chainrule.language.limits import MAX_DEGREE, MAX_RANK
from chainrule.language.parser import Parser
from chainrule.language.syntax import Add, Binary, Name, Number, Prefix, post_order
from chainrule.language.tokens import Token, tokenize

SQUARE = ("symmetric", "diagonal", "lower", "upper", "skew", "orthogonal", "spd")
ENTRYWISE = ("positive", "nonnegative", "probability", "sign", "integer")
STRUCTURES = (*SQUARE, "orthonormal", "unit", "simplex", *ENTRYWISE)
# What cannot hold together, or only in a few isolated arrays.
CLASHES = {
    "unit": ("simplex", "sign", "integer"),
    "orthonormal": ("sign", "integer", "positive"),
    # Its diagonal is 0, and what lies on both sides of it has both signs.
    "skew": (
        "symmetric", "diagonal", "lower", "upper", "spd", "simplex",
        "positive", "nonnegative", "probability", "sign",
    ),
}  # fmt: skip
RESERVED = ("None", "True", "False", "where")


@dataclass(slots=True)
class Declarations:
    """The declared variables, in order, and the named sizes in their shapes."""

    source: str = ""
    variables: dict[str, Variable] = field(default_factory=dict)
    dims: tuple[str, ...] = ()


def parse_declarations(shapes: str | Mapping[str, object] | Declarations | None) -> Declarations:
    """The declarations in `shapes`, which may be declarations already.

    >>> parse_declarations("A[m,n] x[n] b").variables["A"].shape
    (Dim(m), Dim(n))
    """
    if not shapes:
        return Declarations()
    if isinstance(shapes, Declarations):
        return shapes
    if not isinstance(shapes, str | Mapping):
        raise OptionError(
            f"shapes are a text or a mapping, not {type(shapes).__name__}", hint='write "A[m,n] x[n]"'
        )
    text = (
        shapes
        if isinstance(shapes, str)
        else " ".join(_written(name, value) for name, value in shapes.items())
    )
    reader = Reader(text)
    while not reader.done():
        reader.declaration()
    sizes = [*(d for v in reader.variables.values() for d in v.shape), *reader.ranges]
    dims = tuple(dict.fromkeys(name for d in sizes for name in d.names))
    for dim in dims:
        if dim in reader.variables:
            place = reader.places[dim]
            raise ShapeMismatch(
                f"{dim} is a variable and a size at once",
                source=text,
                spans=(place,),
                hint="rename one of the two",
            )
    return Declarations(text, reader.variables, dims)


def _written(name: str, value: object) -> str:
    """One entry of a mapping in the text form: {"X": ("N", 3)} is X[N,3]."""
    if isinstance(value, str):
        dims, colon, structure = value.partition(":")
        return f"{name}[{dims.strip().strip('[]()')}]{colon}{structure}"
    if isinstance(value, int | Dim):
        return f"{name}[{value}]"
    if isinstance(value, Sequence):
        return f"{name}[{','.join(map(str, value))}]"
    raise ShapeMismatch(
        f"the shape of {name} must be a text or a sequence of sizes, not {type(value).__name__}"
    )


class Reader:
    """Reads one declaration after the other."""

    example = "declare as in X[N,n] w[n] b y[N]:sign"

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [t for t in tokenize(text, "numpy") if t.kind != "newline"]
        self.position = 0
        self.variables: dict[str, Variable] = {}
        self.places: dict[str, Span] = {}
        self.ranges: list[Dim] = []

    def next(self) -> Token:
        token = self.tokens[self.position]
        self.position += token.kind != "end"
        return token

    def peek(self) -> Token:
        return self.tokens[self.position]

    def problem(self, message: str, span: Span, hint: str = "") -> SyntaxProblem:
        return SyntaxProblem(message, source=self.text, spans=(span,), hint=hint or self.example)

    def done(self) -> bool:
        while self.peek().text in (",", ";"):
            self.position += 1
        return self.peek().kind == "end"

    def declaration(self) -> None:
        token = self.next()
        if token.kind != "name" or token.text in RESERVED:
            raise self.problem(f"a declaration begins with a name, not `{token.text}`", token.span)
        name = ascii_name(token.text)
        shape: tuple[Dim, ...] = ()
        if self.peek().text == "[":
            shape = self.shape()
        structures = self.structures(name, shape) if self.peek().text == ":" else ()
        variable = Variable(name, shape, structures)
        known = self.variables.get(name)
        if known is not None and known.shape != shape:
            raise ShapeMismatch(
                f"{token.text} is declared twice, as {shape_text(known.shape)} and as {shape_text(shape)}",
                source=self.text,
                spans=(self.places[name], token.span),
                hint="declare each name once",
                sizes={name: shape_text(shape)},
            )
        if known is not None:
            variable = Variable(name, shape, (*known.structure, *structures))
        self.variables[name] = variable
        self.places.setdefault(name, token.span)

    def shape(self) -> tuple[Dim, ...]:
        opened = self.next()
        dims: list[Dim] = []
        part: list[Token] = []
        depth = 0
        while True:
            token = self.next()
            if token.kind == "end":
                raise self.problem("`[` is never closed", opened.span)
            if token.text in (",", "]") and not depth:
                if part:
                    dims.append(self.dim(part))
                elif dims or token.text == ",":
                    raise self.problem("a size is missing", token.span)
                part = []
                if token.text == "]":
                    break
                continue
            depth += (token.text == "(") - (token.text == ")")
            part.append(token)
        if len(dims) > MAX_RANK:
            raise self.problem(f"at most {MAX_RANK} axes can be declared", opened.span)
        return tuple(dims)

    def dim(self, tokens: list[Token]) -> Dim:
        """A size: a name, a positive integer, or a polynomial such as n + 1."""
        whole = tokens[0].span.join(tokens[-1].span)
        root = Parser(tokens, self.text, "numpy", Span(whole.end, whole.end + 1)).parse()
        values: dict[int, Dim] = {}
        for node in post_order(root):
            parts = [values[id(child)] for child in node.children]
            match node:
                case Number() if node.value.denominator == 1 and abs(node.value) < 10**12:
                    values[id(node)] = Dim.of(int(node.value))
                case Name():
                    values[id(node)] = Dim.of(ascii_name(node.name))
                case Add():
                    total = Dim.of(0)
                    for part, sign in zip(parts, node.signs, strict=True):
                        total = total + (part if sign > 0 else -part)
                    values[id(node)] = total
                case Binary() if node.symbol in ("*", "", "·"):
                    values[id(node)] = parts[0] * parts[1]
                    if len(values[id(node)].terms) > MAX_DEGREE:
                        raise self.problem("this size has too many terms", whole, "give it a name of its own")
                case Prefix() if node.symbol == "-":
                    values[id(node)] = -parts[0]
                case _:
                    raise self.problem("a size is a name, a positive integer, or a sum of these", node.span)
        result = values[id(root)]
        if result.constant is not None and result.constant < 1:
            raise self.problem("a size must be a name or a positive integer", whole)
        return result

    def structures(self, name: str, shape: tuple[Dim, ...]) -> tuple[str, ...]:
        """What follows the colon: one word, or several in braces."""
        self.next()
        token = self.next()
        words = [self.ranged(token)]
        if token.text == "{":
            words = []
            while (token := self.next()).text != "}":
                if token.kind == "end":
                    raise self.problem("`{` is never closed", token.span)
                if token.text != ",":
                    words.append(self.ranged(token))
        for word in words:
            self.check(word, name, shape)
            clash = next((w for w in words if w.text in CLASHES.get(word.text, ())), None)
            if clash is not None:
                raise ShapeMismatch(
                    f"{word.text} and {clash.text} cannot be declared together",
                    source=self.text,
                    spans=(word.span, clash.span),
                    hint=f"hardly any array is both; keep one of them for {name}",
                )
        self.no_more(name, shape, words)
        return tuple(word.text for word in words)

    def no_more(self, name: str, shape: tuple[Dim, ...], words: list[Token]) -> None:
        """Raises: SyntaxProblem if another structure follows, which stands in no braces."""
        mark, word, behind = [*self.tokens[self.position :], *[self.tokens[-1]] * 2][:3]
        if mark.text not in (":", ",") or word.text not in STRUCTURES or behind.text == "[":
            return
        sizes = f"[{','.join(map(str, shape))}]" if shape else ""
        both = ", ".join([*(w.text for w in words), word.text])
        other = f"; if {word.text} is a variable, declare it first" if mark.text == "," else ""
        raise self.problem(
            f"several structures of {name} stand in braces",
            words[0].span.join(word.span),
            f"write {name}{sizes}:{{{both}}}{other}",
        )

    def ranged(self, token: Token) -> Token:
        """integer(V) as one word: the whole numbers from 0 to V − 1."""
        if token.text != "integer" or self.peek().text != "(":
            return token
        self.next()
        part = [self.next()]
        while self.peek().text not in (")", "") and self.peek().kind != "end":
            part.append(self.next())
        closing = self.next()
        size = self.dim(part)
        if closing.text != ")" or (size.constant is None and size.name is None):
            raise self.problem(
                "the range of an integer is one size", token.span.join(part[-1].span), "ids[N]:integer(V)"
            )
        self.ranges.append(size)
        return replace(token, text=f"integer({size})", span=token.span.join(closing.span))

    def check(self, word: Token, name: str, shape: tuple[Dim, ...]) -> None:
        if word.text.startswith("integer("):
            return
        if word.text not in STRUCTURES:
            near = get_close_matches(word.text, STRUCTURES, 1, 0.5)
            raise UnknownName(
                f"unknown structure `{word.text}`" + (f"; did you mean {near[0]}?" if near else ""),
                source=self.text,
                spans=(word.span,),
                hint="known are " + ", ".join(STRUCTURES),
            )
        if word.text in SQUARE and (len(shape) != 2 or shape[0] != shape[1]):
            raise ShapeMismatch(
                f"{word.text} needs a square matrix; {name} is {shape_text(shape)}",
                source=self.text,
                spans=(word.span,),
                hint=f"declare {name}[n,n]:{word.text}",
            )
        if word.text == "simplex" and not shape:
            raise ShapeMismatch(
                f"simplex needs a vector; {name} is a scalar",
                source=self.text,
                spans=(word.span,),
                hint=f"declare {name}[n]:simplex, or {name}:probability for a number between 0 and 1",
            )
        wanted = {"unit": (1, "a vector", "n"), "orthonormal": (2, "a matrix", "n,p")}.get(word.text)
        if wanted and len(shape) != wanted[0]:
            raise ShapeMismatch(
                f"{word.text} needs {wanted[1]}; {name} is {shape_text(shape)}",
                source=self.text,
                spans=(word.span,),
                hint=f"declare {name}[{wanted[2]}]:{word.text}",
            )


def shape_text(shape: Sequence[Dim]) -> str:
    """A shape in words: a scalar, a vector of n, m×n."""
    if not shape:
        return "a scalar"
    return f"a vector of {shape[0]}" if len(shape) == 1 else "×".join(map(str, shape))
