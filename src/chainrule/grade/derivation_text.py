"""The text of a derivation to its equalities: header lines, comments, chains, names given in a `where`.

In: the text as a person wrote it. Out: a Script, whose parts know their place in the text. Nothing is read as
mathematics here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from chainrule.errors import ChainruleError, OptionError, Span, SyntaxProblem
from chainrule.grade.pages import cleaned, is_page
from chainrule.grade.points import is_numeric

OPTIONS = ("shapes", "wrt", "dialect", "profile", "functions")
_HEADER = re.compile(rf"[ \t]*({'|'.join(OPTIONS)})[ \t]*:(?!=)(.*)")
_LEAD = re.compile(
    r"\s*(?:(?:\(?\d{1,3}[.)]|[•])\s+)?"
    r"(?:(?:so|then|thus|hence|therefore|where|with|and|let|also|finally|now|⇒|⟹|=>|∴|→)[,:]?\s+)*",
    re.IGNORECASE,
)
_REASON = re.compile(r"(?:,\s*|\s+)(?:since|because|using|as|by)\s+[^\W\d].*$", re.DOTALL)
_WIDE = re.compile(r"(?: {3,}|[ ]*\t\s*)(?=\S)")
_WORDS = re.compile(r"\(?[a-z]{3,}(?=[ ,:;)]|$)(?!\s*[(=])|[a-z]{3,} [a-z]{3,}")
_SIZES = re.compile(r"\w\[([\w\s,+*]+)\]")  # N, n of X[N,n]
# Words in place of an equality: a heading, a sentence.
_PROSE = re.compile(r"[A-Za-z]{3,}[,;]? +[A-Za-z]{2,}|^\s*(?:\d+[.)]\s*)?[A-Z][a-z]{3,}[:.]?\s*$")
_ENDS_OPEN = tuple("+-−–*/@·⋅⊙⊘×=⊗∘")
_BEGINS_ON = tuple("+-−–*/@·⋅⊙⊘×⊗∘")
_STEPS = ("⇒", "⟹", "=>", ";")
_VALUE = r"(?:\[[^\]=]*\]|[-−+]?[\d.]+(?:/\d+)?)"
_SET = rf"[^\W\d][\w\u0300-\u036f]*\s*=\s*{_VALUE}"
_POINT = rf"{_SET}(?:\s*(?:,|\band\b)\s*{_SET})*"
_TUPLE = r"\(\s*[-−+]?[\d.][-−+\d.,\s/]*\)"
# dy/dx = 6 at x = 3, and dy/dx|_{x=3} = 6.
_AT = re.compile(rf"(?:,\s*|\s+)(?:at|when|for)\s+(?:the point\s+)?({_POINT}|{_TUPLE})\s*$")
_FIRST = re.compile(rf"\s*(?:at|for)\s+({_POINT})\s*[,:]\s*", re.IGNORECASE)
_BAR = re.compile(rf"\s*\|\s*_?\s*\{{?\s*({_POINT}|{_TUPLE})\s*\}}?(?=\s*(?:=|$|[+\-−·*]))")
_NEXT = re.compile(
    r"\s*(?:(?:and|so|then|thus|hence)\s+)?(?:[d∂][²³]?[^\W\d][\w\u0300-\u036f]*/[d∂])?[^\W\d][\w\u0300-\u036f]*[′″]?"
    r"\s*=(?!=)"
)
_BINDING = re.compile(r"\s*(?:and\s+)?[^\W\d][\w\u0300-\u036f]*\s*=(?!=)")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text; `start` is where it begins."""

    text: str
    start: int

    @property
    def span(self) -> Span:
        """Its place."""
        return Span(self.start, self.start + len(self.text))

    def cut(self, begin: int, end: int | None = None) -> Part:
        """A piece of it, without white space around."""
        text = self.text[begin:end]
        return Part(text.strip(), self.start + begin + len(text) - len(text.lstrip()))


