"""The presentation tree: what a mathematician would write, before it is a string.

In: smaller trees. Out: immutable, shared trees that know what they cost a reader and how tightly they
bind. Building a tree tidies it (products are flat, nothing is transposed twice); nothing here knows an
Expr, and no string is made.

op                what it is                      args                 data
name              a variable                                           (text,)
symbol            I, 𝟏, 𝟎, π, e                                        (text, LaTeX)
number            a positive constant                                  (Coefficient,)
transpose, inverse, inverse_transpose             (matrix,)
power             entry by entry                  (base, exponent)     (True if the base is a matrix,)
matrix_power      X³, X⁻²                         (matrix,)            (exponent,)
root              square root                     (base,)
chain             matrix product                  factors
scale             scalar factors, then a body     factors
times             ⊙                               factors              nothing, or another sign
kron              ⊗                               factors
divide            ⊘                               (above, below)
over              a quotient with scalar below    (above, below)
sum               signed terms                    terms                signs, 1 or −1
call              a function                      arguments            (name, options such as "axis=1")
diagonal          diag of a matrix, a vector      (matrix,)
norm, abs         ‖·‖, |·|                        (inside,)
compare           the indicator 1[a > b], of a    (a, b), (a, b, c)    (sign,), (sign, sign)
                  chain too: 1[a < b < c]
array             entries written out             entries              (True if the entries stand in one row,)
basis, select     a row, some rows of I                                the parameters of their rows
slice             x[1:n]                          (variable,)          start, step, count
tuple             (3, 3)                          parts
subscript         E[ids], X[0, :, 1:]             (base, indices...)   an item for each axis
entry             X_ij, x₁                        (base,)              indices
delta             δ_ij                                                 (i, j)
place             [k = i + 1], [i = 2]                                 (text, LaTeX, letters)
stacked, beside   [w; b], [X Y]                  parts
sigma             Σ over indices                  (body,)              indices
derivative        ∂Y_ij/∂X_kl, dy/dx              (of, by, by, ...)    "d" for a total derivative
product           factors with a dot between them factors
dot               w·x of two vectors              (w, x)
operator          ∂/∂x (body): not yet derived    (body, by)           "∂" or "d"
differential      dX, d(AX), d²Y                  (body,)              the order, if it is not 1
condition         a > b, without the brackets     (a, b)               (sign,)
all               conditions that hold together   conditions
cases             {a if c; b if d}                (a, c, b, d, ...)
grid              a matrix on lines of its own    entries by row       rows, columns
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from chainrule.expr.dims import Coefficient, Dim

Result = TypeVar("Result")

# How tightly each operator binds: one list for every printer. What binds less than its place needs gets
# parentheses.
SUM, TIMES, OVER, CHAIN, POSTFIX, ATOM = range(6)
PRECEDENCE = {
    "sum": SUM, "sigma": TIMES, "times": TIMES, "divide": TIMES, "kron": TIMES, "over": OVER,
    "derivative": OVER, "chain": CHAIN, "scale": CHAIN, "power": POSTFIX, "transpose": POSTFIX,
    "product": TIMES, "dot": TIMES, "operator": TIMES, "differential": CHAIN,
    "inverse": POSTFIX, "inverse_transpose": POSTFIX, "matrix_power": POSTFIX,
}  # fmt: skip


class Tree:
    """A node of the presentation tree; equal trees are one object.

    cost is what it takes to read (twice the characters, and a surcharge for what slows a reader down),
    leaves the number of names in it, indices the letters of index notation that are free in it, key a
    short text that orders trees the same way in every process.
    """

    __slots__ = ("__weakref__", "args", "cost", "data", "indices", "key", "leaves", "op")
    op: str
    args: tuple[Tree, ...]
    data: tuple[Any, ...]
    cost: int
    leaves: int
    indices: tuple[str, ...]
    key: str

    @property
    def precedence(self) -> int:
        """How tightly its outermost operator binds."""
        if self.op == "number" and not is_plain_number(self.data[0]):
            return CHAIN if is_product_of_sizes(self.data[0]) else OVER
        return PRECEDENCE.get(self.op, ATOM)

    def __repr__(self) -> str:
        return f"<{self.key}>"


_trees: WeakValueDictionary[Any, Tree] = WeakValueDictionary()
KEY_LENGTH = 160

# Costs are in half characters; the surcharges make ⊙ and diag a little dearer than their length.
PARENTHESES = 4
EXTRA = {
    "diagonal": 13,
    "transpose": 2,
    "inverse": 4,
    "inverse_transpose": 4,
    "matrix_power": 4,
    "root": 4,
    "norm": 4,
    "abs": 4,
    "compare": 10,
    "divide": 8,
}


def tree(op: str, args: Sequence[Tree] = (), data: Sequence[Any] = ()) -> Tree:
    """The node, without any tidying."""
    key = (op, tuple(args), tuple(data))
    node = _trees.get(key)
    if node is None:
        node = object.__new__(Tree)
        node.op, node.args, node.data = key
        node.leaves = sum(a.leaves for a in node.args) if node.args else int(op == "name")
        if op == "power" and node.args[1].op == "number":
            node.leaves = node.args[0].leaves * max(1, int(node.args[1].data[0].rational))
        elif op == "matrix_power":
            node.leaves = node.args[0].leaves * abs(data[0])
        node.indices = _indices(node)
        node.cost = _cost(node)
        node.key = _key(node)
        _trees[key] = node
    return node


def _indices(node: Tree) -> tuple[str, ...]:
    own: list[str] = []
    for letter in node.data if node.op in ("entry", "delta") else ():
        own += [i for i in re.findall(r"\w\d*", letter) if i[0].isalpha()]  # (ij) holds two
    if node.op == "place":
        own = list(node.data[2])
    inside = dict.fromkeys([*own, *(i for a in node.args for i in a.indices)])
    return tuple(i for i in inside if node.op != "sigma" or i not in node.data)


def _key(node: Tree) -> str:
    if node.op in ("name", "symbol"):
        return str(node.data[0])
    if node.op == "number":
        return number_text(node.data[0])
    inside = ",".join(a.key for a in node.args)
    return f"{node.op}({inside};{','.join(map(str, node.data))})"[:KEY_LENGTH]


def _cost(node: Tree) -> int:
    op, args = node.op, node.args
    inside = sum(a.cost for a in args)
    match op:
        case "name":
            return 2 * len(node.data[0])
        case "symbol":
            return 2
        case "number":
            return 2 * len(number_text(node.data[0]))
        case "chain" | "scale":
            return inside + sum(PARENTHESES for a in args if needs_parentheses(a, node)) + len(args) - 1
        case "times" | "kron" | "divide":
            return inside + sum(PARENTHESES for a in args if needs_parentheses(a, node)) + 8 * (len(args) - 1)
        case "sum":
            return inside + 6 * (len(args) - 1) + (2 if node.data[0] < 0 else 0)
        case "over":
            return inside + sum(PARENTHESES for a in args if needs_parentheses(a, node)) + 2
        case "power":
            brackets = PARENTHESES if needs_parentheses(args[0], node) else 0
            return args[0].cost + brackets + args[1].cost + (3 if node.data[0] else 0)
        case "call":
            # A diagonal matrix is one thing more to read: diag(d) Ax gives way to d ⊙ Ax.
            surcharge = 4 if node.data[0] == "diag" else 0
            return inside + 2 * len(node.data[0]) + 4 + 4 * (len(args) - 1) + surcharge
        case "transpose" if blocks(args[0]):
            return inside - 2
        case "transpose" | "inverse" | "inverse_transpose" | "matrix_power":
            return inside + EXTRA[op] + (PARENTHESES if needs_parentheses(args[0], node) else 0)
        case "array":
            return inside + 4 * len(args)
        case "entry":
            return inside + 2 + 2 * len(node.data)
        case "sigma":
            return inside + 6
        case _:
            return inside + EXTRA.get(op, 4)


def product_signs(node: Tree) -> tuple[str, str]:
    """The sign of an entrywise product or power, as text and in LaTeX; a profile may have put another."""
    return node.data[-2:] if len(node.data) > 1 else ("⊙", r"\odot")


WRITTEN_OUT = ("basis", "select", "stacked", "beside", "array")


def needs_parentheses(part: Tree, parent: Tree) -> bool:
    """Whether `part` needs parentheses as an argument of `parent`."""
    mine = part.precedence
    match parent.op:
        case "sum":
            return False if part is parent.args[0] and mine == SUM and parent.data[0] > 0 else mine <= SUM
        case "times":
            return mine <= TIMES and part.op != "times"
        case "divide" | "kron":
            return mine <= OVER
        case "over" if part is parent.args[0] and _ends_in_operator(part):
            return True
        case "over":
            return mine <= TIMES or mine == OVER if part is parent.args[0] else mine <= CHAIN
        case "chain":
            if part.op == "operator":
                return part is not parent.args[-1]
            return mine < CHAIN or part.op == "scale"
        case "scale":
            if part.op == "chain":
                behind = parent.args[parent.args.index(part) + 1 :]
                return any(later.op != "differential" for later in behind)
            if part.op in ("sigma", "operator"):
                return part is not parent.args[-1]
            return mine < CHAIN
        case "transpose" if part.op == "differential" and part.args[0].op == "name":
            return False  # dXᵀ: both readings have one value
        case "power" | "transpose" | "inverse" | "inverse_transpose" | "matrix_power":
            return part is parent.args[0] and (mine <= POSTFIX or part.op in ("compare", "root"))
        case "sigma":
            return mine <= SUM
        case "product":
            # An operator reaches as far to the right as it can, so it is enclosed unless it stands last.
            reaches = part.op in ("operator", "sigma") and part is not parent.args[-1]
            return mine <= SUM or reaches or part.op in ("product", "times", "kron", "divide")
        case "operator":
            return part is parent.args[0] and (mine <= OVER or part.op in ("chain", "scale"))
        case "subscript":
            return part is parent.args[0] and (mine < ATOM or part.op == "number")
        case "differential":
            return mine < ATOM or part.op in (*WRITTEN_OUT, "slice", "subscript")
        case "entry" if part.op == "differential":
            return False
        case "entry":
            return mine < ATOM or part.op in (*WRITTEN_OUT, "slice", "subscript", "root")
        case _:
            return False


def _ends_in_operator(part: Tree) -> bool:
    """Whether its last factor is a derivative not yet taken, which would reach over what follows."""
    while part.op in ("chain", "scale", "product") and part.args:
        part = part.args[-1]
    return part.op == "operator"


# ---------------------------------------------------------------- numbers


LONGEST_DECIMAL = 20


def decimal(value: Fraction) -> str | None:
    """The decimal of a fraction that is written as one: 0.01, not 1/100; but 1/10, and 1/3.

    One with more digits than a double holds is rounded to the nearest double, as a product of two may be.

    >>> decimal(Fraction(-1, 100)), decimal(Fraction(1, 10)), decimal(Fraction(1, 128))
    ('-0.01', None, None)
    """
    rest = value.denominator
    if rest < 100 or rest % 10:
        return None
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return None
    text = f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
    if len(text) <= LONGEST_DECIMAL and Fraction(text) == value:
        return text
    rounded = repr(float(value))
    return rounded if "e" not in rounded and len(rounded) <= LONGEST_DECIMAL else None


def above_and_below(value: Fraction) -> tuple[str, str]:
    """What is written of a fraction above and below the line, "" for 1: a decimal stands above."""
    short = decimal(value)
    if short is not None:
        return short, ""
    above, below = str(value.numerator), str(value.denominator)
    return "" if above == "1" else above, "" if below == "1" else below


def is_product_of_sizes(value: Coefficient) -> bool:
    """Whether it prints as factors side by side: 4n, MN, 2n²."""
    whole = value.rational.denominator == 1 or decimal(value.rational) is not None
    return whole and all(e > 0 for _, e in value.powers)


def is_plain_number(value: Coefficient) -> bool:
    """Whether it prints without an operator, or in parentheses of its own: 2, n, (n − 1)."""
    if (value.rational.denominator != 1 and decimal(value.rational) is None) or any(
        e < 0 for _, e in value.powers
    ):
        return False
    return not value.powers or (
        value.rational == 1
        and len(value.powers) == 1
        and (value.powers[0][0].name is not None or value.powers[0][1] == 1)
    )


def is_integer(value: Coefficient) -> bool:
    """Whether it is an integer."""
    return not value.powers and value.rational.denominator == 1


def number_text(value: Coefficient) -> str:
    """A short text for ordering and cost."""
    above, below = ([t] if t else [] for t in above_and_below(abs(value.rational)))
    for dim, exponent in value.powers:
        (above if exponent > 0 else below).extend([str(dim)] * min(abs(exponent), 3))
    return ("".join(above) or "1") + ("/" + "".join(below) if below else "")


# ---------------------------------------------------------------- constructors that tidy

IDENTITY = tree("symbol", (), ("I", "I"))
ONES = tree("symbol", (), ("𝟏", r"\mathbf{1}"))
ZEROS = tree("symbol", (), ("𝟎", r"\mathbf{0}"))
COMMUTATION = tree("symbol", (), ("K", "K"))
BOLD_COMMUTATION = tree("symbol", (), ("\N{MATHEMATICAL BOLD CAPITAL K}", r"\mathbf{K}"))


def commutation_in(root: Tree) -> Tree | None:
    """The commutation matrix as it stands somewhere in a tree."""
    if root is COMMUTATION or root is BOLD_COMMUTATION:
        return root
    return next((found for part in root.args if (found := commutation_in(part)) is not None), None)


def sized(part: Tree, size: Dim) -> Tree:
    """I and 𝟏 with their size, where nothing else shows it."""
    text = str(size)
    if part.op == "transpose":
        return transpose(sized(part.args[0], size))
    if part not in (IDENTITY, ONES) or not text.isalnum():
        return part
    return tree("symbol", (), (f"{part.data[0]}_{text}", f"{part.data[1]}_{{{text}}}"))


def name(text: str) -> Tree:
    """A variable."""
    return tree("name", (), (text,))


def number(value: int | Coefficient) -> Tree:
    """A constant ≥ 0."""
    return tree("number", (), (Coefficient.of(value),))


ONE = number(1)


def is_one(part: Tree) -> bool:
    """Whether it is the number 1."""
    return part is ONE


def transpose(part: Tree) -> Tree:
    """partᵀ; nothing is transposed twice, products turn round, I and diag(...) are their own transposes."""
    match part.op:
        case "transpose":
            return part.args[0]
        case "chain":
            return chain(*(transpose(factor) for factor in reversed(part.args)))
        case "inverse":
            return tree("inverse_transpose", part.args)
        case "inverse_transpose":
            return tree("inverse", part.args)
        case "symbol" if part is IDENTITY:
            return part
        case "call" if part.data == ("diag", ""):
            return part
        case "array" if all(a.op != "array" for a in part.args):
            return tree("array", part.args, (not part.data[0],))
    return tree("transpose", (part,))


def chain(*factors: Tree) -> Tree:
    """The matrix product; equal neighbours become a power: X X X is X³, I disappears."""
    flat: list[Tree] = []
    for factor in factors:
        flat.extend(factor.args if factor.op == "chain" else (factor,))
    flat = [f for f in flat if f is not IDENTITY] or [IDENTITY]
    merged: list[Tree] = []
    for factor in _sliced(flat):
        base, exponent = _matrix_power_of(factor)
        if merged:
            last, before = _matrix_power_of(merged[-1])
            if last is base and (exponent > 0) == (before > 0) and not _is_vector(factor):
                merged[-1] = matrix_power(base, before + exponent)
                continue
        merged.append(factor)
    return merged[0] if len(merged) == 1 else tree("chain", merged)


def _sliced(factors: list[Tree]) -> list[Tree]:
    """Rows of I times a variable are a slice of it: x[1:n]."""
    result: list[Tree] = []
    for factor in factors:
        if result and result[-1].op == "select" and factor.op == "name":
            result[-1] = tree("slice", (factor,), result[-1].data[:3])
        elif result and result[-1].op == "select" and factor.op in ("sum", "call"):
            result[-1] = tree("subscript", (factor,), (("slice", *result[-1].data[:3]),))
        elif result and factor.op == "name" and (found := _difference(result[-1], False)):
            signs = result[-1].data or result[-1].args[0].data
            result[-1] = tree("sum", [tree("slice", (factor,), part.data[:3]) for part in found], signs)
        elif result and _turned_name(result[-1]) and (found := _difference(factor, True)):
            slices = [tree("slice", result[-1].args, part.data[:3]) for part in found]
            signs = factor.data or factor.args[0].data
            result[-1] = tree("transpose", (tree("sum", slices, signs),))
        elif (
            result and factor.op == "transpose" and factor.args[0].op == "select" and _turned_name(result[-1])
        ):
            result[-1] = tree("transpose", (tree("slice", result[-1].args, factor.args[0].data[:3]),))
        elif result and (picked := _picked(result[-1], factor)) is not None:
            result[-1] = picked
        else:
            result.append(factor)
    return result


def _difference(part: Tree, turned: bool) -> Sequence[Tree]:
    """The selections of a sum of such, rows of I minus other rows, or of its transpose."""
    if part.op == "transpose":
        return _difference(part.args[0], not turned)
    if part.op != "sum":
        return ()
    terms = [t.args[0] if turned and t.op == "transpose" else t for t in part.args]
    same = all((t is not before) == turned for t, before in zip(terms, part.args, strict=True))
    return terms if same and all(t.op == "select" for t in terms) else ()


def _picked(left: Tree, right: Tree) -> Tree | None:
    """A row, a column or some columns of a matrix that has a name: x[0], X[:, 0], X[:, 1:n]."""
    if right.op == "basis" and left.op in ("name", "slice"):
        return tree("subscript", _named(left), (_rows(left), ("at", right.data[0])))
    if right.op == "basis" and _turned_name_alone(left):
        return tree("subscript", left.args, (("at", right.data[0]),))
    if right.op == "name" and left.op == "transpose" and left.args[0].op == "basis":
        return tree("transpose", (tree("subscript", (right,), (("at", left.args[0].data[0]),)),))
    if right.op == "transpose" and right.args[0].op == "select" and left.op in ("name", "slice"):
        return tree("subscript", _named(left), (_rows(left), ("slice", *right.args[0].data[:3])))
    return None


def _named(part: Tree) -> tuple[Tree, ...]:
    return part.args if part.op == "slice" else (part,)


def _rows(part: Tree) -> tuple[Any, ...]:
    """The rows that a slice takes, or all of a matrix."""
    return ("slice", *part.data) if part.op == "slice" else ("all",)


def _turned_name_alone(part: Tree) -> bool:
    return part.op == "transpose" and part.args[0].op == "name"


def _turned_name(part: Tree) -> bool:
    return part.op == "transpose" and part.args[0].op == "name"


def _is_vector(part: Tree) -> bool:
    # A column next to an equal column is not a matrix product, so neighbours that are equal are square
    # matrices; the symbol for a vector of ones is one tree for all sizes.
    return part is ONES or part is ZEROS or (part.op == "transpose" and part.args[0] in (ONES, ZEROS))


def _matrix_power_of(part: Tree) -> tuple[Tree, int]:
    if part.op == "matrix_power":
        return part.args[0], part.data[0]
    if part.op == "inverse":
        return part.args[0], -1
    return part, 1


def matrix_power(base: Tree, exponent: int) -> Tree:
    """Xᵏ, for a matrix."""
    if exponent == 1:
        return base
    return inverse(base) if exponent == -1 else tree("matrix_power", (base,), (exponent,))


def inverse(part: Tree) -> Tree:
    """part⁻¹."""
    match part.op:
        case "transpose":
            return tree("inverse_transpose", part.args)
        case "inverse":
            return part.args[0]
        case "inverse_transpose":
            return transpose(part.args[0])
    return part if part is IDENTITY else tree("inverse", (part,))


def power(base: Tree, exponent: Tree, matrix: bool = False) -> Tree:
    """A power, entry by entry; that of a matrix is written in another way than a product of matrices."""
    if is_one(exponent):
        return base
    if exponent.op == "number" and exponent.data[0] == HALF:
        return tree("root", (base,))
    if base.op == "power" and base.data == (matrix,):
        inner, outer = base.args[1], exponent
        if all(e.op == "number" and is_integer(e.data[0]) for e in (inner, outer)):
            return tree("power", (base.args[0], number(inner.data[0] * outer.data[0])), (matrix,))
    return tree("power", (base, exponent), (matrix,))


HALF = Coefficient.of(1) * Coefficient.of(2) ** -1


def times(*factors: Tree) -> Tree:
    """The entrywise product."""
    flat: list[Tree] = []
    for factor in factors:
        flat.extend(factor.args if factor.op == "times" else (factor,))
    flat = ranges([f for f in flat if not is_one(f)]) or [ONE]
    cut = next((f for f in flat if _is_mask(f)), None)
    if cut is not None and len(flat) > 1:
        rest = list(flat)
        rest.remove(cut)
        return tree("call", (times(*rest), *cut.args[1:]), cut.data)
    below = [f.args[1] for f in flat if f.op == "divide" and is_one(f.args[0])]
    if below and len(below) < len(flat):
        above = [f for f in flat if f.op != "divide" or not is_one(f.args[0])]
        return divide(times(*above), times(*below))
    return flat[0] if len(flat) == 1 else tree("times", flat)


def masks(prefix: str, offset: Any) -> tuple[Tree, Tree]:
    """The ones of a lower triangle, and their transpose; beside ⊙ they are tril(...) and triu(...)."""
    ones = chain(ONES, transpose(ONES))
    k = offset if isinstance(offset, int) and not prefix else 0

    def cut(name: str, k: int) -> Tree:
        place = [number(k)] if k > 0 else [negative(number(-k))] if k else []
        return call(prefix + name, ones, *place)

    return cut("tril", k), cut("triu", -k)


def _is_mask(part: Tree) -> bool:
    if part.op != "call" or part.data[0] not in ("tril", "triu", "halftril", "halftriu"):
        return False
    return part.args[0] is chain(ONES, transpose(ONES))


def divide(above: Tree, below: Tree) -> Tree:
    """The entrywise quotient."""
    return tree("divide", (above, below))


def scale(*factors: Tree) -> Tree:
    """Scalar factors, then a body; ones disappear."""
    flat: list[Tree] = []
    for factor in factors:
        flat.extend(factor.args if factor.op == "scale" else (factor,))
    flat = ranges([f for f in flat if not is_one(f)]) or [ONE]
    return flat[0] if len(flat) == 1 else tree("scale", flat)


def place(letter: str, sign: str, others: Mapping[str, int], constant: Dim) -> Tree:
    """[letter = step · other + constant], a condition on indices that is worth 1 or 0."""
    terms = [(count, _counted(count, [name])) for name, count in others.items()]
    for monomial, count in sorted(constant.terms, key=lambda term: not term[0]):
        terms.append((count, _counted(count, [name for name, power in monomial for _ in range(power)])))
    terms.sort(key=lambda term: term[0] < 0)
    right = "".join((" − " if count < 0 else " + ") + term for count, term in terms)
    right = right.removeprefix(" + ").replace(" − ", "−", right.startswith(" − ")) or "0"
    latex = f"[{letter} {sign} {right}]".replace("−", "-").replace("≤", r"\leq")
    return tree("place", (), (f"[{letter} {sign} {right}]", latex, (letter, *others)))


def _counted(count: int, names: Sequence[str]) -> str:
    """2i, i, 3."""
    return (str(abs(count)) if abs(count) != 1 or not names else "") + " ".join(names)


def blocks(select: Tree) -> tuple[str, str] | None:
    """I and 0 in their order, if the rows of I that are picked are its first or its last ones."""
    if select.op != "select" or len(select.data) > 4 or select.data[1] != 1:
        return None
    start, _, count, size = select.data
    if not start.terms:
        return "I", "0"
    return ("0", "I") if start + count == size else None


def takes_any_size(part: Tree) -> bool:
    """Whether it is a basis vector or blocks of I and 0, whose size only what stands around them tells."""
    inner = part.args[0] if part.op == "transpose" else part
    return inner.op == "basis" or blocks(inner) is not None


def sliced_identity(part: Tree) -> Tree:
    """I_5[:3] in place of blocks."""
    if part.op == "transpose":
        return transpose(sliced_identity(part.args[0]))
    return tree("select", (), (*part.data, "sliced")) if blocks(part) else part


def stacked(*parts: Tree) -> Tree:
    """[w; b]: parts one below the other."""
    return tree("stacked", parts)


TURNED_SIGNS = {">": "<", "≥": "≤", "<": ">", "≤": "≥", "=": "=", "≠": "≠"}


def compare(sign: str, left: Tree, right: Tree) -> Tree:
    """The indicator of a condition, a number on its right: 1[x < 0] for 1[0 > x]."""
    if bound(left) is not None and bound(right) is None:
        return tree("compare", (right, left), (TURNED_SIGNS[sign],))
    return tree("compare", (left, right), (sign,))


def compared(signs: Sequence[str], parts: Sequence[str]) -> str:
    """The inside of an indicator: x > 0, −1 < x < 1."""
    return " ".join([parts[0], *(f"{sign} {part}" for sign, part in zip(signs, parts[1:], strict=True))])


def bound(part: Tree) -> Fraction | None:
    """The number that a tree is; None for any other tree and for sizes."""
    if part.op == "sum" and len(part.args) == 1:
        inner = bound(part.args[0])
        return None if inner is None else part.data[0] * inner
    if part.op == "over":
        above, below = map(bound, part.args)
        return None if above is None or below is None else above / below
    if part.op != "number" or part.data[0].powers:
        return None
    return Fraction(part.data[0].rational)


def ranges(factors: list[Tree], op: str = "compare") -> list[Tree]:
    """1[x > a] and 1[x < b] among factors as 1[a < x < b], for numbers a < b; so for conditions alone."""
    above = [f for f in factors if f.op == op and f.data[0] in (">", "≥")]
    for low in above:
        for high in factors:
            if high.op != op or len(high.args) > 2 or high.data[0] not in ("<", "≤"):
                continue
            bounds = bound(low.args[1]), bound(high.args[1])
            if low.args[0] is not high.args[0] or None in bounds or bounds[0] >= bounds[1]:  # type: ignore[operator]
                continue
            signs = (TURNED_SIGNS[low.data[0]], high.data[0])
            both = tree(op, (low.args[1], low.args[0], high.args[1]), signs)
            return ranges([both if f is low else f for f in factors if f is not high], op)
    return factors


def over(above: Tree, below: Tree) -> Tree:
    """The quotient by a scalar."""
    return above if is_one(below) else tree("over", (above, below))


def signed_sum(terms: Sequence[tuple[int, Tree]]) -> Tree:
    """The sum of terms with their signs; a sum inside is opened."""
    flat: list[tuple[int, Tree]] = []
    for sign, term in terms:
        if term.op == "sum":
            flat.extend((sign * inner, part) for inner, part in zip(term.data, term.args, strict=True))
        else:
            flat.append((sign, term))
    if len(flat) == 1 and flat[0][0] > 0:
        return flat[0][1]
    return tree("sum", [t for _, t in flat], [s for s, _ in flat])


def negative(part: Tree) -> Tree:
    """−part; a difference is turned round."""
    if part.op != "sum":
        return tree("sum", (part,), (-1,))
    terms = [(-sign, term) for sign, term in zip(part.data, part.args, strict=True)]
    return signed_sum(terms[::-1] if len(terms) == 2 and terms[0][0] < 0 < terms[1][0] else terms)


def call(function: str, *arguments: Tree, options: str = "") -> Tree:
    """function(arguments)."""
    return tree("call", arguments, (function, options))


def diag(part: Tree) -> Tree:
    """diag(part)."""
    return IDENTITY if part is ONES else call("diag", part)


def product(*factors: Tree) -> Tree:
    """The factors with a dot between them, as a chain rule is written: nothing is tidied."""
    return factors[0] if len(factors) == 1 else tree("product", factors)


def dot(left: Tree, right: Tree) -> Tree:
    """w·x, the dot product of two vectors."""
    return tree("dot", (left, right))


def derivative(of: Tree, by: Tree, sign: str = "∂") -> Tree:
    """∂y/∂x, or dy/dx for a total derivative."""
    return tree("derivative", (of, by), ("d",) if sign == "d" else ())


def operator(body: Tree, by: Tree, sign: str = "∂") -> Tree:
    """∂/∂x (body), which is not yet derived."""
    return tree("operator", (body, by), (sign,))


def differential(body: Tree, order: int = 1) -> Tree:
    """dX, d(AX), d²Y."""
    return tree("differential", (body,), (order,) if order > 1 else ())


def number_in_front(node: Tree) -> Tree:
    """(2/N) Σᵢ eᵢ for a quotient 2 Σᵢ eᵢ/N; anything else as it is."""
    if node.op != "over" or node.args[1].op != "number":
        return node
    if node.args[0].op == "sum" and node.args[0].data == (-1,):
        return negative(number_in_front(over(node.args[0].args[0], node.args[1])))
    factors = node.args[0].args if node.args[0].op == "scale" else node.args[:1]
    if factors[-1].op != "sigma":
        return node
    front = node.args[1].data[0] ** -1
    if factors[0].op == "number":
        front, factors = factors[0].data[0] * front, factors[1:]
    return scale(number(front), *factors)


def grid(rows: Sequence[Sequence[Tree]]) -> Tree:
    """A matrix that is shown on lines of its own, entry by entry."""
    return tree("grid", [entry for row in rows for entry in row], (len(rows), len(rows[0])))


def fold(
    root: Tree, combine: Callable[[Tree, list[Result]], Result], known: Mapping[Tree, Result] | None = None
) -> Result:
    """What `combine` makes of a tree, out of each node and what it made of its parts; nothing recurses.

    `known` is what some parts come to.
    """
    done: dict[Tree, Result] = dict(known or {})
    stack = [root]
    while stack:
        node = stack[-1]
        missing = [] if node in done else [a for a in node.args if a not in done]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if node not in done:
            done[node] = combine(node, [done[a] for a in node.args])
    return done[root]


def replace_leaves(root: Tree, leaves: Mapping[Tree, Tree]) -> Tree:
    """The tree with some of its parts replaced by others, and tidied again where that undoes a transpose."""

    def change(node: Tree, args: list[Tree]) -> Tree:
        return _turned(args[0]) if node.op == "transpose" else tree(node.op, args, node.data)

    return fold(root, change, leaves)


def _turned(part: Tree) -> Tree:
    """partᵀ; a sum is turned term by term where that undoes the transpose of a derivative."""
    if part.op in ("sum", "times") and any(map(_holds_turned, part.args)):
        return tree(part.op, [_turned(term) for term in part.args], part.data)
    if part.op == "scale" and _holds_turned(part):
        return tree("scale", (*part.args[:-1], _turned(part.args[-1])), part.data)
    return transpose(part)


def _holds_turned(part: Tree) -> bool:
    """Whether a factor is the transpose of a derivative that is not taken."""
    if part.op in ("chain", "scale", "sum", "times"):
        return any(map(_holds_turned, part.args))
    return part.op == "transpose" and part.args[0].op in ("operator", "derivative")


def rewritten(root: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """Every part passed through `change`, from the leaves up."""
    return fold(root, lambda node, args: change(tree(node.op, args, node.data)))


def dotted(root: Tree, vectors: Collection[Tree]) -> Tree:
    """w·x in place of wᵀx, where both are among the vectors."""

    def change(node: Tree) -> Tree:
        if node.op == "chain" and len(node.args) == 2 and node.args[0].op == "transpose":
            left, right = node.args[0].args[0], node.args[1]
            if left in vectors and right in vectors:
                return dot(left, right)
        return node

    return rewritten(root, change)


DOTS = tree("symbol", (), ("⋯", r"\cdots"))
DOTS_DOWN = tree("symbol", (), ("⋮", r"\vdots"))
DOTS_ACROSS = tree("symbol", (), ("⋱", r"\ddots"))


def cheapest(*trees: Tree) -> Tree:
    """The one that is easiest to read; ties are broken the same way in every process."""
    best = trees[0]
    for candidate in trees[1:]:
        if candidate is not best and (candidate.cost, candidate.key) < (best.cost, best.key):
            best = candidate
    return best
