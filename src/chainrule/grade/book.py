"""What the names of a derivation stand for, and what its derivatives are worth.

A Book keeps every name with its formula as it was written, over names and variables; a name is an independent
symbol (its stand-in) where a derivative by it is taken. A book of a person's claims takes what the person
stated, right or wrong, in place of what is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.derive import jacobians
from chainrule.errors import UnknownName
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable, zeros
from chainrule.expr.walk import substitute
from chainrule.expr.walk import variables as variables_of

MOST_PATHS = 64


@dataclass(slots=True)
class Named:
    """A name: its stand-in, its formulas as written (the first introduces it).

    turned  the layouts in which it is a row, or the transpose: all for a row, some for a name of a derivative
    """

    variable: Variable
    written: list[Expr]
    turned: tuple[str, ...] = ()


@dataclass(slots=True)
class Book:
    """Definitions, and what was claimed in place of the truth.

    claims    claimed derivatives by (of, by), axes of the name, then of `by`; and differentials by (name,)
    formulas  claimed formulas of names
    free      the variables whose differentials are not 0
    known     what was worked out already
    """

    variables: dict[str, Variable]
    names: dict[str, Named]
    free: tuple[str, ...] = ()
    claims: Mapping[tuple[str, ...], Expr] = field(default_factory=dict)
    formulas: Mapping[str, Expr] = field(default_factory=dict)
    known: dict[object, Expr] = field(default_factory=dict)

    def symbol(self, name: str) -> Variable:
        """The variable, or the stand-in of the name."""
        if name in self.names:
            return self.names[name].variable
        if name not in self.variables:
            hint = "look at the line that introduces it"
            raise UnknownName(f"`{pretty(name)}` has no value here", hint=hint)
        return self.variables[name]

    # ------------------------------------------------------------ formulas

    def statements(self, name: str) -> list[Expr]:
        """The formulas of a name as written, over names and variables."""
        claimed = self.formulas.get(name)
        return [claimed] if claimed is not None else self.names[name].written

    def statement(self, name: str, toward: Iterable[str] = ()) -> Expr:
        """The first formula of a name that leads to one of the names `toward`, else its first."""
        targets = set(toward)
        options = self.statements(name)
        for option in options if targets else ():
            if any(self.leads(v.name, targets) for v in variables_of(option)):
                return option
        return options[0]

    def leads(self, name: str, targets: set[str]) -> bool:
        """Whether the name is one of the targets or is made from one."""
        pending, seen = [name], set()
        while pending:
            one = pending.pop()
            if one in targets:
                return True
            if one in seen or one not in self.names:
                continue
            seen.add(one)
            pending += [v.name for option in self.statements(one) for v in variables_of(option)]
        return False

    def expand(self, expr: Expr, keep: frozenset[str] = frozenset()) -> Expr:
        """The expression over variables, and over the stand-ins of the names in `keep`."""
        values: dict[Expr, Expr] = {}
        for variable in variables_of(expr):
            named = self.names.get(variable.name)
            if named is not None and variable is named.variable and variable.name not in keep:
                values[variable] = self.full(variable.name, keep)
        return substitute(expr, values) if values else expr

    def full(self, name: str, keep: frozenset[str] = frozenset()) -> Expr:
        """What a name stands for, over variables."""
        key = ("full", name, keep)
        if key not in self.known:
            self.known[key] = self.expand(self.statement(name, keep), keep)
        return self.known[key]

    def formula(self, of: str | Expr, toward: Sequence[str] = ()) -> Expr:
        """What is differentiated, as written."""
        if isinstance(of, Expr):
            return of
        return self.statement(of, toward) if of in self.names else self.variables[of]

    # ------------------------------------------------------------ derivatives

    def total(self, of: str | Expr, by: Sequence[str]) -> Expr:
        """The derivative along all paths, `by` taken as independent; axes of `of`, then of each `by`."""
        if isinstance(of, str) and self.claims and (of, *by) in self.claims:
            return self.claims[of, *by]
        read_off = self.read_off(of, by) if self.claims else None
        if read_off is not None:
            return read_off
        if self.claims and len(by) > 1 and isinstance(of, str) and (of, *by[:-1]) in self.claims:
            return jacobian(self.claims[(of, *by[:-1])], self.symbol(by[-1]))
        key = ("total", of, tuple(by))
        if key not in self.known:
            if len(by) == 1 and self.claims:
                found = self.along(of, by[0])
            else:
                found = self.formula(of, by)
                for name in by:
                    found = jacobian(self.expand(found, frozenset(by)), self.symbol(name))
                found = self.expand(found)
            self.known[key] = found
        return self.known[key]

    def read_off(self, of: str | Expr, by: Sequence[str]) -> Expr | None:
        """The derivative that a claimed differential tells: of df = 2xᵀA dx the factor of dx."""
        if not isinstance(of, str) or (of,) not in self.claims or len(by) != 1 or by[0] not in self.variables:
            return None
        moving = differential_of(self.variables[by[0]])
        claimed = self.claims[(of,)]
        return jacobian(claimed, moving) if moving in variables_of(claimed) else None

    def along(self, of: str | Expr, by: str) -> Expr:
        """The total derivative put together from local ones, claimed ones among them."""
        if of == by:
            return self.expand(jacobian(self.symbol(by), self.symbol(by)))
        parts = [part for _, part in self.contributions(of, by)]
        if parts:
            return parts[0] if len(parts) == 1 else Sum(parts)
        shape = of.shape if isinstance(of, Expr) else self.symbol(of).shape
        return zeros(shape + self.symbol(by).shape)

    def named(self, of: str, by: str) -> Expr:
        """The total derivative over the names that stand in the formulas, none of them written out."""
        if of == by:
            return jacobian(self.symbol(by), self.symbol(by))
        formula = self.formula(of, (by,))
        parts: list[Expr] = []
        for middle in variables_of(formula):
            if self.leads(middle.name, {by}):
                local, inner = jacobian(formula, middle), self.named(middle.name, by)
                parts.append(local if middle.name == by else composed(local, inner, middle.rank))
        return Sum(parts) if parts else zeros(formula.shape + self.symbol(by).shape)

    def contributions(self, of: str | Expr, by: str) -> list[tuple[str, Expr]]:
        """What reaches `of` through each name that stands in its formula, `by` itself among them."""
        formula = self.formula(of, (by,))
        found: list[tuple[str, Expr]] = []
        for middle in variables_of(formula):
            if not self.leads(middle.name, {by}):
                continue
            claimed = self.claims.get((of, middle.name)) if isinstance(of, str) else None
            local = claimed if claimed is not None else self.expand(jacobian(formula, middle))
            inner = self.total(middle.name, (by,))
            found.append((middle.name, local if middle.name == by else composed(local, inner, middle.rank)))
        return found

    def direct(self, of: str | Expr, by: str) -> list[Expr]:
        """The derivatives of the formulas as written, everything else that stands in them held fixed."""
        variable = self.symbol(by)
        options = self.statements(of) if isinstance(of, str) and of in self.names else [self.formula(of)]
        return [self.expand(jacobian(e, variable)) for e in options if variable in variables_of(e)]

    def paths(self, of: str | Expr, by: str) -> list[tuple[tuple[str, ...], Expr]]:
        """Every path from `by` to `of` through the names, and what it contributes."""
        if of == by:
            return [((by,), self.expand(jacobian(self.symbol(by), self.symbol(by))))]
        formula = self.formula(of, (by,))
        label = of if isinstance(of, str) else ""
        found: list[tuple[tuple[str, ...], Expr]] = []
        for middle in variables_of(formula):
            if not self.leads(middle.name, {by}):
                continue
            local = self.expand(jacobian(formula, middle))
            for route, inner in self.paths(middle.name, by)[: MOST_PATHS - len(found)]:
                value = local if middle.name == by else composed(local, inner, middle.rank)
                found.append(((*route, label), value))
        return found

    # ------------------------------------------------------------ differentials

    def differential(self, of: str | Expr) -> Expr:
        """The differential: linear in d of the free variables."""
        if isinstance(of, str):
            if (of,) in self.claims:
                return self.claims[(of,)]
            if of in self.variables and of not in self.names:
                variable = self.variables[of]
                return differential_of(variable) if of in self.free else zeros(variable.shape)
            if any((of, name) in self.claims for name in self.free):
                parts = [
                    composed(self.total(of, (v.name,)), differential_of(v), v.rank)
                    for v in (self.variables[name] for name in self.free if self.leads(of, {name}))
                ]
                return parts[0] if len(parts) == 1 else Sum(parts)
        key = ("differential", of, self.free)
        if key not in self.known:
            formula = self.formula(of)
            parts = []
            for v in variables_of(formula):
                if self.leads(v.name, set(self.free)):
                    inner = self.differential(v.name)
                    parts.append(composed(self.expand(jacobian(formula, v)), inner, v.rank))
            self.known[key] = Sum(parts) if parts else zeros(formula.shape)
        return self.known[key]


def differential_of(variable: Variable) -> Variable:
    """dX, the variable that the differential of X is."""
    return Variable(f"d{variable.name}", variable.shape)


def jacobian(expr: Expr, by: Variable) -> Expr:
    """∂expr/∂by, axes of the expression, then of the variable."""
    return jacobians(expr, [by])[by]


def composed(outer: Expr, inner: Expr, rank: int) -> Expr:
    """The product outer · inner, summed over the last axes of one and the first axes of the other."""
    lead = outer.rank - rank
    left = tuple(range(outer.rank))
    right = (*left[lead:], *range(outer.rank, outer.rank + inner.rank - rank))
    return Einsum(ONE, (outer, inner), (left, right), (*left[:lead], *right[rank:]))