@dataclass(frozen=True, slots=True)
class Equality:
    """An equality; without a left side it continues the one before.

    remark   what was not read as formula
    problem  why this line is no equality; then `right` is all of it
    at       the point at which it holds: "x = 3, y = 2", "(3, 2)"
    aside    whether it stands in a `where` of a line that goes on below
    """

    number: int
    left: Part | None
    right: Part
    remark: str = ""
    problem: ChainruleError | None = None
    at: str = ""
    aside: bool = False

    @property
    def text(self) -> str:
        """As it was written, without its remark."""
        if self.problem is not None:
            return " ".join(self.right.text.split())
        left = " ".join(self.left.text.split()) + " " if self.left else ""
        point = f" at {' '.join(self.at.split())}" if self.at else ""
        return f"{left}= {' '.join(self.right.text.split())}{point}"


@dataclass(frozen=True, slots=True)
class Script:
    """A derivation as text: what its header lines say, and its equalities in order."""

    source: str
    options: dict[str, str] = field(default_factory=dict)
    equalities: tuple[Equality, ...] = ()


def read_script(source: str, shapes: str = "") -> Script:
    r"""The equalities of a derivation.

    A line that is no equality is kept with the problem; `shapes` are declarations that stand elsewhere.
    Raises: SyntaxProblem, with the place, if no line is one.

    >>> script = read_script("wrt: x\ny = x**2   # a parabola\ndy/dx = 2*x\n      = x + x")
    >>> [(e.number, e.text) for e in script.equalities]
    [(2, 'y = x**2'), (3, 'dy/dx = 2*x'), (4, '= x + x')]
    """
    text = re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), source).replace("\u00a0", " ")
    if is_page(text):
        text = cleaned(text)
    options: dict[str, str] = {}
    equalities: list[Equality] = []
    sizes = {name for m in _SIZES.finditer(f"{shapes} {text}") for name in re.findall(r"\w+", m[1])}
    for line in _lines(text):
        header = _HEADER.fullmatch(line.text)
        if header:
            _set_option(options, header, line, source)
            continue
        number = source.count("\n", 0, line.start) + 1
        body, remark = _without_remark(line, sizes)
        for step in _split(body, _STEPS):
            try:
                equalities.extend(list(_equalities(step, number, remark, source, bool(equalities))))
            except SyntaxProblem as problem:
                equalities.append(Equality(number, None, step.cut(0), problem=problem))
    problems = [e.problem for e in equalities if e.problem is not None]
    if problems and len(problems) == len(equalities):
        raise problems[0]
    if not equalities:
        raise SyntaxProblem(
            "the derivation is empty", hint="write one equality a line, such as dC/dw = 2*X.T @ e"
        )
    return Script(source, options, tuple(equalities))


def _set_option(options: dict[str, str], header: re.Match[str], line: Part, source: str) -> None:
    name, value = header[1], header[2].strip()
    if name in options:
        raise OptionError(
            f"`{name}:` stands twice", source=source, spans=(line.cut(0).span,), hint="keep one of the two"
        )
    options[name] = value


def _lines(text: str) -> Iterator[Part]:
    """Lines with what continues them: an open bracket, an operator at an end or at the next beginning."""
    parts: list[Part] = []
    position = 0
    for raw in text.split("\n"):
        parts.append(Part(raw, position))
        position += len(raw) + 1
    k = 0
    while k < len(parts):
        line = parts[k]
        k += 1
        if not line.text.strip() or _is_prose(line.text):
            continue
        while k < len(parts) and _goes_on(line.text, parts[k].text):
            line = Part(text[line.start : parts[k].start + len(parts[k].text)], line.start)
            k += 1
        yield line


def _goes_on(text: str, following: str) -> bool:
    """Whether a line continues the one before."""
    if _HEADER.fullmatch(text) or _is_prose(following):
        return False
    if sum(text.count(c) for c in "([{") > sum(text.count(c) for c in ")]}"):
        return True
    if text.rstrip().endswith(_ENDS_OPEN) and following.strip():
        return True
    after = following.strip()
    if after.startswith("=") and not after.startswith("==") and len(_split(Part(text, 0), ("=",))) < 2:
        return True
    return after.startswith(_BEGINS_ON) and len(_split(Part(after, 0), ("=",))) < 2


