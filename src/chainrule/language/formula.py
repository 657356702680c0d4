"""The door of the room: a text, with or without declarations, becomes a Formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.errors import OptionError, OutsideSum, ShapeMismatch, SyntaxProblem
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable, broadcast_to, constant_of
from chainrule.language.activations import YIELDING
from chainrule.language.cases import without_cases
from chainrule.language.context import Setting
from chainrule.language.declarations import Declarations, parse_declarations
from chainrule.language.functions import TABLE
from chainrule.language.index import IndexedElaborator
from chainrule.language.inference import Problem, infer
from chainrule.language.instances import defined_for, gathered, instances, outside
from chainrule.language.norms import with_infinite_orders
from chainrule.language.program import parse_program
from chainrule.language.resolve import MODULES, Scope, assigned_names, resolve, without_arguments
from chainrule.language.scan import unrolled
from chainrule.language.sizes import Sizes
from chainrule.language.syntax import Call, Name, Number, Postfix, Special, Statement, post_order
from chainrule.language.tokens import tokenize
from chainrule.language.unknown import (
    NONE,
    Functions,
    Given,
    check_names,
    parse_functions,
    with_arities,
)

DIALECTS = ("numpy", "matlab")
PROFILES = (None, "notes")


@dataclass(frozen=True)
class Formula:
    """A formula as it was written.

    expr         its value; nothing is simplified
    variables    every variable, declared ones first, then in order of appearance
    names        the parts that the person named, in order
    name         the name that the person gave to the whole, "" if there is none
    assumptions  sentences: which shapes were inferred or taken by convention, how ambiguous signs were read
    row          whether the value is a row, in notation with ᵀ
    profile      in whose signs it was written, which are those of the answer
    functions    those left unknown, with the numbers of arguments that the formula gives them
    """

    source: str
    dialect: str
    expr: Expr
    variables: dict[str, Variable]
    names: dict[str, Expr] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    row: bool = False
    profile: str | None = None
    functions: Functions = NONE
    name: str = ""


def check_profile(profile: str | None) -> None:
    """Raises: OptionError if there is no such profile."""
    if profile not in PROFILES:
        raise OptionError(f"unknown profile `{profile}`", hint="the only profile is notes")


def parse_formula(
    text: str,
    shapes: str | Mapping[str, object] | Declarations | None = None,
    dialect: str = "numpy",
    profile: str | None = None,
    shape: Sequence[Dim] | None = None,
    functions: Given = None,
) -> Formula:
    """The formula that `text` writes down.

    `shapes` declares variables; the shapes of others are inferred, and `assumptions` says how. `shape` is
    the shape of the whole where it is known: it decides the size of a lone 𝟏 or I, and a number stands for
    every entry. `functions` declares those left unknown, "f: scalar, h: n->m". Raises: a ChainruleError with
    the place in the text.

    >>> f = parse_formula("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]")
    >>> f.expr.shape, list(f.variables)
    ((), ['X', 'w', 'b', 'y'])
    >>> parse_formula("2(A + Aᵀ)x", "A[n,n] x[n]").expr.shape
    (Dim(n),)
    """
    parsed = outline(text, shapes, dialect, profile, functions)
    statements, declared, setting, free = parsed.statements, parsed.declared, parsed.setting, parsed.free
    sizes = Sizes()
    variables = dict(declared.variables)
    said: list[str] = list(parsed.assumptions)
    letters = defined_for(statements[-1], setting.instances)
    if free or shape is not None or _has_unknown_sizes(statements):
        one = tuple(shape)[len(letters) :] if shape is not None else None
        found = infer(Problem(setting, statements, declared.variables, free, one))
        sizes, said = found.sizes, [*said, *found.assumptions]
        variables |= found.variables
    final = IndexedElaborator(setting, variables, sizes)
    value = final.run(statements)
    if letters:
        every = final.built(
            lambda e: gathered(e, letters, setting.instances), [value.expr], statements[-1].value.span
        )
        value = replace(value, expr=every)
    alone = outside(value.expr, setting.instances)
    if alone is not None:
        raise OutsideSum(
            f"{alone} stands outside a sum over {alone[-1]}",
            source=text,
            spans=(statements[-1].value.span,),
            hint=f"write Σ_{alone[-1]} in front of what it stands in",
            letter=alone[-1],
        )
    names = {s.name: final.environment[s.name].expr for s in statements if s.name}
    names = {name: part for name, part in names.items() if outside(part, setting.instances) is None}
    said += final.notes
    expr = value.expr
    if shape is not None and expr.rank < len(shape) and (not expr.rank or constant_of(expr) is not None):
        expr = broadcast_to(expr, tuple(shape))
    row = value.row and value.rank == 1
    said_once = tuple(dict.fromkeys(said))
    last = statements[-1]
    own = last.value.name if isinstance(last.value, Name) and not last.name else last.name
    name = own if names.get(own) is expr else ""
    return Formula(text, dialect, expr, variables, names, said_once, row, profile, setting.functions, name)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a text says before shapes are known.

    free         the names that nothing declares, in order of appearance
    assumptions  how names that run together were read
    """

    statements: list[Statement]
    declared: Declarations
    setting: Setting
    free: list[str]
    assumptions: tuple[str, ...]


