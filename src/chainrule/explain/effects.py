"""Reading a derivative by what moves: wiggle x_j by Δ and y_j moves by w_jΔ, nothing else moves.

In: an Answer. Out: Readings. Which entries move together is told by axes that are one in the product
(a diagonal); by how much, by the factors.
Source: Parr and Howard 2018, sections 4.1 to 4.3 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from chainrule.explain.derivation import Words
from chainrule.explain.readings import Reading
from chainrule.explain.seen import Answer, Labels, built, condition_of, product_of, without
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of, multiply, number, zeros
from chainrule.expr.walk import substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Product
from chainrule.rules.constants import BASIS
from chainrule.rules.elementwise import greater, greater_equal, power
from chainrule.rules.table import Row
from chainrule.simplify import simplify
from chainrule.simplify.definite import Definite
from chainrule.steps import Claim

# Entries of a gradient that are told one by one.
MOST_LISTED = 4
# An amount that costs more to read than this says nothing in a sentence.
LONGEST = 90


def nothing(answer: Answer) -> Iterator[Reading]:
    """A derivative that is 0: of a constant, or of a staircase."""
    constant = constant_of(answer.value)
    if constant is None or not constant.is_zero:
        return
    still = answer.equals(zeros(answer.value.shape), "nothing moves")
    if answer.is_smooth or answer.wrt not in variables(simplify(answer.board.subject.expr)):
        yield Reading(((answer.y, " does not react to ", answer.x, "."),), (still, answer.exactly()))
    words: Words = (answer.y, " does not react to a small move of ", answer.x, ": it changes in jumps only.")
    yield Reading((words,), (still,))


def switched(answer: Answer) -> Iterator[Reading]:
    """A number that is off below a kink: no effect there, that of the inner function beyond it."""
    term = answer.only
    if term is None or answer.output.rank:
        return
    masks = [f for f in term.operands if not f[1] and condition_of(f[0]) and answer.is_moving(f[0])]
    if len(masks) != 1:
        return
    condition = condition_of(masks[0][0])
    assert condition is not None
    z, _ = condition
    if Definite(answer.normal).is_nonnegative(answer.normal(z)):
        return  # it is never off
    rest = without(term, masks[0])
    on = built(rest)
    moved = _moved(answer, rest, exact=not answer.is_moving(on), small=True)
    if moved is None:
        return
    shown = answer.tree(z)
    inner = simplify(answer.board.simplified(z, answer.wrt))
    named = shown.op == "name" and z is not answer.wrt and simplify(on) is inner
    same: Words = (", as ", shown, " itself does") if named else ()
    words: Words = (
        "off, where ", shown, " < 0, ", answer.x, " has no effect; on, where ", shown, " > 0, ", *moved,
        *same, ".",
    )  # fmt: skip
    above, below, value = z > 0, -z > 0, answer.value
    claims = (
        Claim("off: no effect", multiply(value, _spread(below, value)), zeros(value.shape)),
        Claim("on: the inner effect", multiply(on - value, _spread(above, value)), zeros(value.shape)),
    )
    yield Reading((words,), claims)


def _spread(condition: Expr, value: Expr) -> Expr:
    axes = tuple(range(value.rank))
    return Einsum(ONE, (condition,), ((),), axes, dict(enumerate(value.shape)))


def moved(answer: Answer) -> Iterator[Reading]:
    """What moves when one entry of the variable moves by Δ."""
    if not (answer.wrt.rank or answer.output.rank) or answer.is_paired:
        return
    told = answer.equals(_again(answer), "what moves")
    term = answer.only
    for exact in (True, False):
        if exact and (answer.is_moving(answer.value) or not answer.is_smooth):
            continue
        if term is not None:
            conditional = _conditional(answer, term)
            words = conditional or _moved(answer, term, exact=exact)
            away = () if conditional or answer.is_smooth else (", where it is differentiable",)
            sentence = None if words is None else (*words, *away, *_tail(answer, term), ".")
        else:
            sentence = _moved_by_sum(answer, exact)
        if sentence is None:
            continue
        claims = (told, answer.exactly()) if exact else (told,)
        insight = _insight(answer, term) if term is not None else ()
        if insight:
            # What reaches every entry moves it.
            reach = answer.always(answer.value * answer.value > 0, "it reaches every entry")
            yield Reading(((*insight, *sentence),), claims if answer.wrt.rank else (*claims, reach))
        yield Reading((sentence,), claims)


def _again(answer: Answer) -> Expr:
    terms = [built(t) for t in answer.terms]
    return terms[0] if len(terms) == 1 else Sum(terms)


def _letters(answer: Answer, product: Product) -> dict[int, str]:
    """A letter for each label of the result; one that x and y share has the letter of x."""
    names = (*answer.rows, *answer.columns)
    return dict(zip(product.output, names, strict=True))


def _core(product: Product) -> Labels:
    """The axes of the amount: those that some factor carries, each once."""
    carried = {a for _, axes in product.operands for a in axes}
    return tuple(dict.fromkeys(a for a in product.output if a in carried))


def _conditional(answer: Answer, product: Product) -> Words | None:
    """The same where a condition decides whether an entry moves at all."""
    choices = [f for f in product.operands if _compared(f[0]) and answer.is_moving(f[0])]
    if len(choices) != 1 or set(choices[0][1]) != set(_core(product)):
        return None
    rest = without(product, choices[0])
    if any(answer.is_moving(o) for o, _ in rest.operands):
        return None
    words = _moved(answer, rest, exact=True, small=True)
    if words is None:
        return None
    node = choices[0][0]
    assert isinstance(node, Apply)
    letter = _letters(answer, product)
    letters = tuple(letter[a] for a in choices[0][1])
    left, right = (answer.at(a, letters) for a in node.arguments)
    return ("where ", left, " > ", right, ", ", *words, "; where ", left, " < ", right, " it stays")


def _compared(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.function in (greater, greater_equal)


def _moved(answer: Answer, product: Product, *, exact: bool, small: bool = False) -> Words | None:
    """Wiggle x_j by Δ and y_j moves by w_jΔ."""
    letter = _letters(answer, product)
    p = answer.output.rank
    above, below = product.output[:p], product.output[p:]
    kept = _core(product)
    value = built(product, kept)
    amount = amount_of(answer, answer.at(value, tuple(letter[a] for a in kept)))
    if amount is None:
        return None
    entry = answer.entry(answer.wrt, tuple(letter[a] for a in below))
    target = answer.entry(answer.output, tuple(letter[a] for a in above))
    free = [a for a in above if a not in below]
    every = "every " if free else ""
    little = "" if exact and not small else "a small "
    about = "" if exact else "about "
    change: Words = ("wiggle ", entry, f" by {little}", answer.delta)
    return (*change, f" and {every}", target, f" moves by {about}", amount)


def amount_of(answer: Answer, value: Tree) -> Tree | None:
    """Value · Δ; None if it is too long to say, or entries that are written out."""
    if value.cost > LONGEST or _is_written_out(value):
        return None
    delta = answer.delta
    if value.op == "sum" and len(value.args) == 1 and value.data == (-1,):
        return m.negative(m.scale(value.args[0], delta))
    return m.scale(value, delta)


def _is_written_out(tree: Tree) -> bool:
    return tree.op in ("array", "grid", "basis", "select", "stacked") or any(map(_is_written_out, tree.args))


def _tail(answer: Answer, product: Product) -> Words:
    """What does not move."""
    p = answer.output.rank
    above, below = product.output[:p], product.output[p:]
    if len(set(below)) < len(below):
        return (
            (
                "; entries of ",
                answer.x,
                " off the diagonal have no effect",
            )
            if not above
            else ()
        )
    if set(above) & set(below) or len(set(above)) < len(above):
        return ("; nothing else moves",)
    return ()


def _insight(answer: Answer, product: Product) -> Words:
    """What the amount says about the variable as a whole, before the wiggle."""
    p = answer.output.rank
    above, below = product.output[:p], product.output[p:]
    carried = {a for _, axes in product.operands for a in axes}
    if len(set(below)) == len(below) and not set(above) & set(below):
        if below and not carried & set(below):
            return ("every entry of ", answer.x, " counts alike: ")
        if above and not below and len(set(above)) == len(above):
            alike = "" if carried & set(above) else ", and all alike"
            return ("the one number ", answer.x, " reaches every entry of ", answer.y, f"{alike}: ")
        if not above and len(below) == 1 and len(product.operands) == 1 and product.coefficient.is_one:
            source = product.operands[0][0]
            if isinstance(source, Variable) and source is not answer.wrt:
                (j,) = answer.columns
                at = answer.entry(answer.wrt, (j,))
                return ("the sensitivity to ", at, " is ", answer.entry(source, (j,)), ": ")
    return ()


def _moved_by_sum(answer: Answer, exact: bool) -> Words | None:
    """The same for a sum of several products, where it is short."""
    names = (*answer.rows, *answer.columns)
    if answer.value.rank > 2 or any(len(set(t.output)) < len(t.output) for t in answer.terms):
        return None
    amount = amount_of(answer, answer.at(answer.value, names))
    if amount is None:
        return None
    entry = answer.entry(answer.wrt, answer.columns)
    target = answer.entry(answer.output, answer.rows)
    small, about = ("", "") if exact else ("a small ", "about ")
    every = "every " if answer.rows else ""
    change: Words = ("wiggle ", entry, f" by {small}", answer.delta)
    return (*change, f" and {every}", target, f" moves by {about}", amount, ".")


def listed(answer: Answer) -> Iterator[Reading]:
    """A gradient with few entries, one after the other: x₁ moves f by about x₂ Δ, x₂ by about x₁ Δ."""
    if answer.output.rank or answer.wrt.rank != 1 or not answer.is_smooth:
        return
    (dim,) = answer.wrt.shape
    count = dim.constant
    if count is None or not 1 < count <= MOST_LISTED:
        return
    words: list[str | Tree] = ["wiggle one entry of ", answer.x, " by a small ", answer.delta, ": "]
    for k in range(count):
        place = Apply(BASIS, (), (Dim.of(k), dim))
        entry = simplify(Einsum(ONE, (answer.value, place), ((0,), (0,)), ()))
        amount = amount_of(answer, answer.board.tree(entry))
        if amount is None:
            return
        words += [", "] * bool(k) + [answer.entry(answer.wrt, (str(k + 1),))]
        still = constant_of(entry)
        if still is not None and still.is_zero:
            words += [" does not move ", answer.y]
        else:
            words += [" moves ", answer.y, " by about " if answer.is_moving(entry) else " by ", amount]
    yield Reading(((*words, "."),), (answer.equals(_again(answer), "the gradient"),))


def row_by_row(answer: Answer) -> Iterator[Reading]:
    """What a row and a column of any Jacobian say."""
    if answer.output.rank != 1 or answer.wrt.rank > 1:
        return
    told = answer.equals(_again(answer), "the Jacobian")
    (i,) = answer.rows
    if not answer.wrt.rank:
        entry = answer.entry(answer.output, (i,))
        column: Words = (f"entry {i} says how ", entry, " reacts to the one number ", answer.x, ".")
        yield Reading((column,), (told,))
        return
    (j,) = answer.columns
    other = "row" if answer.line == "column" else "column"
    words: Words = (
        f"{answer.line} {i} says how ", answer.entry(answer.output, (i,)), " reacts to every entry of ",
        answer.x, f", {other} {j} what ",
        answer.entry(answer.wrt, (j,)), " does to every entry of ", answer.y, ".",
    )  # fmt: skip
    yield Reading((words,), (told,))


# ---------------------------------------------------------------- scalars


def valley(answer: Answer) -> Iterator[Reading]:
    """A derivative that is a straight line through 0 at one number: falling, flat, rising."""
    x, value = answer.wrt, answer.value
    if answer.output.rank or x.rank or variables(value) != (x,):
        return
    if not all(map(_is_everywhere, topological([answer.board.subject.expr]))):
        return
    slope = constant_of(simplify(answer.board.simplified(value, x)))
    start = constant_of(simplify(substitute(value, {x: number(0)})))
    if slope is None or start is None or slope.powers or start.powers or slope.is_zero:
        return
    root = -start.rational / slope.rational
    first, last = ("falls", "rises") if slope.rational > 0 else ("rises", "falls")
    at = answer.board.tree(number(root))
    words: Words = (
        answer.y, f" {first} where ", answer.x, " < ", at, ", is flat at ", answer.x, " = ", at,
        f" and {last} where ", answer.x, " > ", at, ".",
    )  # fmt: skip
    turned = multiply(value, x - number(root)) if slope.rational > 0 else -multiply(value, x - number(root))
    flat = simplify(substitute(value, {x: number(Fraction(root))}))
    claims = (
        answer.always(turned >= 0, "the sign on both sides"),
        Claim("flat there", flat, number(0)),
    )
    yield Reading((words,), claims)


def _is_everywhere(node: Expr) -> bool:
    """Whether a function has a value for every number."""
    if not isinstance(node, Apply) or not isinstance(node.function, Row):
        return True
    if node.function is power:
        exponent = constant_of(node.arguments[1])
        whole = exponent is not None and not exponent.powers and exponent.rational.denominator == 1
        return exponent is not None and whole and exponent.rational >= 0
    return set(node.function.domain) == {"real"} and not node.function.at_kink


def straight(answer: Answer) -> Iterator[Reading]:
    """A scalar formula: a straight line, one that always rises, or what a small change does."""
    if answer.output.rank or answer.wrt.rank:
        return
    value, x, y = answer.value, answer.x, answer.y
    amount = amount_of(answer, answer.tree(value))
    if amount is not None and not answer.is_moving(value) and answer.is_smooth:
        wherever: Words = (", wherever ", x, " is.")
        words: Words = ("wiggle ", x, " by ", answer.delta, " and ", y, " moves by ", amount, *wherever)
        yield Reading((words,), (answer.exactly(),))
    if amount is None:
        return
    change: Words = ("wiggle ", x, " by a small ", answer.delta, " and ", y, " moves by about ", amount)
    sign = 1 if answer.is_positive(value) else -1 if answer.is_positive(simplify(-value)) else 0
    if sign:
        verb = "rises" if sign > 0 else "falls"
        words = (y, f" {verb} with ", x, " wherever it has a value: ", *change, ".")
        claim = answer.always(value > 0 if sign > 0 else -value > 0, f"it {verb}")
        yield Reading((words,), (claim,))
        return
    away = () if answer.is_smooth else (", where it is differentiable",)
    yield Reading(((*change, *away, "."),), (answer.equals(built(product_of(value)), "a small change"),))
