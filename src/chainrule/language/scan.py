"""scan(h = tanh(W @ h + U @ x[t] + b), h0, t = 0:5): a recurrence, unrolled into one statement for each step.

In: the tokens of a program. Out: tokens in which every scan is the name of its last state, and the states
are named parts before the statement that the scan stands in: h1 = ..., h2 = .... So a recurrence is a program
as if a person had written it out, and the same rules and names apply to it.

Several updates are done in their order in every step, the new values visible to those behind them. The
initial values belong to the last of the updated names; those before are parts of a step, such as the gates
of an LSTM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.errors import LimitExceeded, Span, SyntaxProblem
from chainrule.expr.names import ascii_name
from chainrule.language.tokens import Token

SCANS = ("scan", "scan_all")
EXAMPLE = "scan(h = tanh(W @ h + U @ x[t] + b), h0, t = 0:5)"
MAX_STEPS = 1000
MAX_TOKENS = 60_000


@dataclass(frozen=True, slots=True)
class _Scan:
    """A scan taken apart: what each name becomes, initial values, the counter and its range."""

    updates: list[tuple[str, list[Token]]]
    initial: list[list[Token]]
    counter: str
    start: int
    stop: int
    place: Span


def unrolled(tokens: list[Token], source: str, taken: Sequence[str]) -> list[Token]:
    r"""The tokens without scans; `taken` are names that the states must not use.

    >>> from chainrule.language.tokens import tokenize
    >>> text = "sum(scan(h = h * x[t], a, t = 0:2))"
    >>> " ".join(t.text for t in unrolled(tokenize(text, "numpy"), text, []))
    'h1 = a * x [ 0 ] \n h2 = h1 * x [ 1 ] \n sum ( h2 ) '
    """
    names = {ascii_name(t.text) for t in tokens if t.kind == "name"} | set(taken)
    while (position := _next(tokens, taken)) is not None:
        end = _closing(tokens, position + 1, source)
        found = _read(tokens, position, end, source)
        statements, value = _unroll(found, tokens[position].text == "scan_all", names)
        first = _statement_start(tokens, position)
        tokens = [*tokens[:first], *statements, *tokens[first:position], *value, *tokens[end + 1 :]]
        if len(tokens) > MAX_TOKENS:
            raise LimitExceeded(
                "the scans of this formula unroll into too many parts",
                source=source,
                spans=(found.place,),
                hint="take fewer steps",
            )
    return tokens


def _next(tokens: Sequence[Token], taken: Sequence[str]) -> int | None:
    """Where the first scan is called."""
    for position, token in enumerate(tokens[:-1]):
        called = token.kind == "name" and token.text in SCANS and tokens[position + 1].text == "("
        if called and token.text not in taken:
            return position
    return None


def _closing(tokens: Sequence[Token], opened: int, source: str) -> int:
    depth = 0
    for position in range(opened, len(tokens)):
        depth += (tokens[position].text in ("(", "[", "{")) - (tokens[position].text in (")", "]", "}"))
        if not depth:
            return position
    raise SyntaxProblem(
        "`(` is never closed", source=source, spans=(tokens[opened].span,), hint="add the missing `)`"
    )


def _statement_start(tokens: Sequence[Token], position: int) -> int:
    """Where the statement that a token stands in begins."""
    depth = 0
    for k in range(position - 1, -1, -1):
        depth += (tokens[k].text in (")", "]", "}")) - (tokens[k].text in ("(", "[", "{"))
        if tokens[k].kind == "newline" or (tokens[k].text == ";" and depth <= 0):
            return k + 1
    return 0


def _read(tokens: Sequence[Token], position: int, end: int, source: str) -> _Scan:
    place = tokens[position].span.join(tokens[end].span)

    def problem(message: str, *spans: Span) -> SyntaxProblem:
        return SyntaxProblem(message, source=source, spans=spans or (place,), hint=EXAMPLE)

    parts = _arguments(tokens[position + 2 : end])
    updates: list[tuple[str, list[Token]]] = []
    initial: list[list[Token]] = []
    counter: tuple[str, list[Token]] | None = None
    for part in parts:
        if len(part) > 2 and part[0].kind == "name" and part[1].text == "=":
            if any(t.text == ":" and not _inside(part, k) for k, t in enumerate(part)):
                counter = (ascii_name(part[0].text), part[2:])
            elif initial or counter:
                raise problem("the updates of a scan stand first", part[0].span)
            else:
                updates.append((ascii_name(part[0].text), part[2:]))
        elif part:
            initial.append(part)
        else:
            raise problem("a value is missing in the scan")
    if counter is None:
        raise problem("a scan ends with its counter, t = 0:5")
    if not updates or not initial:
        raise problem("a scan has updates, such as h = ..., and an initial value for each state")
    if len(initial) > len(updates):
        raise problem("a scan has more initial values than updates", initial[len(updates)][0].span)
    if len({name for name, _ in updates}) < len(updates):
        raise problem("a scan updates a name twice in one step")
    start, stop = _range(counter[1], problem)
    return _Scan(updates, initial, counter[0], start, stop, place)


def _range(tokens: Sequence[Token], problem: object) -> tuple[int, int]:
    """The first step and the one behind the last."""
    texts = [t.text for t in tokens]
    texts = ["0", *texts] if texts[0] == ":" else texts
    where = (tokens[0].span.join(tokens[-1].span),)
    if len(texts) != 3 or texts[1] != ":" or not (texts[0].isdigit() and texts[2].isdigit()):
        raise problem("the steps of a scan are counted by numbers, t = 0:5", *where)  # type: ignore[operator]
    start, stop = int(texts[0]), int(texts[2])
    if not 0 < stop - start <= MAX_STEPS:
        raise problem(f"a scan has 1 to {MAX_STEPS} steps", *where)  # type: ignore[operator]
    return start, stop


def _inside(tokens: Sequence[Token], position: int) -> bool:
    """Whether a token stands in brackets."""
    return sum((t.text in ("(", "[", "{")) - (t.text in (")", "]", "}")) for t in tokens[:position]) > 0


def _arguments(tokens: Sequence[Token]) -> list[list[Token]]:
    """What stands between commas outside brackets; line ends inside a call mean nothing."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.text == "," and not depth:
            parts.append([])
        elif token.kind != "newline":
            parts[-1].append(token)
    return parts


