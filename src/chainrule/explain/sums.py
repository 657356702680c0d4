"""Reading a gradient that sums over examples: a weighted sum of rows, an average error, outer products.

In: an Answer. Out: Readings. The weights are told apart by their form: an error is a difference that a target
is subtracted in, a condition 1[z > 0] says which examples are active.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chainrule.explain.derivation import Words
from chainrule.explain.entries import Letters
from chainrule.explain.readings import Reading
from chainrule.explain.seen import Answer, Labels, absolute, built, condition_of, opposite, without
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable, add, multiply, number, zeros
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Product
from chainrule.simplify import simplify
from chainrule.steps import Claim

Factor = tuple[Expr, Labels]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each example counts with: sign · scale · error · positive · other, where the condition holds.

    axes       the labels of what it is made of, the example's first
    scale      the positive number in front
    error      prediction minus target, and its factor in the product; None if it has no such form
    condition  z and its sign, where the example is active; None if all are
    """

    product: Product
    axes: Labels
    sign: int
    scale: Coefficient
    error: Expr | None
    factor: Factor | None
    condition: tuple[Expr, str] | None
    masks: tuple[Factor, ...]

    @property
    def rest(self) -> Product:
        """The factors besides the error and the conditions."""
        dropped = [*self.masks, *([self.factor] if self.factor else [])]
        return replace(without(self.product, *dropped), coefficient=ONE)

    def value(self) -> Expr:
        """All factors but the conditions and the positive number in front, as one expression."""
        sign = -1 if self.product.coefficient.rational < 0 else 1
        front = replace(without(self.product, *self.masks), coefficient=Coefficient.of(sign))
        return simplify(built(front, self.axes))


def weights(answer: Answer, product: Product, axes: Labels) -> Weights | None:
    """The product of factors that stand beside what is summed; None where some carry other axes."""
    if any(not set(labels) <= set(axes) for _, labels in product.operands):
        return None
    masks = tuple(f for f in product.operands if condition_of(f[0]) is not None and answer.is_moving(f[0]))
    masks = masks if len(masks) == 1 and masks[0][1] in (axes, axes[:1]) else ()
    condition = condition_of(masks[0][0]) if masks else None
    sign = -1 if product.coefficient.rational < 0 else 1
    errors = [(f, found) for f in product.operands if f[1] == axes and (found := target_of(answer, f[0]))]
    factor, error = None, None
    if len(errors) == 1:
        factor, (error, _, turned) = errors[0]
        sign *= turned
    return Weights(product, axes, sign, absolute(product.coefficient), error, factor, condition, masks)


def target_of(answer: Answer, expr: Expr) -> tuple[Expr, Variable, int] | None:
    """Prediction minus target, the target, and −1 if the difference stands the other way round."""
    if not isinstance(expr, Sum) or not answer.is_moving(expr):
        return None
    # The target has one sign and all else the other: y − (z + b), not y − z + b.
    for minus in (True, False):
        alone = [t for t in expr.terms if _is_subtracted(t) == minus]
        if len(alone) == 1 and len(expr.terms) > 1 and not answer.is_moving(alone[0]):
            break
    else:
        return None
    target = _signed_variable(alone[0])
    if target is None or any(target[0] in variables(t) for t in expr.terms if t is not alone[0]):
        return None
    return (expr, target[0], 1) if target[1] < 0 else (simplify(-expr), target[0], -1)


def _signed_variable(term: Expr) -> tuple[Variable, int] | None:
    if isinstance(term, Variable):
        return term, 1
    if not isinstance(term, Einsum) or len(term.operands) != 1 or term.labels[0] != term.output:
        return None
    inner = term.operands[0]
    if not isinstance(inner, Variable) or not absolute(term.coefficient).is_one:
        return None
    return inner, int(term.coefficient.rational)


def _is_subtracted(term: Expr) -> bool:
    return isinstance(term, Einsum) and term.coefficient.rational < 0


# ---------------------------------------------------------------- sentences


def summed(answer: Answer) -> Iterator[Reading]:
    """A gradient that is a sum over examples, perhaps with a term for the size of the variable."""
    if answer.output.rank:
        return
    if not answer.wrt.rank:
        yield from _averages(answer)
    sums = [t for t in answer.terms if set(_labels(t)) - set(t.output)]
    if len(sums) != 1:
        return
    term = sums[0]
    others = [t for t in answer.terms if t is not term]
    found = {0: _average, 1: _rows, 2: _outer}.get(answer.wrt.rank)
    reading = found(answer, term) if found is not None else None
    if reading is None:
        return
    if not others:
        yield reading
        return
    pull = _pull(answer, others)
    if pull is not None:
        words, claims = pull
        sentences = list(reading.sentences)
        sentences[0] = ("the sum of two terms. The first is ", *sentences[0])
        sentences[-1] = (*sentences[-1], " ", *words)
        yield Reading(tuple(sentences), (*reading.claims, *claims))


def _labels(term: Product) -> list[int]:
    return [a for _, axes in term.operands for a in axes]


