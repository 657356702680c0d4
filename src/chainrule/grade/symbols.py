"""Derivatives and differentials inside formulas: dC/dw, ∂y_i/∂x_j, d²y/dx², d/dx (x² + 3x), ∇C, d(XW).

In: one side of an equality and the names that are known. Out: a Side, pieces of plain formula and the Symbols
between them. The language reads the plain pieces; what a symbol is worth is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.errors import Span, SyntaxProblem, UnknownName
from chainrule.expr.names import SUBSCRIPT, ascii_name
from chainrule.grade.derivation_text import Part
from chainrule.grade.dots import derivatives
from chainrule.language.functions import TABLE
from chainrule.language.limits import MAX_NAME
from chainrule.language.marks import call_at
from chainrule.language.tokens import SUPERSCRIPT
from chainrule.rules.table import ROWS, Elementwise

_RAISED = "".join(SUPERSCRIPT)
NAME = rf"[^\W\d_{_RAISED}](?:[^\W{_RAISED}]|[\u0300-\u036f])*"
_ORDER = {"": 1, "²": 2, "^2": 2, "2": 2, "³": 3, "^3": 3, "3": 3}
_UNDER = re.compile(rf"(?P<mark>[d∂])(?P<by>{NAME})(?P<order>[²³]|\^[23])?")
_TOP = re.compile(rf"(?P<mark>[d∂])(?P<order>[²³]|\^[23]|[23](?=[^\W\d]))?[ ]?(?P<of>{NAME})?")
_SEVERAL = re.compile(rf"[d∂]\(\s*({NAME}(?:\s*,\s*{NAME})+)\s*\)")  # ∂f/∂(x, y) of scalars x, y
_SLASH = re.compile(r"[ ]*/[ ]*")
_ENTRY = re.compile(r"_[i-t]+(?![^\W_])|[ᵢⱼₖₗₘₙₒₚᵣₛₜ]+")
_LETTERS = "ijklmnopqrst"
_PRIMES = "′'’″"
_SLOPE = re.compile(rf"({NAME})[{_PRIMES}]\(")
_CALLED = re.compile(rf"({NAME})(?:([{_PRIMES}]+)|(?=\())")
SCOPES = ("tight", "factor", "term")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A derivative of `of` by each name of `by`, or its differential where `by` is empty.

    of         a known name, or a formula
    mark       d or ∂; ∇ is by several numbers together (∇f, ∂f/∂(x, y)), ′ the slope of a function of the
               language, `call` a name with other arguments than it was introduced with
    below      the letters of index notation, and digits of components, below `of` and below each of `by`
    arguments  of a call: f′(x²) has one argument and one prime
    """

    of: str | Part
    by: tuple[str, ...]
    mark: str
    below: tuple[str, ...]
    text: str
    arguments: tuple[Part, ...] = ()
    primes: int = 0

    @property
    def indexed(self) -> bool:
        """Whether letters of index notation stand below it."""
        return any(c.isalpha() for index in self.below for c in index)