def _unroll(scan: _Scan, every: bool, names: set[str]) -> tuple[list[Token], list[Token]]:
    """The statements of all steps, and what stands in the place of the scan."""
    bases = {name: _base(name, scan.stop - scan.start, names) for name, _ in scan.updates}
    stepped = [name for name, _ in scan.updates][len(scan.updates) - len(scan.initial) :]
    statements: list[Token] = []

    def assign(name: str, value: Sequence[Token], place: Span) -> Token:
        token = Token("name", name, place)
        statements.extend([token, Token("op", "=", place), *value, Token("newline", "\n", place)])
        names.add(name)
        return token

    current: dict[str, Token] = {}
    for name, value in zip(stepped, scan.initial, strict=True):
        alone = len(value) == 1 and value[0].kind == "name"
        current[name] = value[0] if alone else assign(_state(bases[name], 0), value, value[0].span)
    last = stepped[-1]
    states: list[Token] = []
    for step in range(scan.start, scan.stop):
        for name, body in scan.updates:
            value = _substituted(body, current, scan.counter, step)
            current[name] = assign(_state(bases[name], step - scan.start + 1), value, scan.place)
        states.append(current[last])
    if not every:
        return statements, [states[-1]]
    place = scan.place
    listed = [t for state in states for t in (state, Token("op", ",", place))][:-1]
    opened, closed = Token("op", "(", place), Token("op", ")", place)
    return statements, [Token("name", "stack", place), opened, *listed, closed]


def _base(name: str, steps: int, names: set[str]) -> str:
    """The name itself, unless a state of it would have the name of something else."""
    base, extra = name, 0
    while any(_state(base, k) in names for k in range(1, steps + 1)):
        base = f"{name}{chr(97 + extra % 26)}"
        extra += 1
    return base


def _state(base: str, step: int) -> str:
    """h1, which is printed h₁; a name that ends with a digit keeps it apart."""
    return f"{base}_{step}" if base[-1].isdigit() else f"{base}{step}"


def _substituted(body: Sequence[Token], current: Mapping[str, Token], counter: str, step: int) -> list[Token]:
    """The body of an update with the states and the counter put in."""
    result: list[Token] = []
    for before, token, after in zip([None, *body[:-1]], body, [*body[1:], None], strict=True):
        keyword = after is not None and after.text == "=" and before is not None and before.text in ("(", ",")
        name = ascii_name(token.text) if token.kind == "name" and not keyword else ""
        if name == counter:
            result.append(replace(token, kind="num", text=str(step)))
        elif name in current:
            result.append(replace(current[name], span=token.span, spaced=token.spaced))
        else:
            result.append(token)
    return result