def _data(answer: Answer, term: Product, output: int) -> tuple[Factor, int] | None:
    """The matrix that carries an axis of the result and the one that is summed, and the latter."""
    carriers = [f for f in term.operands if output in f[1]]
    if len(carriers) != 1:
        return None
    matrix, axes = carriers[0]
    if not isinstance(matrix, Variable) or matrix.rank != 2 or answer.is_moving(matrix):
        return None
    other = axes[1] if axes[0] == output else axes[0]
    hidden = set(_labels(term)) - set(term.output)
    return (carriers[0], other) if hidden == {other} else None


def _rows(answer: Answer, term: Product) -> Reading | None:
    """Σᵢ weightᵢ · row i of X."""
    found = _data(answer, term, term.output[0])
    if found is None:
        return None
    factor, label = found
    matrix = factor[0]
    assert isinstance(matrix, Variable)
    w = weights(answer, without(term, factor), (label,))
    if w is None or w.value() is answer.wrt:
        return None
    (i,) = answer.entries.letters(1)
    line = "rows" if factor[1][0] == label else "columns"
    row = m.tree("entry", (answer.row_name(matrix),), (i,))
    head: Words = (f"a weighted sum of the {line} ", row, " of ", answer.tree(matrix))
    head = (*head, *_times(answer, w), ".")
    claims = _claims(answer, term, w)
    if w.error is not None and _is_push(answer, w):
        words = _pushed(answer, w, i, row)
    else:
        words = ("The weights are ", answer.at(w.value(), (i,)), *_active(answer, w, i, line[:-1]))
    return Reading((head, words), claims)


def _pushed(answer: Answer, w: Weights, i: str, row: Tree) -> Words:
    """The weights are errors; what each does to the variable in a descent step."""
    assert w.error is not None
    x = answer.x
    words: list[str | Tree] = ["The weights are the errors ", answer.at(w.error, (i,))]
    scaled = [f for f in w.rest.operands if f[1]]
    if scaled:
        factor = simplify(built(replace(w.rest, operands=tuple(scaled)), w.axes))
        words += [", times the positive number ", answer.at(factor, (i,))]
        words += ["," if w.condition is not None else ""]
    if w.condition is not None:
        words += [" of the active examples (", *_where(answer, w.condition, (i,)), ")"]
    words += [": in a descent step a positive error, a prediction that is too high, pushes ", x]
    words += [" against ", row, ", a negative one towards it"]
    words += ["" if scaled else ", the harder the larger it is"]
    if w.condition is not None:
        words += ["; examples with ", *_where(answer, w.condition, (i,), off=True), " do not count"]
    return (*words, ".")


def _average(answer: Answer, term: Product) -> Reading | None:
    """The sum of the weights alone: the gradient by a bias."""
    hidden = tuple(dict.fromkeys(_labels(term)))
    if len(hidden) != 1 or not answer.is_moving(answer.value):
        return None
    w = weights(answer, term, hidden)
    if w is None or w.error is None or w.sign < 0 or w.rest.operands:
        return None
    return Reading(_average_words(answer, w, term.sizes[hidden[0]]), _claims(answer, term, w))


def _averages(answer: Answer) -> Iterator[Reading]:
    """A multiple of the sum of errors that the derivative holds in other words: 2(𝟏ᵀXw − sum(y) + Nb)."""
    for part in answer.board.moving:
        found = target_of(answer, simplify(part.whole)) if part.symbol.rank == 1 else None
        if found is None:
            continue
        error, size = found[0], part.symbol.shape[0]
        for scale in (Coefficient.of(2), Coefficient.of(2) * Coefficient.of(size) ** -1, ONE):
            product = Product(scale, ((error, (0,)),), (), {0: size})
            if simplify(Sum([built(product), -answer.value])) is zeros(()):
                w = Weights(product, (0,), 1, scale, error, product.operands[0], None, ())
                claims = (answer.equals(built(product), "the sum of the errors"),)
                yield Reading(_average_words(answer, w, size), claims)


def _average_words(answer: Answer, w: Weights, size: Dim) -> tuple[Words, Words]:
    assert w.error is not None
    (i,) = answer.entries.letters(1)
    times, mean = _mean(w.scale, size)
    b = answer.x
    error = answer.at(w.error, (i,))
    words: list[str | Tree]
    if mean:
        words = [f"{times}the average of the errors ", error, " over all "]
        words += [m.number(Coefficient.of(size)), " examples"]
    else:
        front = "" if w.scale.is_one else _number(answer, w.scale)
        words = [*([front, " times "] if front != "" else []), "the sum of the errors ", error]
    if w.condition is not None:
        words += [", where only the active ones (", *_where(answer, w.condition, (i,)), ") are added"]
        if mean:
            words += [" and the others count as 0"]
    verdict: Words = (
        "If it is positive the predictions", " that are active" if w.condition is not None else "",
        " are too high on the whole, and a descent step lowers ", b,
        "; if it is negative they are too low, and the step raises ", b, ".",
    )  # fmt: skip
    return (*words, "."), verdict


