"""Which columns make which variable: `y = target, X = age:s6`.

    let     = binding ("," binding)*                  ; and line breaks separate too
    binding = name "=" ("rest" | number | item | "[" item ("," item)* "]")
    item    = column | column ":" column              from one to the other, both included

A bare column is a vector, a range, a list and `rest` are matrices; `rest` is every column that no other
binding of the text uses. A name that is no word, or is a number, stands in quotes; X[3] is a column of the
array X, and X all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from chainrule.errors import DataProblem, Span, SyntaxProblem, UnknownName
from chainrule.expr.names import ascii_name
from chainrule.fit.table import Table

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<quoted>"[^"]*"|'[^']*'|`[^`]*`)
    | (?P<word>[^\W\d][\w.]*(?:\[\d+\])?)
    | (?P<sign>[=,;:\[\]+]|.)
    )""",
    re.VERBOSE | re.DOTALL,
)
EXAMPLE = "write as in  y = target, X = age:s6  or  X = [age, bmi]  or  X = rest"


@dataclass(frozen=True, slots=True)
class Token:
    """A number, a word, a name in quotes or a sign, and where it stands."""

    kind: str
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Item:
    """One column, or a range of columns from `first` to `last`."""

    first: str
    last: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Binding:
    """What one variable is made of: a number, the rest, or items; `bare` for one column without brackets."""

    name: str
    span: Span
    value: float | None = None
    rest: bool = False
    items: tuple[Item, ...] = ()
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The columns of a variable, in order, or its number.

    group  the array that they are all of, when it is taken whole
    bare   whether it is one column, which makes a vector unless a matrix is declared
    span   the place in the text
    """

    columns: tuple[str, ...] = ()
    group: str = ""
    value: float | None = None
    bare: bool = False
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Let:
    """The bindings of a text.

    >>> let = parse_let("y = target, X = age:bmi, lam = 0.1")
    >>> [(b.name, b.value) for b in let.bindings]
    [('y', None), ('X', None), ('lam', 0.1)]
    """

    source: str
    bindings: tuple[Binding, ...]

    def choose(self, table: Table) -> dict[str, Chosen]:
        """The columns of each variable.

        Raises: DataProblem for a column that the table lacks, or that stands in a variable twice.
        """
        found: dict[str, Chosen] = {}
        used: set[str] = set()
        for binding in self.bindings:
            if binding.value is not None:
                found[binding.name] = Chosen(value=binding.value, span=binding.span)
            elif not binding.rest:
                found[binding.name] = chosen = self._chosen(binding, table)
                used.update(chosen.columns)
        for binding in self.bindings:
            if binding.rest:
                left = tuple(name for name in table.names if name not in used)
                if not left:
                    raise self._problem("no column is left for `rest`", binding.span)
                found[binding.name] = Chosen(left, span=binding.span)
        return {binding.name: found[binding.name] for binding in self.bindings}

    def _chosen(self, binding: Binding, table: Table) -> Chosen:
        span = binding.items[0].span.join(binding.items[-1].span)
        first = binding.items[0]
        if binding.bare and first.first in table.constants:
            return Chosen(value=table.constants[first.first], span=span)
        if (
            binding.bare
            and first.last is None
            and first.first not in table.names
            and first.first in table.groups
        ):
            return Chosen(table.groups[first.first], first.first, span=span)
        columns: list[str] = []
        for item in binding.items:
            for name in self._columns(item, table):
                if name in columns:
                    raise self._problem(
                        f"the column {name} stands in {binding.name} twice",
                        item.span,
                        "name each column once",
                    )
                columns.append(name)
        return Chosen(tuple(columns), bare=binding.bare and first.last is None, span=span)

    def _columns(self, item: Item, table: Table) -> Sequence[str]:
        if item.last is None and item.first not in table.names and item.first in table.groups:
            return table.groups[item.first]
        for name in (item.first, item.last):
            if name is not None and name not in table.names:
                problem = table.unknown(name)
                problem.located(self.source, item.span)
                raise problem
        if item.last is None:
            return [item.first]
        low, high = table.names.index(item.first), table.names.index(item.last)
        if low > high:
            raise self._problem(
                f"{item.first} stands behind {item.last}", item.span, f"{item.last}:{item.first} is the range"
            )
        return table.names[low : high + 1]

    def _problem(self, message: str, span: Span, hint: str = "") -> DataProblem:
        return DataProblem(message, source=self.source, spans=(span,), hint=hint)

    def check_names(self, known: Mapping[str, object]) -> None:
        """Raise UnknownName for a binding whose variable the formula does not have."""
        for binding in self.bindings:
            if binding.name not in known:
                near = get_close_matches(binding.name, list(known), 1, 0.5)
                raise UnknownName(
                    f"the formula has no variable {binding.name}"
                    + (f"; did you mean {near[0]}?" if near else ""),
                    source=self.source,
                    spans=(binding.span,),
                    hint=f"data are needed for {', '.join(known)}" if known else "",
                )


def parse_let(text: str) -> Let:
    """Read the text.

    Raises: SyntaxProblem, with the place.
    """
    return Let(text, tuple(_Reader(text).bindings()))


def default_let(table: Table, needed: Sequence[str]) -> Let:
    """Each variable from the column or array of its own name.

    Raises: DataProblem for one without such a column.
    """
    known = {ascii_name(name): name for name in (*table.names, *table.groups)}
    constants = {ascii_name(name): value for name, value in table.constants.items()}
    bindings, nowhere = [], Span(0, 0)
    for name in needed:
        if name in constants:
            bindings.append(Binding(name, nowhere, value=constants[name]))
        elif name in known:
            bindings.append(Binding(name, nowhere, items=(Item(known[name], None, nowhere),), bare=True))
        else:
            problem = table.unknown(name)
            problem.hint += f";  say what {name} is, as in  y = target, X = rest"
            raise problem
    return Let("", tuple(bindings))


class _Reader:
    """Reads one binding after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        for match in TOKEN.finditer(text):
            kind = match.lastgroup or "sign"
            self.tokens.append(Token(kind, match[kind], Span(match.start(kind), match.end(kind))))
        self.tokens = [token for token in self.tokens if token.text.strip()]
        self.tokens.append(Token("end", "", Span(len(text), len(text) + 1)))
        self.at = 0

    def peek(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def problem(self, message: str, span: Span, hint: str = EXAMPLE) -> SyntaxProblem:
        return SyntaxProblem(message, source=self.text, spans=(span,), hint=hint)

    def bindings(self) -> list[Binding]:
        found: list[Binding] = []
        seen: dict[str, Span] = {}
        while True:
            while self.peek().text in (",", ";"):
                self.next()
            if self.peek().kind == "end":
                break
            binding = self.binding()
            if binding.name in seen:
                raise SyntaxProblem(
                    f"{binding.name} is given twice",
                    source=self.text,
                    spans=(seen[binding.name], binding.span),
                    hint="several columns are a list, X = [age, bmi]",
                )
            seen[binding.name] = binding.span
            found.append(binding)
        if not found:
            raise self.problem("nothing says which columns make which variable", Span(0, 1))
        return found

    def binding(self) -> Binding:
        name = self.next()
        if name.kind != "word" or "[" in name.text or "." in name.text:
            raise self.problem(f"the name of a variable stands here, not `{name.text}`", name.span)
        equals = self.next()
        if equals.text != "=":
            raise self.problem(f"`=` is missing behind {name.text}", equals.span)
        made = self.columns(ascii_name(name.text), name.span)
        behind = self.peek()
        if (
            behind.kind == "end"
            or behind.text in (",", ";")
            or "\n" in self.text[made.span.end : behind.span.start]
        ):
            return made
        if behind.text == "+":
            raise self.problem(
                "`+` adds in formulas; columns beside each other are a list",
                behind.span,
                "write  X = [age, bmi];  a sum of columns belongs into the formula",
            )
        if behind.kind in ("word", "quoted") and self.tokens[self.at + 1].text != "=":
            hint = (
                f'a name with a space stands in quotes, "{made.items[-1].first} {behind.text}"'
                if made.items
                else EXAMPLE
            )
            raise self.problem(f"a comma is missing before `{behind.text}`", behind.span, hint)
        raise self.problem(f"a comma is missing before `{behind.text}`", behind.span)

    def columns(self, name: str, span: Span) -> Binding:
        token = self.peek()
        if token.kind == "number":
            self.next()
            if self.peek().text == ":":
                raise self.problem(
                    "columns are named, not counted",
                    token.span,
                    f'a column that is called {token.text} stands in quotes, "{token.text}"',
                )
            return Binding(name, span.join(token.span), value=float(token.text))
        if token.kind == "word" and token.text == "rest":
            self.next()
            return Binding(name, span.join(token.span), rest=True)
        if token.text != "[":
            item = self.item()
            return Binding(name, span.join(item.span), items=(item,), bare=True)
        opened = self.next()
        items = [self.item()]
        while self.peek().text == ",":
            self.next()
            items.append(self.item())
        closed = self.next()
        if closed.text != "]":
            said = (
                "`[` is never closed"
                if closed.kind == "end"
                else f"a comma is missing before `{closed.text}`"
            )
            raise self.problem(said, opened.span if closed.kind == "end" else closed.span)
        return Binding(name, span.join(closed.span), items=tuple(items))

    def item(self) -> Item:
        first, whole = self.column()
        if self.peek().text != ":":
            return Item(first, None, whole)
        self.next()
        last, end = self.column()
        return Item(first, last, whole.join(end))

    def column(self) -> tuple[str, Span]:
        token = self.next()
        if token.kind == "quoted":
            return token.text[1:-1], token.span
        if token.kind == "word" and token.text == "rest":
            raise self.problem(
                "`rest` stands alone",
                token.span,
                'X = rest;  a column that is called so stands in quotes, "rest"',
            )
        if token.kind == "word":
            return token.text, token.span
        if token.text in "\"'`" and token.text:
            raise self.problem("this quotation mark is never closed", token.span)
        if token.kind == "number":
            raise self.problem(
                f"{token.text} is a number, and the name of a column stands here",
                token.span,
                f'a column that is called so stands in quotes, "{token.text}"',
            )
        raise self.problem("the name of a column is missing here", token.span)