def _split(part: Part, signs: tuple[str, ...]) -> list[Part]:
    """The pieces between signs that stand outside brackets; = is none in ==, <=, >=, !=, =>."""
    pieces: list[Part] = []
    depth = begin = k = 0
    text = part.text
    while k < len(text):
        depth += (text[k] in "([{") - (text[k] in ")]}")
        sign = next((s for s in signs if text.startswith(s, k)), None)
        if sign == "=" and (text[k + 1 : k + 2] in ("=", ">") or (k and text[k - 1] in "<>!=")):
            k += 2 if text[k + 1 : k + 2] in ("=", ">") else 1
            continue
        if sign is not None and depth <= 0:
            end = k - 1 if sign == "=" and k and text[k - 1] == ":" else k
            pieces.append(Part(text[begin:end], part.start + begin))
            begin = k + len(sign)
            k = begin
            continue
        k += 1
    pieces.append(Part(text[begin:], part.start + begin))
    return pieces


def _equalities(step: Part, number: int, remark: str, source: str, follows: bool) -> Iterator[Equality]:
    """The equalities of one step: names given behind `where` first."""
    lead = _LEAD.match(step.text)
    begin = lead.end() if lead else 0
    if step.text[begin:].strip() == "":
        if step.text.strip() in ("", *_STEPS):
            return
        begin = 0
    main, clause = _where(step.cut(begin, len(step.text.rstrip().rstrip(".,").rstrip())))
    main, point, whole = _at(main)
    bound = clause is not None and _BINDING.match(clause.text)
    if clause is not None and not bound:
        remark = f"where {clause.text}"
    bindings = [
        equality
        for binding in (_bindings(clause) if clause is not None and bound else ())
        for equality in _chain(binding, number, "", source, follows)
    ]
    # A name may be used above the line that introduces it; what continues the line before stays beside it.
    continues = main.text.startswith("=")
    yield from () if continues else bindings
    *firsts, main = [main] if point else _stated(main)
    for stated in firsts:
        yield from _chain(stated, number, "", source, follows)
    sides = list(_chain(main, number, remark, source, follows or bool(firsts)))
    for k, one in enumerate(sides):
        there = whole or k == len(sides) - 1 or is_numeric(one.right.text)
        yield replace(one, at=point) if point and there else one
    yield from (replace(one, aside=True) for one in bindings) if continues else ()


