"""The units of a derivative and of the factors of its chain rule: the unit in the middle cancels.

In: a Board and the units of some names. Out: a Phase. A unit that is not given is that of the formula where
that is certain; numbers may carry a unit of their own, so a product with a number has none that is certain.
Source: Parr and Howard 2018, section 4.5.1 (miles, gallons, tank).
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.derive.flow import Part
from chainrule.errors import OptionError
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Phase, Sentence, Words
from chainrule.explain.introduce import chain_rule
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of
from chainrule.expr.walk import topological
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.units import HINT, Unit, parse_units
from chainrule.rules.elementwise import abs_, maximum, minimum, power, relu
from chainrule.rules.tensorial import amax, amin, norm

KEEPING = (abs_, relu, maximum, minimum, norm, amax, amin)


def section(board: Board, text: str) -> Phase:
    """The units of the derivative and of its factors.

    Raises: OptionError for a text that is no units, a name that is none here, a sum of different units.
    """
    names = {v.name for v in board.subject.variables} | {p.name for p in board.flow.parts}
    units, notes = _completed(board, parse_units(text, sorted(names)))
    return Phase("Units", (*_lines(board, units), *notes))


def _completed(board: Board, given: Mapping[str, Unit]) -> tuple[dict[str, Unit], list[Sentence]]:
    """The units that are given, and those that follow from them; where a number must carry a unit, that."""
    units, notes = dict(given), []
    for part in board.flow.parts:
        found = unit_of(part.value, units)
        if found is None:
            continue
        known = units.setdefault(part.name, found)
        if not _same(known, found):
            words: Words = (
                "As written, ", board.symbol(part.symbol), " = ", board.tree(part.value), " would be in ",
                unit_tree(found), ": a factor in ", unit_tree(known / found), " is understood in it.",
            )  # fmt: skip
            notes.append(Sentence(words))
    return units, notes


def _same(a: Unit, b: Unit) -> bool:
    return not (a / b).powers


def unit_of(expr: Expr, units: Mapping[str, Unit]) -> Unit | None:
    """The unit of an expression where it is certain.

    Raises: OptionError if terms of different units are added.
    """
    known: dict[Expr, Unit | None] = {}
    for node in topological([expr]):
        known[node] = _unit(node, known, units)
    return known[expr]


def _unit(node: Expr, known: Mapping[Expr, Unit | None], units: Mapping[str, Unit]) -> Unit | None:
    match node:
        case Variable():
            return units.get(node.name)
        case Sum():
            found = [u for u in (known[t] for t in node.terms) if u is not None]
            for other in found[1:]:
                if not _same(found[0], other):
                    raise OptionError(
                        f"the units do not fit: {found[0]} and {other} cannot be added", hint=HINT
                    )
            return found[0] if found else None
        case Einsum():
            total = Unit() if abs(node.coefficient.rational) == 1 and node.operands else None
            for operand in node.operands:
                inner = known[operand]
                total = total * inner if total is not None and inner is not None else None
            return total
        case Apply() if node.function is power:
            exponent = constant_of(node.arguments[1])
            base = known[node.arguments[0]]
            if base is None or exponent is None or exponent.powers or exponent.rational.denominator != 1:
                return None
            return base ** int(exponent.rational)
        case Apply() if node.function in KEEPING:
            return next((u for u in (known[a] for a in node.arguments) if u is not None), None)
        case _:
            return None


# ---------------------------------------------------------------- lines


def _lines(board: Board, units: Mapping[str, Unit]) -> list[Entry]:
    output, wrt = board.output.symbol, board.wrt
    left = board.total(output)
    whole = _ratio(output, wrt, units)
    entries: list[Entry] = []
    missing = [v for v in (output, wrt) if v.name not in units]
    if whole is None:
        entries.append(_left_out(board, missing))
    pairs = _factors(board)
    middle = [v for term in pairs for factor in term for v in factor if v.name not in units]
    lost = [v for v in dict.fromkeys(middle) if v not in (output, wrt)]
    if lost:
        entries.append(_left_out(board, lost))
    single = len(pairs) == 1 and len(pairs[0]) == 1
    if whole is None or lost or single or not pairs:
        if whole is not None:
            entries.append(Line(left, unit_tree(whole), ("the unit of the answer",)))
        return entries
    symbols = [m.product(*(_symbol(board, of, by) for of, by in term)) for term in pairs]
    values = [m.product(*(_written(of, by, units) for of, by in term)) for term in pairs]
    entries.append(Line(left, _added(symbols), (chain_rule(board) or "chain rule",)))
    entries.append(Line(None, _added(values), ("the unit of each factor",)))
    inner = list(dict.fromkeys(of for term in pairs for of, _ in term[1:]))
    cancelled: list[str | Tree] = []
    for v in inner:
        if units[v.name].powers:
            cancelled += [", " if cancelled else "", unit_tree(units[v.name])]
    verb = " cancels" if len(inner) == 1 else " cancel"
    reason: Words = (*cancelled, verb) if cancelled else ()
    entries.append(Line(None, unit_tree(whole), reason))
    return entries


def _left_out(board: Board, missing: list[Variable]) -> Sentence:
    """Which units are not told, and what to add."""
    words: list[str | Tree] = []
    for v in missing:
        words += [" and " if words else "", board.symbol(v)]
    add = f", so what needs it is left out; add it, as in {missing[0].name}=m."
    return Sentence(("No unit is known for ", *words, add))


def _factors(board: Board) -> list[list[tuple[Variable, Variable]]]:
    """The terms of the chain rule, each a product of derivatives: what is differentiated, and by what."""
    output, wrt = board.output, board.wrt
    if not board.moving:
        return []
    if not board.several:
        path = board.flow.paths(wrt)[0]
        return [list(zip(path[:0:-1], path[-2::-1], strict=True))]
    terms: list[list[tuple[Variable, Variable]]] = []
    for argument in board.flow.arguments(output):
        direct = [(output.symbol, argument)]
        terms.append(direct if argument is wrt else [*direct, (argument, wrt)])
    return terms


def _symbol(board: Board, of: Variable, by: Variable) -> Tree:
    part: Part = board.flow.by_symbol[of]
    if by in board.flow.arguments(part):
        return board.partial(part, by)
    return board.total(of)


def _ratio(of: Variable, by: Variable, units: Mapping[str, Unit]) -> Unit | None:
    if of.name not in units or by.name not in units:
        return None
    return units[of.name] / units[by.name]


def _written(of: Variable, by: Variable, units: Mapping[str, Unit]) -> Tree:
    unit = _ratio(of, by, units)
    assert unit is not None, "units that are missing were told before"
    return unit_tree(unit)


def _added(terms: list[Tree]) -> Tree:
    return terms[0] if len(terms) == 1 else m.tree("sum", terms, [1] * len(terms))


def unit_tree(unit: Unit) -> Tree:
    """A unit as it is written: mile/gallon."""
    above = [_raised(name, power) for name, power in unit.powers if power > 0]
    below = [_raised(name, -power) for name, power in unit.powers if power < 0]
    dot = r" \cdot "
    bottom = f"({dot.join(below)})" if len(below) > 1 else "".join(below)
    latex = (dot.join(above) or "1") + (f"/{bottom}" if bottom else "")
    return m.tree("symbol", (), (str(unit), latex))


def _raised(name: str, power: int) -> str:
    plain = name.replace("%", r"\%").replace("_", r"\_")
    return rf"\mathrm{{{plain}}}" + (f"^{{{power}}}" if power != 1 else "")