def _outer(answer: Answer, term: Product) -> Reading | None:
    """Σᵢ (row i of X) · (row i of the errors): the gradient by a matrix."""
    if len(set(term.output)) != 2:
        return None
    for k in (0, 1):
        found = _data(answer, term, term.output[k])
        if found is None:
            continue
        factor, label = found
        matrix = factor[0]
        assert isinstance(matrix, Variable)
        w = weights(answer, without(term, factor), (label, term.output[1 - k]))
        if w is None or not any(term.output[1 - k] in axes for _, axes in w.product.operands):
            continue
        i, *place = answer.entries.letters(3)
        line = "row" if factor[1][0] == label else "column"
        spot = (i, place[1 - k])
        at = (i, place[k]) if factor[1][0] == label else (place[k], i)
        head: list[str | Tree] = ["a sum of outer products, one for each ", line, " of ", answer.tree(matrix)]
        part = m.derivative(answer.y, answer.entry(answer.wrt, tuple(place)))
        head += [*_times(answer, w), ": ", part, " adds up ", answer.entry(matrix, at)]
        if w.error is not None and not w.rest.operands and w.sign > 0:
            head += [" times the error ", answer.at(w.error, spot)]
        else:
            head += [" times ", answer.at(w.value(), spot)]
        if w.condition is not None:
            letters = spot if len(w.masks[0][1]) > 1 else spot[:1]
            head += [" where ", *_where(answer, w.condition, letters)]
        return Reading(((*head, "."),), _claims(answer, term, w))
    return None


def _pull(answer: Answer, others: Sequence[Product]) -> tuple[Words, tuple[Claim, ...]] | None:
    """The other term is a positive multiple of the variable: it pulls it towards 0."""
    if len(others) != 1 or not answer.wrt.rank:
        return None
    (term,) = others
    own = [f for f in term.operands if f[0] is answer.wrt]
    if len(own) != 1 or own[0][1] != term.output:
        return None
    rest = without(term, own[0])
    if any(axes or answer.is_moving(o) for o, axes in rest.operands):
        return None
    factor = simplify(built(rest, ()))
    if rest.coefficient.rational < 0:
        return None
    words: list[str | Tree] = ["The other, ", answer.tree(simplify(built(term))), ", pulls ", answer.x]
    words.append(" towards 0")
    positive = answer.is_positive(factor)
    condition = simplify(built(replace(rest, coefficient=ONE), ()))
    if not positive:
        words += [" if ", answer.tree(condition), " > 0"]
    claims = (answer.always(factor > 0, "pulls towards 0"),) if positive else ()
    return (*words, "."), claims


# ---------------------------------------------------------------- parts of sentences


def _is_push(answer: Answer, w: Weights) -> bool:
    """Whether a positive error means a positive weight."""
    return w.sign > 0 and all(answer.is_positive(o) for o, _ in w.rest.operands)


def _times(answer: Answer, w: Weights) -> Words:
    """The number in front of the sum."""
    return () if w.scale.is_one else (", times ", _number(answer, w.scale))


def _number(answer: Answer, value: Coefficient) -> Tree:
    return answer.board.tree(number(value))


def _mean(scale: Coefficient, size: Dim) -> tuple[str, bool]:
    """How often the average is taken, and whether it is one."""
    times = scale * Coefficient.of(size)
    if times.powers or size.name is None:
        return "", False
    if times.is_one:
        return "", True
    names = {2: "twice "}
    if times.rational.denominator != 1:
        return "", False
    return names.get(int(times.rational), f"{times.rational} times "), True


def _where(answer: Answer, condition: tuple[Expr, str], letters: Letters, *, off: bool = False) -> Words:
    z, sign = condition
    return (answer.at(z, letters), f" {opposite(sign) if off else sign} 0")


def _active(answer: Answer, w: Weights, i: str, line: str) -> Words:
    """Which rows count."""
    if w.condition is None:
        return (".",)
    on, off = _where(answer, w.condition, (i,)), _where(answer, w.condition, (i,), off=True)
    return (" where ", *on, "; where ", *off, " the ", line, " does not count.")


def _claims(answer: Answer, term: Product, w: Weights) -> tuple[Claim, ...]:
    """That the derivative is the sum that is told, put together again from what the sentence says."""
    told = w.error if w.error is not None else None
    factors: list[Factor] = [f for f in term.operands if f != w.factor]
    if told is not None:
        factors.append((told, w.axes))
    coefficient = absolute(term.coefficient) if w.sign > 0 else -absolute(term.coefficient)
    again = built(replace(term, operands=tuple(factors), coefficient=coefficient))
    rest = [built(t) for t in answer.terms if t is not term]
    claims = [answer.equals(add(again, *rest) if rest else again, "the sum that is read")]
    for mask, _ in w.masks:
        assert w.condition is not None
        z, sign = w.condition
        off = -z > 0 if sign == "≥" else -z >= 0
        claims.append(Claim("inactive examples do not count", multiply(mask, off), number(0, mask.shape)))
    for positive, _ in w.rest.operands if w.error is not None else ():
        if answer.is_positive(positive):
            claims.append(answer.always(positive > 0, "the factor is positive"))
    return tuple(claims)