Chunk = Part | Symbol


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equality: plain pieces and symbols, each with its place."""

    part: Part
    chunks: tuple[tuple[Chunk, Span], ...]

    @property
    def symbols(self) -> list[Symbol]:
        """The symbols, in order."""
        return [chunk for chunk, _ in self.chunks if isinstance(chunk, Symbol)]

    @property
    def alone(self) -> Symbol | None:
        """The symbol, if there is nothing else."""
        rest = "".join(chunk.text for chunk, _ in self.chunks if isinstance(chunk, Part)).strip(" ()")
        alone = self.symbols[0] if len(self.symbols) == 1 and not rest else None
        return alone if alone is not None and alone.mark in ("d", "∂", "∇") else None


class Scanner:
    """Finds the symbols in a text.

    `known` are the names, `wrt` is what ∇ alone is by, `functions` are those left unknown (df/du: d/du f(u)).
    `calls` are the arguments of the names that were introduced with some, f(x) = x².
    """

    def __init__(
        self,
        source: str,
        known: Mapping[str, object],
        wrt: tuple[str, ...] = (),
        functions: Collection[str] = (),
    ) -> None:
        self.source, self.known, self.wrt, self.functions = source, known, wrt, functions
        self.calls: dict[str, tuple[str, ...]] = {}
        self.differentials = "d" not in known

    def side(self, part: Part, scope: str = "factor") -> Side:
        """The part with its symbols found; `scope` says how far d/dx reaches where no bracket says it.

        Raises: UnknownName for a derivative of or by a name that is not known.
        """
        chunks: list[tuple[Chunk, Span]] = []
        begin = position = 0
        while position < len(part.text):
            if called := call_at(part.text, position, self.functions):
                position += len(called)
                continue
            found = self.symbol(part, position, scope) if self.starts(part.text, position) else None
            if found is None:
                position += 1
                continue
            symbol, end = found
            if begin < position:
                chunks.append((Part(part.text[begin:position], part.start + begin), Span(0, 0)))
            chunks.append((symbol, Span(part.start + position, part.start + end)))
            begin = position = end
        if begin < len(part.text):
            chunks.append((Part(part.text[begin:], part.start + begin), Span(0, 0)))
        return Side(part, tuple(chunks))

    def starts(self, text: str, position: int) -> bool:
        char = text[position]
        if char in "∂∇[":
            return True
        if not char.isalpha():
            return False
        before = text[position - 1 : position] if position else ""
        if (before.isalpha() and before not in _RAISED) or before in ("_", "."):
            return False
        if re.search(r"[^\W\d][0-9]+$", text[:position]):
            return False  # conv1d(x, k) is no differential
        return char == "d" or bool(_SLOPE.match(text, position) or _CALLED.match(text, position))

    def symbol(self, part: Part, position: int, scope: str) -> tuple[Symbol, int] | None:
        if part.text[position] == "∇":
            return self.nabla(part, position, scope)
        if part.text[position] == "[":
            return self.listed(part, position)
        primed = _SLOPE.match(part.text, position)
        if primed and has_slope(primed[1]) and self.stored(primed[1]) is None:
            return self.slope(part, primed)
        called = _CALLED.match(part.text, position)
        found = self.called(part, called) if called else None
        if found is not None or part.text[position] not in "d∂":
            return found
        return self.quotient(part, position, scope) or self.differential(part, position)

    def listed(self, part: Part, position: int) -> tuple[Symbol, int] | None:
        """[∂y/∂w₁, …, ∂y/∂wₙ], which is ∂y/∂w."""
        found = derivatives(part.text, position, self.size)
        if found is None:
            return None
        whole = self.quotient(Part(found[0], part.start + position), 0, "factor")
        if whole is None or not self.scalar(str(whole[0].of)):
            return None
        return replace(whole[0], text=part.text[position : found[1]]), found[1]

    def size(self, name: str) -> str | None:
        """The size of a vector by its name."""
        known = self.known.get(self.stored(name) or "")
        shape: Sequence[object] = getattr(getattr(known, "variable", known), "shape", ())
        return str(shape[0]) if len(shape) == 1 else None

    def called(self, part: Part, match: re.Match[str]) -> tuple[Symbol, int] | None:
        """A name with arguments or primes: y′, f′(x), f(x²); f(x) itself is plain formula."""
        name = self.stored(match[1])
        text, end, primes = part.text, match.end(), len((match[2] or "").replace("″", "′′"))
        own = self.calls.get(name or "", ())
        if name is None or (primes and not own and not self.scalar(name)):
            return None
        parts: tuple[Part, ...] = ()
        if text[end : end + 1] == "(":
            closed = closing(text, end)
            if not own or closed is None:
                return None
            parts = _arguments(part, end + 1, closed)
            end = closed + 1
        by = own if own else self.wrt if len(self.wrt) == 1 else ()
        if not parts or tuple(self.stored(p.text) for p in parts) == own:
            if not primes or len(by) != 1:
                return None
            return Symbol(name, by * primes, "d", ("",) * (primes + 1), text[match.start() : end]), end
        if len(parts) != len(own) or (primes and len(own) != 1):
            return None
        return Symbol(name, (), "call", ("",), text[match.start() : end], parts, primes), end

    def scalar(self, name: str) -> bool:
        """Whether a prime behind a name is no transpose."""
        known = self.known.get(name)
        return getattr(getattr(known, "variable", known), "rank", 1) == 0

    def slope(self, part: Part, primed: re.Match[str]) -> tuple[Symbol, int] | None:
        """relu′(z): the derivative of a function, entry by entry."""
        closed = closing(part.text, primed.end() - 1)
        if closed is None:
            return None
        inner = part.cut(primed.end(), closed)
        return Symbol(inner, (primed[1],), "′", ("",), part.text[primed.start() : closed + 1]), closed + 1

    # ------------------------------------------------------------ names

    def name(self, text: str) -> tuple[str, str, int] | None:
        """The longest known name at the start of a run of letters, the index below it, how far both reach."""
        for end in range(min(len(text), MAX_NAME), 0, -1):
            head = text[:end]
            stored = self.stored(head)
            if stored is not None:
                return stored, "", end
            index = re.fullmatch(rf"(.+?)_([{_LETTERS}]+|\d+)", ascii_name(head)) or re.fullmatch(
                r"(.*[^0-9_])([0-9]+)", ascii_name(head)
            )
            if index and index[1] in self.known and head != index[1] + index[2]:
                return index[1], index[2], end
            if end < len(text) and text[end].isdigit() and text[end - 1].isdigit():
                continue
        return None

    def as_name(self, part: Part) -> tuple[str, str] | None:
        """The name that a part is, and the index below it; f(x) is f if it was introduced so."""
        called = re.fullmatch(rf"({NAME})\(([^()]*)\)", part.text)
        if called is not None:
            name = self.stored(called[1])
            own = tuple(self.stored(a.strip()) for a in called[2].split(","))
            return (name, "") if name is not None and self.calls.get(name) == own else None
        found = self.name(part.text) if re.fullmatch(NAME, part.text) else None
        return (found[0], found[1]) if found is not None and found[2] == len(part.text) else None

    def stored(self, text: str) -> str | None:
        name = ascii_name(text)
        if name in self.known:
            return name
        other = re.sub(r"(?<=[^0-9_])([0-9]+)$", r"_\1", name)
        return other if other in self.known else None

    def unknown(self, what: str, span: Span) -> UnknownName:
        return UnknownName(
            f"`{what}` is neither declared nor given a value in this derivation",
            source=self.source,
            spans=(span,),
            hint="known are " + ", ".join(list(self.known)[:12]) if self.known else "declare it in shapes:",
        )

    # ------------------------------------------------------------ dC/dw, d/dx (...)

    def quotient(self, part: Part, position: int, scope: str) -> tuple[Symbol, int] | None:
        text = part.text
        top = _TOP.match(text, position)
        if top is None:
            return None
        order = _ORDER[top["order"] or ""]
        of: str | Part | None = None
        below = ""
        end = top.end("of") if top["of"] else position + 1 + len(top["order"] or "")
        if top["of"]:
            end, of, below = self.numerator(part, top)
            if not of and text[end : end + 1] == "(" and (closed := closing(text, end)) is not None:
                entry = _ENTRY.match(text, closed + 1)
                if entry is not None and _SLASH.match(text, entry.end()):
                    of, end = part.cut(top.start("of"), entry.end()), entry.end()  # ∂softmax(Wx)ₗ/∂Wᵢⱼ
        elif text[end : end + 1] == "(" or text[end : end + 2] == " (":
            opened = text.index("(", end)
            closed = closing(text, opened)
            if closed is None:
                return None
            of, end = part.cut(opened + 1, closed), closed + 1
            if entry := _ENTRY.match(text, end):
                of, end = part.cut(opened, entry.end()), entry.end()  # ∂(X⁻¹)ₗₖ/∂Xᵢⱼ
        slash = _SLASH.match(text, end)
        several = _SEVERAL.match(text, slash.end()) if slash and order == 1 and of else None
        if several is not None and of:
            names = tuple(self.stored(name.strip()) or "" for name in several[1].split(","))
            if all(names) and all(map(self.scalar, names)):
                end = several.end()
                return Symbol(of, names, "∇", (below, *("",) * len(names)), text[position:end]), end
        under = list(self.under(text, slash.end())) if slash else []
        if not under:
            return None
        bys: list[tuple[str, str]] = []
        for m in under:
            found = self.name(m["by"])
            if found is None:
                if of is None and top["mark"] == "d" and not self.differentials:
                    return None
                raise self.unknown(m["by"], Span(part.start + m.start("by"), part.start + m.end("by")))
            name, index, length = found
            end = m.end() if length == len(m["by"]) else m.start("by") + length
            bys += [(name, index)] * _ORDER[m["order"] or ""]
            if length < len(m["by"]):
                break
        if len(bys) != order:
            raise SyntaxProblem(
                f"a derivative of order {order} is by {order} variable{'s' if order > 1 else ''}",
                source=self.source,
                spans=(Span(part.start + position, part.start + end),),
                hint="write d²y/dx², ∂²f/∂x∂y",
            )
        if of == "" and len(bys) == 1 and ascii_name(top["of"]) in self.functions:
            of = self.call(top["of"], bys[0][0], part.start + position)
        if of == "":
            raise self.unknown(top["of"], Span(part.start + top.start("of"), part.start + top.end("of")))
        if of is None:
            of, end = self.operand(part, end, scope)
            of, below = self.as_name(of) or (of, "")
        if isinstance(of, Part):
            below = self.free_letters(of)
        names = tuple(name for name, _ in bys)
        indices = (below, *(index for _, index in bys))
        return Symbol(of, names, top["mark"], indices, text[position:end].strip()), end

    def call(self, function: str, by: str, place: int) -> Part:
        """What df/du differentiates: the call of f that has u for an argument, or f(u)."""
        for m in re.finditer(rf"(?<![\w∂]){re.escape(function)}\(([^()]*)\)", self.source):
            if by in (self.stored(argument.strip()) for argument in m[1].split(",")):
                return Part(m[0], m.start())
        return Part(f"{function}({by})", place)

    def free_letters(self, part: Part) -> str:
        """The letters of index notation of a formula: those that it does not sum itself."""
        line = self.source[self.source.rfind("\n", 0, part.start) + 1 :].split("\n", 1)[0]
        outside = letters_of(line.replace(part.text, " ", 1), summed=True)
        return "".join(c for c in letters_of(part.text) if part.text.count(c) == 1 or c in outside)

    def numerator(self, part: Part, top: re.Match[str]) -> tuple[int, str, str]:
        """Where the name above the line ends, the name ("" if it is not known) and what stands below it."""
        text, end = part.text, top.end("of")
        found = self.name(top["of"])
        if text[end : end + 1] == "(":
            closed = closing(text, end)
            if closed is not None and _SLASH.match(text, closed + 1):
                end = closed + 1  # f(x, u) above the line is f
        if found is None or found[2] < len(top["of"]):
            return end, "", ""
        return end, found[0], found[1]

    def under(self, text: str, position: int) -> Iterator[re.Match[str]]:
        while found := _UNDER.match(text, position):
            yield found
            position = found.end()

    def operand(self, part: Part, position: int, scope: str) -> tuple[Part, int]:
        """What an operator d/dx is applied to."""
        text = part.text
        begin = position + len(text[position:]) - len(text[position:].lstrip(" "))
        end = reach(text, begin, scope)
        found = part.cut(begin, end)
        if not found.text:
            raise SyntaxProblem(
                "what is differentiated is missing",
                source=self.source,
                spans=(Span(part.start + position - 1, part.start + position),),
                hint="write d/dx (x² + 3x)",
            )
        return _unwrapped(found), end

    # ------------------------------------------------------------ ∇C, ∇_w C

    def nabla(self, part: Part, position: int, scope: str) -> tuple[Symbol, int]:
        text = part.text
        place = Span(part.start + position, part.start + position + 1)
        end = position + 1
        order = 2 if text[end : end + 1] == "²" else 1
        end += order - 1
        by: str | None = None
        lowered = re.match(rf"_\{{?({NAME})\}}?|([{''.join(SUBSCRIPT)}]+)", text[end:])
        following = re.match(rf"({NAME})(?=\s+[^\W\d]|\s*\()", text[end:])
        if lowered:
            spelled = lowered[1] or "".join(SUBSCRIPT[c] for c in lowered[2])
            by = self.stored(spelled)
            if by is None:
                raise self.unknown(spelled, Span(part.start + end, part.start + end + lowered.end()))
            end += lowered.end()
        elif following and self.stored(following[1]) in self.wrt:
            by, end = self.stored(following[1]), end + following.end()
        of, end = self.operand(part, end, scope)
        found = self.as_name(of)
        target: str | Part = found[0] if found else of
        shown = text[position:end].strip()
        if by is None and len(self.wrt) != 1:
            several = self.calls.get(target, ()) if isinstance(target, str) and not self.wrt else self.wrt
            if not several or not all(map(self.scalar, several)):
                raise SyntaxProblem(
                    "∇ does not say by which variable",
                    source=self.source,
                    spans=(place,),
                    hint="write ∇_w C, or give one variable, or several scalars, in wrt:",
                )
            return Symbol(target, several, "∇", ("",) * (len(several) + 1), shown), end
        return Symbol(target, (by or self.wrt[0],) * order, "∂", ("",) * (order + 1), shown), end

    # ------------------------------------------------------------ dX⁻¹, d(XW), d tr(AX)

    def differential(self, part: Part, position: int) -> tuple[Symbol, int] | None:
        text = part.text
        if not self.differentials or text[position] != "d":
            return None
        after = position + 1
        powered = re.match(rf"({NAME})(?=[{_RAISED}]|\^)((?:[{_RAISED}]+|\^\(?-?\w+\)?))", text[after:])
        if powered and self.stored(powered[1]) and powered[2] not in ("ᵀ", "^T"):
            end = after + powered.end()
            return self.made(part, position, part.cut(after, end), end)
        spaced = re.match(r"[ ]*", text[after:])
        opened = after + (spaced.end() if spaced else 0)
        called = re.match(rf"({NAME})\s*\(", text[opened:])
        if text[after : after + 1] == "(":
            opened = after
        elif called and called[1] in TABLE and f"d{called[1]}" not in TABLE:
            pass
        elif text[opened : opened + 1] != "‖":
            return None
        end = reach(text, opened, "tight")
        return self.made(part, position, _unwrapped(part.cut(opened, end)), end) if end > opened else None

    def made(self, part: Part, position: int, inner: Part, end: int) -> tuple[Symbol, int]:
        found = self.name(inner.text) if re.fullmatch(NAME, inner.text) else None
        of: str | Part = found[0] if found and found[2] == len(inner.text) and not found[1] else inner
        return Symbol(of, (), "d", ("",), part.text[position:end]), end


_LETTER_BELOW = re.compile(r"_([i-t]+)(?![^\W_])|([ᵢⱼₖₗₘₙₒₚᵣₛₜ]+)")


def letters_of(text: str, summed: bool = False) -> str:
    """The letters of index notation in a text, in order, each once; those under a Σ if `summed`."""
    found: dict[str, None] = {}
    under: set[str] = set()
    for m in _LETTER_BELOW.finditer(text):
        letters = m[1] or ascii_name("x" + m[2])[2:]
        if text[m.start() - 1 : m.start()] in ("Σ", "∑"):
            under |= set(letters)
        else:
            found.update(dict.fromkeys(letters))
    return "".join(c for c in dict.fromkeys([*found, *sorted(under)]) if summed or c not in under)


def has_slope(function: str) -> bool:
    """Whether a function of the language works entry by entry on one argument."""
    if function not in TABLE:
        return False
    row = ROWS.get(TABLE[function].build.__name__)
    return isinstance(row, Elementwise) and len(row.d) == 1


def closing(text: str, opened: int) -> int | None:
    """Where the bracket that opens at `opened` is closed."""
    depth = 0
    for k in range(opened, len(text)):
        depth += (text[k] in "([{") - (text[k] in ")]}")
        if not depth:
            return k
    return None


def _arguments(part: Part, begin: int, end: int) -> tuple[Part, ...]:
    """The pieces between commas outside brackets."""
    pieces, depth, start = [], 0, begin
    for k in range(begin, end):
        depth += (part.text[k] in "([{") - (part.text[k] in ")]}")
        if part.text[k] == "," and not depth:
            pieces.append(part.cut(start, k))
            start = k + 1
    return (*pieces, part.cut(start, end))


def _unwrapped(part: Part) -> Part:
    """(x² + 3x) without its brackets, if they belong together."""
    if part.text.startswith("(") and closing(part.text, 0) == len(part.text) - 1:
        return part.cut(1, len(part.text) - 1)
    return part


def reach(text: str, begin: int, scope: str) -> int:
    """How far an operator in front of `begin` reaches: one primary, the factors side by side, or the term."""
    stops: dict[str, Callable[[str], bool]] = {
        "factor": lambda c: c in "+-−–·*/@⋅×⊙⊘=,;<>≤≥",
        "term": lambda c: c in "+-−–=,;<>≤≥",
    }
    k = begin
    if scope == "tight":
        return _primary(text, begin)
    inside = False
    while k < len(text) and text[k] not in ")]}":
        if text[k] in "([{":
            closed = closing(text, k)
            k = len(text) if closed is None else closed + 1
            continue
        inside ^= text[k] in "‖"
        if stops[scope](text[k]) and k > begin and not inside:
            break
        k += 1
    return k


def _primary(text: str, begin: int) -> int:
    """A name, a number, a call or a bracket, with what is raised or primed behind it."""
    start = re.compile(rf"{NAME}|\d+(?:\.\d+)?").match(text, begin)
    k = start.end() if start else begin
    if text[k : k + 1] == "‖":
        other = text.find("‖", k + 1)
        k = len(text) if other < 0 else other + 1
        lowered = re.compile(rf"_\w+|[{''.join(SUBSCRIPT)}]+").match(text, k)
        k = lowered.end() if lowered else k
    elif text[k : k + 1] in ("(", "["):
        closed = closing(text, k)
        k = len(text) if closed is None else closed + 1
    while k < len(text) and (text[k] in _RAISED + _PRIMES or text.startswith((".T", "^", "**"), k)):
        if text[k] in "^*":
            raised = re.compile(r"(?:\^|\*\*)(?:\([^()]*\)|-?\w+)").match(text, k)
            k = raised.end() if raised else k + 1
        else:
            k += 2 if text[k] == "." else 1
    return k
