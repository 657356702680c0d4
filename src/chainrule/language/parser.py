"""Tokens to syntax trees: operator precedence with an explicit stack, so that depth costs no recursion.

Binding, loosest first:  comparisons, |, &, + - ⊕ ⊖,  Σ_k,  * / @ · ⊙ ⊘ ⊗ .* ./,  unary -,  juxtaposition,
** ^ .^,  and what follows an operand: ᵀ ² [..] .T
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile

from chainrule.errors import LimitExceeded, Span, SyntaxProblem
from chainrule.language.limits import MAX_NESTING
from chainrule.language.places import SIGNS, index_condition
from chainrule.language.syntax import (
    Add,
    Bars,
    Binary,
    Bracket,
    Call,
    Listing,
    Name,
    Node,
    Number,
    Postfix,
    Prefix,
    Slice,
    Special,
    Subscript,
    Text,
)  # fmt: skip
from chainrule.language.tokens import Token

QUOTES = "quotes stand only in einsum('ij,j->i', A, x)"
COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!="})
CONDITIONS = COMPARISONS | {"&", "or"}
BINARY = {
    **dict.fromkeys(COMPARISONS, 10), "or": 13, "&": 16, **dict.fromkeys(["+", "-", "⊕", "⊖"], 20),
    **dict.fromkeys(["*", "/", "@", "·", "⊙", "⊘", "⊗", ".*", "./"], 30),
    "": 50, "**": 60, "^": 60, ".^": 60,
}  # fmt: skip
_SUM, _MINUS, _TIGHT_MINUS, _ROOT, _POSTFIX = 25, 40, 58, 75, 70
_PAIRS = {"(": ")", "[": "]", "{": "}", "‖": "‖", "|": "|"}
_STARTS = frozenset({"num", "name", "call", "special", "sum", "str", "imag"})
_MATLAB_ONLY = frozenset({".*", "./", ".^"})


@dataclass(slots=True)
class _Operator:
    """A prefix or binary operator that waits for its right operand, or an open bracket."""

    kind: str  # prefix, binary, or the bracket: ( [ ‖ | call subscript indicator
    symbol: str
    binds: int
    span: Span
    floor: int = 0  # operands on the stack when the bracket opened
    called: Token | None = None
    keyword: Token | None = None
    arguments: list[Node] = field(default_factory=list)
    keywords: dict[str, Node] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    bounds: list[Node | None] = field(default_factory=list)


class Parser:
    """One expression. `operands` and `operators` are the two stacks of the classic algorithm."""

    def __init__(
        self,
        tokens: list[Token],
        source: str,
        dialect: str,
        end: Span,
        indexed: bool = False,
        notes: list[str] | None = None,
    ) -> None:
        self.tokens, self.source, self.dialect, self.indexed = tokens, source, dialect, indexed
        self.notes = notes if notes is not None else []
        self.operands: list[Node] = []
        self.operators: list[_Operator] = []
        self.nesting = 0
        self.end = Token("end", "", end)

    def parse(self) -> Node:
        position = 0
        while True:
            position = self.operand(position)
            position, finished = self.after_operand(position)
            if finished:
                return self.operands[0]

    def peek(self, position: int) -> Token:
        return self.tokens[position] if position < len(self.tokens) else self.end

    def problem(self, message: str, *spans: Span, hint: str = "") -> SyntaxProblem:
        return SyntaxProblem(message, source=self.source, spans=spans, hint=hint)

    # ------------------------------------------------------------ where an operand must stand

    def operand(self, position: int) -> int:
        """Reads prefixes and opening brackets up to and including one operand; returns the next position."""
        while True:
            token = self.peek(position)
            inner = self.bracket()
            if token.kind in ("num", "special", "str") or token.kind == "name":
                self.operands.append(self.leaf(token))
                return position + 1
            if token.kind == "call":
                self.open("call", self.peek(position + 1).span, token)
                position += 2
                if self.peek(position).text == ")":
                    return position
            elif token.kind == "keyword" and inner and inner.kind == "call":
                inner.keyword = token
                position += 2
            elif token.kind == "sum":
                self.push(_Operator("prefix", "Σ" + token.text, _SUM, token.span))
                position += 1
            elif token.kind != "op":
                raise self.missing(token)
            elif token.text in ("(", "[", "‖", "|"):
                self.open(token.text, token.span)
                position += 1
                if self.peek(position).text == _PAIRS[token.text] and token.text in "([":
                    place = token.span.join(self.peek(position).span)
                    raise self.problem(
                        "nothing stands between the brackets", place, hint="write a value between them"
                    )
            elif token.text in ("-", "+"):
                tight = bool(self.operators) and self.operators[-1].binds == 60
                self.push(_Operator("prefix", token.text, _TIGHT_MINUS if tight else _MINUS, token.span))
                position += 1
            elif token.text == "~":
                self.push(_Operator("prefix", "~", _MINUS, token.span))
                position += 1
            elif self.ellipsis(position):
                self.operands.append(Special(token.span.join(self.peek(position + 2).span), "..."))
                return position + 3
            elif token.text == "√":
                if self.peek(position + 1).text == "(":
                    self.open("call", self.peek(position + 1).span, Token("call", "sqrt", token.span))
                    position += 2
                else:
                    self.push(_Operator("prefix", "√", _ROOT, token.span))
                    position += 1
            elif inner and inner is self.operators[-1] and self.may_be_empty(inner, token):
                return position
            else:
                raise self.missing(token)

    def ellipsis(self, position: int) -> bool:
        """Whether the three dots of x[..., 0] begin here."""
        inner = self.bracket()
        dots = [self.peek(position + k).text for k in range(3)] == [".", ".", "."]
        return dots and inner is not None and inner.kind == "subscript" and inner is self.operators[-1]

    def either(self, token: Token, position: int) -> bool:
        """Whether a bar after a bracket is the `or` of (a > 0) | (b > 0), with white space on both sides."""
        around = token.spaced and self.peek(position + 1).spaced
        return around and self.peek(position - 1).text in (")", "]") and self.peek(position + 1).text in "(~"

    def may_be_empty(self, inner: _Operator, token: Token) -> bool:
        """Whether nothing need stand here: an absent bound of a slice, the end of a list after a comma."""
        if inner.kind == "subscript" and token.text in (":", ",", "]"):
            return True
        return token.text in (")", "]") and bool(inner.arguments) and token.text == self.closing(inner)

    def leaf(self, token: Token) -> Node:
        if token.kind == "num":
            return Number(token.span, Fraction(token.text))
        if token.kind == "name":
            return Name(token.span, token.text)
        return Text(token.span, token.text) if token.kind == "str" else Special(token.span, token.text)

    def missing(self, token: Token) -> SyntaxProblem:
        """The error where an operand should stand."""
        before = self.operators[-1] if self.operators else None
        if token.kind == "end":
            opened = self.bracket()
            if opened:
                return self.unclosed(opened)
            hint = "write the value, or take the operator away" if self.tokens else "write the value after ="
            return self.problem("the formula ends where a value should stand", token.span, hint=hint)
        if token.text == ":" or token.kind == "newline":
            return self.colon(token)
        if token.text in (")", "]", "}") and self.bracket() is None:
            return self.unopened(token)
        if token.text == "{":
            return self.problem("braces stand only in declarations", token.span, hint="group with ( )")
        waits = before is not None and before.kind in ("prefix", "binary")
        after = f" after `{before.symbol[:2]}`" if before and waits and before.symbol else ""
        hint = "a name, a number or an opening bracket can stand here"
        shown = {"sup(": "an exponent", "sup)": "the end of an exponent"}.get(token.text, f"`{token.text}`")
        return self.problem(f"a value should stand here{after}, not {shown}", token.span, hint=hint)

    def colon(self, token: Token) -> SyntaxProblem:
        return self.problem(
            "a colon stands only in declarations and subscripts",
            token.span,
            hint="x[1:3] is a slice; a lambda is no formula",
        )

    def unopened(self, token: Token) -> SyntaxProblem:
        return self.problem(
            f"`{token.text}` closes a bracket that was never opened",
            token.span,
            hint="take it away, or open one before it",
        )

    # ------------------------------------------------------------ after an operand

    def after_operand(self, position: int) -> tuple[int, bool]:
        """Reads postfixes and closing brackets up to a binary operator; says whether all is read."""
        while True:
            token, text = self.peek(position), self.peek(position).text
            if token.kind == "end":
                self.reduce(0)
                opened = self.bracket()
                if opened:
                    raise self.unclosed(opened)
                return position, True
            if token.kind == "op" and text == "." and self.peek(position + 1).kind in ("method", "transpose"):
                position = self.dotted(position)
                if self.peek(position - 1).text == "(" and self.peek(position).text != ")":
                    return position, False
            elif token.kind == "sub":
                self.below(token)
                position += 1
            elif token.kind in _STARTS:
                position, done = self.juxtapose(token, position)
                return position, done
            elif token.kind != "op":
                raise self.unexpected(token)
            elif text in ("ᵀ", "⁻ᵀ"):
                self.postfix(token)
                position += 1
            elif text == "sup(":
                self.reduce_postfix(token)
                self.open("sup", token.span)
                return position + 1, False
            elif text == "[":
                position, waits = self.square(token, position)
                if waits:
                    return position, False
            elif text in (")", "]", "sup)") or (text in ("‖", "|") and self.closes(text)):
                self.close(token)
                position += 1
            elif text == "|" and self.either(token, position):
                self.binary(Token("op", "or", token.span))
                return position + 1, False
            elif text in (",", ";", ":"):
                position, waits = self.separate(token, position)
                if waits:
                    return position, False
            elif text in ("(", "[", "‖", "|", "√"):
                return self.juxtapose(token, position)
            elif text == "=" and self.bracket() is not None:
                self.binary(Token("op", "==", token.span))
                return position + 1, False
            elif text == "⊙" and self.peek(position + 1).text == "sup(":
                self.reduce_postfix(token)
                self.open("sup", token.span)
                self.operators[-1].symbol = ".^"
                return position + 2, False
            elif text in BINARY:
                self.binary(token)
                return position + 1, False
            else:
                raise self.unexpected(token)

    def unexpected(self, token: Token) -> SyntaxProblem:
        if token.text == "=":
            return self.problem(
                "= names a part; it stands once, at the start", token.span, hint="== compares"
            )
        if token.text == ".":
            return self.problem(
                "a dot stands only in numbers, prefixes and methods", token.span, hint="write * or @"
            )
        hints = {
            "∂": "∂Y_ij/∂X_kl = ... stands at the start",
            "where": "one `where` binds all names: where z = ..., w = ...",
        }
        hint = hints.get(token.text, "an operator or a closing bracket can stand here")
        return self.problem(f"`{token.text}` does not belong here", token.span, hint=hint)

    def dotted(self, position: int) -> int:
        """x.T, or x.sum( with its bracket opened."""
        token = self.peek(position + 1)
        self.reduce_postfix(token)
        if token.kind == "transpose":
            operand = self.operands.pop()
            self.operands.append(Postfix(operand.span.join(token.span), ".T", operand))
            return position + 2
        if self.peek(position + 2).text != "(":
            raise self.problem(f".{token.text} is a method", token.span, hint=f"write .{token.text}()")
        self.open("call", self.peek(position + 2).span, token)
        self.operators[-1].arguments.append(self.operands.pop())
        self.operators[-1].floor -= 1
        return position + 3

    def below(self, token: Token) -> None:
        """An index below the line."""
        self.reduce_postfix(token)
        operand = self.operands.pop()
        span = operand.span.join(token.span)
        if isinstance(operand, Bars) and operand.symbol == "‖" and not operand.kind:
            operand.kind, operand.span = token.text, span
            self.operands.append(operand)
        elif isinstance(operand, Special) and operand.symbol == "𝐞":
            self.operands.append(Special(span, operand.symbol + token.text))
        else:
            self.operands.append(Postfix(span, "_", operand, token.text))

    def postfix(self, token: Token) -> None:
        self.reduce_postfix(token)
        if token.text == "ᵀ" and self.source[token.span.start] in "'.":
            # A^2' is (A^2)': MATLAB's transpose binds no tighter than the power before it.
            self.reduce(_TIGHT_MINUS)
        operand = self.operands.pop()
        self.operands.append(Postfix(operand.span.join(token.span), token.text, operand))

    def juxtapose(self, token: Token, position: int) -> tuple[int, bool]:
        """Two factors side by side."""
        previous = self.peek(position - 1)
        if token.kind == "num" and not (token.text == "1" and self.peek(position + 1).text == "["):
            hint = "write * or · between two factors"
            if set(token.text) in ({"0"}, {"1"}):
                hint += "; 𝟏 is a vector of ones, 𝟏𝟏ᵀ the matrix of ones, 𝟎 a vector of zeros"
            raise self.problem("a number cannot follow a factor", token.span, hint=hint)
        if token.kind in ("str", "imag"):
            raise self.problem("a text in quotes cannot follow a factor", token.span, hint=QUOTES)
        inner = self.bracket()
        if inner and inner.kind == "[" and self.dialect == "matlab" and token.spaced and previous.text != ",":
            raise self.problem("separate the entries by commas", token.span, hint="[a, b; c, d] is a matrix")
        self.reduce(BINARY[""])
        if self.operators and self.operators[-1].symbol == "/":
            self.quotient(token)
        self.signed_divisor(token)
        self.binary(Token("op", "", Span(token.span.start, token.span.start)))
        return position, False

    def quotient(self, token: Token) -> None:
        """A factor behind a quotient: white space decides in 1/2 xᵀAx, everything else is ambiguous."""
        slash = self.operators[-1].span
        around = self.source[slash.start - 1] + self.source[slash.end : slash.end + 1]
        below = self.operators[-2] if len(self.operators) > 1 else None
        alone = below is None or below.binds < BINARY["/"]
        if not (token.spaced and alone and not any(c.isspace() for c in around)):
            raise self.two_ways(slash, token)
        self.reduce(BINARY["/"])
        left = self.operands[-1].span
        shown = self.source[left.start : left.end]
        self.notes.append(f"{shown} before a space is read as the factor ({shown}).")

    def signed_divisor(self, token: Token) -> None:
        """a/-b c is as ambiguous as a/b c."""
        below = len(self.operators) - 1
        while below >= 0 and (self.operators[below].kind, self.operators[below].binds) == ("prefix", _MINUS):
            below -= 1
        if 0 <= below < len(self.operators) - 1 and self.operators[below].symbol == "/":
            raise self.two_ways(self.operators[below].span, token)

    def two_ways(self, slash: Span, token: Token) -> SyntaxProblem:
        return self.problem(
            "a quotient followed by a factor can be read in two ways",
            slash,
            token.span,
            hint="write (a/b) c or a/(b c)",
        )

    def matlab_power(self, token: Token) -> None:
        """a^-b^c: MATLAB's own manual leaves open what the sign belongs to."""
        signed = bool(self.operators) and self.operators[-1].binds == _TIGHT_MINUS
        if signed and self.dialect == "matlab" and token.text in ("^", ".^"):
            raise self.problem(
                "a power of a signed exponent can be read in two ways",
                self.operators[-1].span,
                token.span,
                hint="write a^(-b^c) or (a^-b)^c",
            )

    def matlab_entry(self, token: Token) -> None:
        """[a -b] has two entries in MATLAB, [a - b] and [a-b] have one."""
        inner = self.bracket()
        after = self.source[token.span.end : token.span.end + 1]
        sign = token.spaced and token.text in ("+", "-") and not after.isspace()
        if sign and self.dialect == "matlab" and inner and inner.kind == "[":
            hint = f"a {token.text} b is one entry"
            raise self.problem("separate the entries by commas", token.span, hint=hint)

    def binary(self, token: Token) -> None:
        """Finish what binds tighter, then wait for the right operand."""
        self.check_dialect(token)
        self.matlab_power(token)
        self.matlab_entry(token)
        if BINARY[token.text] == 60:
            self.reduce_postfix(token)
        binds = BINARY[token.text]
        right_first = binds == 60 and not (self.dialect == "matlab" and token.text != "**")
        self.reduce(binds + 1 if right_first else binds)
        if binds == 10 and isinstance(self.operands[-1], Binary) and self.operands[-1].symbol in COMPARISONS:
            left = self.operands[-1]
            if isinstance(left, Binary) and left.span == left.left.span.join(left.right.span):
                self.chained(left, token)
        self.push(_Operator("binary", token.text, binds, token.span))

    def chained(self, left: Binary, token: Token) -> None:
        """Before the second sign of a < b < c: what follows is (a < b) & (b < c)."""
        if left.symbol[0] != token.text[0] or token.text[0] not in "<>":
            raise self.problem(
                "only < and ≤, or > and ≥, chain", left.place, token.span, hint="write (a < b) & (b == c)"
            )
        self.push(_Operator("binary", "&", 9, token.span))
        self.operands.append(left.right)

    def check_dialect(self, token: Token) -> None:
        if token.text in _MATLAB_ONLY and self.dialect != "matlab":
            raise self.problem(
                f"`{token.text}` belongs to the MATLAB dialect",
                token.span,
                hint="in the NumPy dialect * / ** are entrywise; or choose dialect='matlab'",
            )
        if token.text in ("@", "**") and self.dialect == "matlab":
            raise self.problem(
                f"`{token.text}` belongs to the NumPy dialect",
                token.span,
                hint="in MATLAB * is the matrix product and ^ the power; or choose dialect='numpy'",
            )

    def square(self, token: Token, position: int) -> tuple[int, bool]:
        """x[...] a subscript, 1[...] an indicator, 2[...] and A [I; 0] products with what is written out."""
        operand = self.operands[-1]
        one = (
            isinstance(operand, Number) and operand.value == 1 and operand.span.end - operand.span.start == 1
        )
        if one or (isinstance(operand, Special) and operand.symbol == "𝟏"):
            self.operands.pop()
            self.open("indicator", operand.span.join(token.span))
            return position + 1, True
        inside = takewhile(lambda t: t.kind != "end" and t.text != "]", self.tokens[position + 1 :])
        beside = any(t.text == ";" or (self.indexed and t.text in SIGNS) for t in inside)
        if isinstance(operand, Number) or beside:
            position, _ = self.juxtapose(token, position)
            return position, True
        self.reduce_postfix(token)
        self.open("subscript", token.span)
        self.operators[-1].arguments.append(self.operands.pop())
        self.operators[-1].floor -= 1
        return position + 1, True

    # ------------------------------------------------------------ brackets

    def bracket(self) -> _Operator | None:
        """The innermost open bracket."""
        for operator in reversed(self.operators):
            if operator.kind not in ("prefix", "binary"):
                return operator
        return None

    def open(self, kind: str, span: Span, called: Token | None = None) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise LimitExceeded(
                f"brackets are nested more than {MAX_NESTING} deep",
                source=self.source,
                spans=(span,),
                hint="name inner parts: z = ...; f(z)",
            )
        self.operators.append(_Operator(kind, "", 0, span, len(self.operands), called))

    def push(self, operator: _Operator) -> None:
        if len(self.operators) > 4 * MAX_NESTING:
            raise LimitExceeded(
                "too many operators wait for their operands",
                source=self.source,
                spans=(operator.span,),
                hint="name inner parts: z = ...; f(z)",
            )
        self.operators.append(operator)

    def closing(self, opened: _Operator) -> str:
        return {"call": ")", "subscript": "]", "indicator": "]", "sup": "sup)"}.get(opened.kind) or _PAIRS[
            opened.kind
        ]

    def closes(self, text: str) -> bool:
        inner = self.bracket()
        return inner is not None and inner.kind == text

    def unclosed(self, opened: _Operator) -> SyntaxProblem:
        kind = {"call": "(", "subscript": "[", "indicator": "["}.get(opened.kind, opened.kind)
        return self.problem(
            f"`{kind}` is never closed", opened.span, hint=f"add the missing `{self.closing(opened)}`"
        )

    def finish_item(self, opened: _Operator) -> None:
        """What stands since the last comma becomes an item of the bracket."""
        if len(self.operands) > opened.floor:
            item = self.operands.pop()
            if opened.bounds:
                self.finish_bound(opened, item)
            elif opened.keyword is not None:
                if opened.keyword.text in opened.keywords:
                    raise self.problem(
                        f"{opened.keyword.text}= stands twice", opened.keyword.span, hint="keep one of them"
                    )
                opened.keywords[opened.keyword.text] = item
                opened.keyword = None
            elif opened.keywords:
                raise self.problem("arguments with a keyword come last", item.span, hint="sum(X, axis=0)")
            else:
                opened.arguments.append(item)
        elif opened.bounds:
            self.finish_bound(opened, None)

    def finish_bound(self, opened: _Operator, last: Node | None) -> None:
        bounds = [*opened.bounds, last]
        if len(bounds) > 3:
            raise self.problem("a slice has at most three parts", opened.span, hint="start:stop:step")
        padded = [*bounds, None, None, None][:3]
        opened.arguments.append(Slice(opened.span, (padded[0], padded[1], padded[2])))
        opened.bounds = []

    def separate(self, token: Token, position: int) -> tuple[int, bool]:
        """A comma, a colon in a slice, a semicolon between the rows of a MATLAB matrix."""
        self.reduce(0)
        opened = self.bracket()
        if opened is None:
            if token.text == ",":
                raise self.problem(
                    "a formula has one value", token.span, hint="write [a, b] for a vector of two"
                )
            raise self.colon(token)
        if token.text == ":":
            if opened.kind != "subscript":
                raise self.colon(token)
            opened.bounds.append(self.operands.pop() if len(self.operands) > opened.floor else None)
            return position + 1, self.peek(position + 1).text not in (",", "]", ":")
        if opened.kind not in ("call", "subscript", "[", "("):
            raise self.problem("one value stands here", token.span, hint="write [a, b] for a vector of two")
        if token.text == ";":
            if opened.kind != "[":
                raise self.problem(
                    "`;` separates statements, not entries", token.span, hint="[[a, b], [c, d]] is a matrix"
                )
            opened.breaks.append(len(opened.arguments) + 1)
        if len(self.operands) == opened.floor and not opened.bounds:
            raise self.problem(
                "a value is missing before the comma", token.span, hint="write it, or take the comma away"
            )
        self.finish_item(opened)
        trailing = self.peek(position + 1).text == self.closing(opened) and token.text == ","
        return position + 1, not trailing

    def close(self, token: Token) -> None:
        self.reduce(0)
        opened = self.bracket()
        if opened is None:
            raise self.unopened(token)
        if self.closing(opened) != token.text:
            kind = {"call": "(", "subscript": "[", "indicator": "["}.get(opened.kind, opened.kind)
            hint = f"close the inner bracket first: `{self.closing(opened)}`"
            raise self.problem(f"`{token.text}` does not close `{kind}`", opened.span, token.span, hint=hint)
        self.nesting -= 1
        self.finish_item(opened)
        self.operators.pop()
        whole = opened.span.join(token.span)
        items = opened.arguments
        if opened.kind == "call":
            assert opened.called is not None
            start = (
                items[0].span.join(whole)
                if opened.called.kind == "method"
                else opened.called.span.join(whole)
            )
            self.operands.append(Call(start, opened.called.text, items, opened.keywords, opened.called.span))
        elif opened.kind == "subscript":
            if len(items) < 2:
                raise self.problem("an index is missing", whole, hint="x[0] is the first entry")
            span = items[0].span.join(whole)
            self.operands.append(_one_of_several(items, span) or Subscript(span, items[0], items[1:]))
        elif opened.kind == "sup":
            base = self.operands.pop()
            self.operands.append(Binary(base.span.join(whole), opened.symbol or "sup", base, items[0], whole))
        elif opened.kind in ("‖", "|"):
            self.operands.append(Bars(whole, opened.kind, items[0]))
        elif (
            opened.kind in ("indicator", "[")
            and self.indexed
            and len(items) == 1
            and (place := index_condition(items[0], whole))
        ):
            self.operands.append(place)
        elif opened.kind == "indicator":
            self.operands.append(Bracket(whole, items[0]))
        elif opened.kind == "[" or len(items) > 1 or (items and self.tokens and self.trailing_comma(token)):
            self.operands.append(Listing(whole, items, opened.kind, opened.breaks))
        else:
            items[0].span = whole
            self.operands.append(items[0])

    def trailing_comma(self, token: Token) -> bool:
        """(n,) is a shape of one size."""
        return self.source[: token.span.start].rstrip().endswith(",")

    # ------------------------------------------------------------ reduction

    def reduce_postfix(self, token: Token) -> None:
        """Before a postfix: √x² would be ambiguous."""
        if self.operators and self.operators[-1].symbol == "√":
            raise self.problem(
                "√ followed by an exponent or an index can be read in two ways",
                self.operators[-1].span,
                token.span,
                hint="write √(x²) or (√x)²",
            )

    def reduce(self, binds: int) -> None:
        """Build the operators on top of the stack that bind at least as tightly."""
        while (
            self.operators
            and self.operators[-1].kind in ("prefix", "binary")
            and self.operators[-1].binds >= binds
        ):
            operator = self.operators.pop()
            right = self.operands.pop()
            if operator.kind == "prefix":
                span = operator.span.join(right.span)
                symbol, indices = (operator.symbol[0], operator.symbol[1:])
                self.operands.append(Prefix(span, symbol, right, indices))
                continue
            left = self.operands.pop()
            self.operands.append(self.combine(operator, left, right))

    def combine(self, operator: _Operator, left: Node, right: Node) -> Node:
        span = left.span.join(right.span)
        if operator.symbol not in ("+", "-"):
            return Binary(span, operator.symbol, left, right, operator.span)
        sign = 1 if operator.symbol == "+" else -1
        open_chain = isinstance(left, Add) and left.span.end == left.terms[-1].span.end
        if isinstance(left, Add) and open_chain:
            left.terms.append(right)
            left.signs.append(sign)
            left.span = span
            return left
        return Add(span, [left, right], [1, sign])


# NumPy's functions that give several arrays, and which function gives each.
SEVERAL = {"eigh": ("eigvalsh", "eigvecsh"), "slogdet": ("", "logdet")}


def _one_of_several(items: list[Node], span: Span) -> Node | None:
    """eigh(A)[1], slogdet(A)[1]: an index behind a function that gives several arrays picks one of them."""
    call = items[0]
    if not isinstance(call, Call) or call.name not in SEVERAL or len(items) != 2:
        return None
    index = items[1].value if isinstance(items[1], Number) else None
    chosen = SEVERAL[call.name][int(index)] if index in (0, 1) else ""
    return Call(span, chosen, call.arguments, call.keywords, call.place) if chosen else None