def outline(
    text: str,
    shapes: str | Mapping[str, object] | Declarations | None = None,
    dialect: str = "numpy",
    profile: str | None = None,
    functions: Given = None,
) -> Outline:
    """The statements of a text, those that others need first; raises a ChainruleError if it cannot be read.

    >>> outline("A @ x + b", "A[m,n] x[n]").free
    ['b']
    """
    if dialect not in DIALECTS:
        raise OptionError(f"unknown dialect `{dialect}`", hint="dialects are numpy and matlab")
    check_profile(profile)
    declared = parse_declarations(shapes)
    unknown = parse_functions(functions, TABLE.keys() - YIELDING)
    written = tokenize(text, dialect, unknown.declared)
    taken = [*declared.variables, *declared.dims, *unknown.declared]
    written = with_infinite_orders(written, MODULES, taken)
    tokens = without_arguments(without_cases(unrolled(written, text, taken), text), text)
    known = instances(tokens, declared.variables)
    given = assigned_names(tokens, entries=not known)
    check_names(unknown, declared, given, text)
    ranks = {name: variable.rank for name, variable in declared.variables.items()}
    dims = frozenset((*declared.dims, *unknown.dims))
    scope = Scope(text, ranks, dims, TABLE.keys(), {*given, *known}, unknown=unknown)
    program = _checked(
        parse_program(resolve(tokens, scope), text, dialect, scope.assumptions), text, declared
    )
    statements = _ordered(program, text)
    assigned = frozenset(s.name for s in statements if s.name)
    twice = next((s for s in statements if s.name in known), None)
    if twice is not None:
        array = known[twice.name].array.name
        raise ShapeMismatch(
            f"{twice.name} stands for an instance of {array} and is given a value here",
            source=text,
            spans=(twice.span,),
            hint="use another name for the part",
        )
    arities = with_arities(unknown, statements, text)
    setting = Setting(text, dialect, profile, dims, assigned, arities, known)
    free = _free_names(statements, declared, assigned | dims | known.keys())
    return Outline(statements, declared, setting, free, tuple(scope.assumptions))


def _checked(program: list[Statement], text: str, declared: Declarations) -> list[Statement]:
    """The statements, if they make a formula: a value at the end, names that are free."""
    if not program:
        raise SyntaxProblem("the formula is empty", source=text, hint='write one, for example "x @ A @ x"')
    values = [s for s in program if not s.name and s.output is None]
    if len(values) == 1 and values[0] is not program[-1] and values[0].local:
        place = program.index(values[0])
        values[0].local.extend(program[place + 1 :])
        del program[place + 1 :]
    for statement in program[:-1]:
        if not statement.name:
            raise SyntaxProblem(
                "only the last statement may stand without a name",
                source=text,
                spans=(statement.span,),
                hint="give the others names: z = ...",
            )
    for statement in [*program, *(s for p in program for s in p.local)]:
        if statement.name in declared.variables or statement.name in declared.dims:
            kind = "variable" if statement.name in declared.variables else "size"
            raise ShapeMismatch(
                f"{statement.name} is declared as a {kind} and given a value here",
                source=text,
                spans=(statement.span,),
                hint="use another name for the part",
            )
    return program


def _ordered(program: list[Statement], text: str) -> list[Statement]:
    """All statements, those of a where clause before what uses them."""
    result: list[Statement] = []
    for statement in program:
        pending = {s.name: s for s in statement.local}
        if len(pending) < len(statement.local):
            raise SyntaxProblem(
                "`where` gives a name twice",
                source=text,
                spans=(statement.local[-1].span,),
                hint="keep one of them",
            )
        uses = {
            name: [n.name for n in post_order(s.value) if isinstance(n, Name) and n.name in pending]
            for name, s in pending.items()
        }
        while pending:
            ready = [name for name in pending if not any(used in pending for used in uses[name])]
            if not ready:
                first = next(iter(pending.values()))
                raise SyntaxProblem(
                    f"{first.name} is defined by itself",
                    source=text,
                    spans=(first.span,),
                    hint="give the parts other names",
                )
            result.extend(pending.pop(name) for name in ready)
        result.append(statement)
    return result


def _free_names(statements: list[Statement], declared: Declarations, assigned: frozenset[str]) -> list[str]:
    """The names that nothing declares, in order of appearance."""
    known = {*declared.variables, *declared.dims, *assigned, "e", "pi", "I"}
    names: dict[str, None] = {}
    for statement in statements:
        for node in sorted(post_order(statement.value), key=lambda n: n.span.start):
            if isinstance(node, Name) and node.name not in known:
                names[node.name] = None
    return list(names)


def _has_unknown_sizes(statements: list[Statement]) -> bool:
    """Whether a part of the formula takes whatever size fits: 𝟏, I, vector(1)."""
    nodes = [node for statement in statements for node in post_order(statement.value)]
    symbols = any(isinstance(n, Special) or (isinstance(n, Name) and n.name == "I") for n in nodes)
    filled = any(isinstance(n, Call) and n.name in ("vector", "matrix") for n in nodes)
    turned = any(isinstance(n, Postfix) and isinstance(n.operand, Number) for n in nodes)
    return symbols or filled or turned or any(s.output is not None for s in statements)