def _stated(part: Part) -> list[Part]:
    """The equalities of u = x², v = sin(u), so y = ln(v): cut at commas before another left side."""
    bounds, depth = [0], 0
    for k, char in enumerate(part.text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth <= 0 and "=" in part.text[bounds[-1] : k] and _NEXT.match(part.text, k + 1):
            bounds.append(k + 1)
    ends = [*(b - 1 for b in bounds[1:]), len(part.text)]
    pieces = [part.cut(begin, end) for begin, end in zip(bounds, ends, strict=True)]
    leads = [_LEAD.match(piece.text) if k else None for k, piece in enumerate(pieces)]
    return [piece.cut(lead.end() if lead else 0) for piece, lead in zip(pieces, leads, strict=True)]


def _at(part: Part) -> tuple[Part, str, bool]:
    """A step without what it says of a point, the point, and whether that holds for all of its sides."""
    text = part.text
    if first := _FIRST.match(text):
        return part.cut(first.end()), first[1], True
    if last := _AT.search(text):
        return part.cut(0, last.start()), last[1], False
    bar = _BAR.search(text)
    if bar is None:
        return part, "", False
    while found := _BAR.search(text):
        text = text[: found.start()] + " " * len(found[0]) + text[found.end() :]
    return Part(text, part.start), bar[1], True


def _chain(part: Part, number: int, remark: str, source: str, follows: bool) -> Iterator[Equality]:
    compared = _split(part, ("==",))
    if len(compared) > 1:
        end = compared[1].start
        raise SyntaxProblem(
            "== compares; a line of a derivation states that two sides are equal",
            source=source,
            spans=(Span(end - 2, end),),
            hint="write =",
        )
    sides = [piece.cut(0) for piece in _split(part, ("=", "≔", "←"))]
    if len(sides) < 2:
        raise SyntaxProblem(
            "a line of a derivation is an equality",
            source=source,
            spans=(part.span,),
            hint="write left = right, or = right to continue the line before; # begins a comment",
        )
    left: Part | None = sides[0] if sides[0].text else None
    if left is None and not follows:
        raise SyntaxProblem(
            "there is no line before that this one could continue",
            source=source,
            spans=(part.span,),
            hint="write the left side, such as dC/dw = ...",
        )
    for k, right in enumerate(sides[1:]):
        if not right.text:
            place = Span(right.start - 1, right.start) if right.start else part.span
            raise SyntaxProblem(
                "nothing stands after =", source=source, spans=(place,), hint="write the right side"
            )
        yield Equality(number, left if not k else None, right, remark if k == len(sides) - 2 else "")


def _without_remark(step: Part, sizes: Collection[str] = ()) -> tuple[Part, str]:
    """The formula, and words behind it that name a rule: after three spaces, or after `since`, `by`, ..."""
    text = step.text.rstrip()
    while text.endswith((".", ",")):
        text = text[:-1].rstrip()
    for gap in _WIDE.finditer(text):
        head, tail = text[: gap.start()], text[gap.end() :]
        if "=" not in head or tail.startswith(("=", *_BEGINS_ON, *_STEPS, "where ", "at ", "when ")):
            continue
        if head.endswith((*_ENDS_OPEN, *_STEPS, ",")):
            continue
        columns = list(_WIDE.split(tail))
        if any(_is_remark(column, sizes) for column in columns):
            if columns[-1].startswith("where "):
                blank = " " * (len(text) - len(columns[-1]) - gap.start())
                return Part(text[: gap.start()] + blank + columns[-1], step.start).cut(0), ""
            return step.cut(0, gap.start()), tail
    reason = _REASON.search(text)
    if reason and "=" in text[: reason.start()]:
        return step.cut(0, reason.start()), text[reason.start() :].strip(" ,")
    return step.cut(0, len(text)), ""


def _is_remark(text: str, sizes: Collection[str] = ()) -> bool:
    """Whether a column behind a formula is about it: a rule's name, its sizes, an equality of its own."""
    parts = re.split(r"[\s×·]+", text.strip())
    if all(part in sizes or part.isdigit() for part in parts) and not text.strip().isdigit():
        return True
    if re.match(r"[^\W\d]\w*: [a-z\d]", text):
        return True
    return "=" in text or bool(_WORDS.match(text) or re.search(r"\b[a-z]{2,},? [a-z]{2,}\b", text))


def _is_prose(text: str) -> bool:
    """Whether a line holds words and no equality."""
    return len(_split(Part(text, 0), ("=",))) < 2 and bool(_PROSE.search(text))


def _where(part: Part) -> tuple[Part, Part | None]:
    depth = 0
    for k, char in enumerate(part.text):
        depth += (char in "([{") - (char in ")]}")
        if depth <= 0 and re.match(r"\bwhere\s+(?!\()", part.text[k:]) and k and part.text[k - 1] in " \t,":
            return part.cut(0, len(part.text[:k].rstrip(" \t,"))), part.cut(k + 5)
    return part, None


def _bindings(clause: Part) -> list[Part]:
    """The parts of z = Xw + b, e = relu(z) - y: cut at the commas (or `and`) before another name and =."""
    bounds = [0]
    depth = 0
    for k, char in enumerate(clause.text):
        depth += (char in "([{") - (char in ")]}")
        if depth <= 0 and char == "," and _BINDING.match(clause.text, k + 1):
            bounds.append(k + 1)
        elif depth <= 0 and re.match(r"\sand\s", clause.text[k:]) and _BINDING.match(clause.text, k + 5):
            bounds.append(k + 5)
    ends = [*bounds[1:], len(clause.text)]
    pieces = []
    for begin, end in zip(bounds, ends, strict=True):
        text = re.sub(r"(?:,|\sand)\s*$", "", clause.text[begin:end])
        pieces.append(Part(text, clause.start + begin).cut(0))
    return [piece.cut(4) if re.match(r"and\s", piece.text) else piece for piece in pieces]
