"""A whole function as source: imports, helper functions, sizes read off arrays, statements, results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from chainrule.codegen.into import into
from chainrule.codegen.names import OWN, identifier
from chainrule.codegen.numpy import NumPy
from chainrule.codegen.order import regime
from chainrule.codegen.plan import Program, make_plan
from chainrule.codegen.program import Op, dims_in
from chainrule.codegen.rewrite import live
from chainrule.codegen.statements import Writer, unused
from chainrule.codegen.vocabulary import ATOM, Text, Vocabulary
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of

WIDTH = 96
KEPT = "\xa0"  # a space at which no line ends


@dataclass(frozen=True, slots=True)
class Source:
    """A function as text, its parameters in order (arrays by variable name, then sizes), and its name."""

    text: str
    arrays: tuple[str, ...]
    sizes: tuple[str, ...]
    function: str


def write_source(
    outputs: Mapping[Any, Expr],
    variables: Sequence[Variable],
    names: Mapping[str, Expr] | None = None,
    *,
    printer: type[Vocabulary] = NumPy,
    single: bool = False,
    function: str = "derivative",
    about: str = "",
    sizes: Mapping[str, int] | None = None,
    out: bool = False,
) -> Source:
    """A Python function for all outputs: it returns one array if `single`, else a dict of them by name.

    With `out` it has a last parameter, the array or the dict of arrays that the results are written to.

    Its parameters are the variables that it uses, then the sizes that no array shows. Products are ordered
    for `sizes`, or for assumed ones; its docstring says which, where others would ask for another order.
    """
    declared = {v.name: v for v in (*variables, *variables_of(*outputs.values()))}
    program = make_plan(outputs, names, sizes)
    if program.decided:
        ordered = regime(program.decided, sizes or {}, program.larger).replace(" ", KEPT)
        about += f" Products are ordered for {ordered}."
    given = list(declared.values())
    return write_program(
        program, given, printer=printer, single=single, function=function, about=about, out=out, sizes=sizes
    )


def write_program(
    program: Program,
    variables: Sequence[Variable],
    *,
    printer: type[Vocabulary] = NumPy,
    single: bool = False,
    function: str = "derivative",
    about: str = "",
    out: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> Source:
    """The same for a program whose inputs are `variables`."""
    declared = {v.name: v for v in variables}
    program = printer.prepared(program, {v.name: v.structure for v in variables}, sizes or {})
    spelled: dict[str, str] = {}
    for name in declared:
        spelled[name] = identifier(name, spelled.values())
    every = dict.fromkeys(d for v in declared.values() for dim in v.shape for d in dim.names)
    every.update(
        dict.fromkeys(d for op in program.ops for dim in (*op.shape, *dims_in(op.data)) for d in dim.names)
    )
    dims: dict[str, str] = {}
    for name in every:
        dims[name] = identifier(name, [*spelled.values(), *dims.values()])
    taken = {*spelled.values(), *dims.values(), function, *OWN}
    kept = unused("out", taken) if out else ""
    places = {key: kept if single else f"{kept}[{key!r}]" for key in program.outputs} if out else {}
    vocabulary = printer(spelled, dims)
    writer = Writer(program, vocabulary, taken, identifier, places)
    texts = writer.run()
    used = {op.data[0] for op in live(program) if op.kind == "input"}
    arrays = [v for v in declared.values() if v.name in used]
    shown, missing = _sizes_from(arrays, vocabulary.mentioned, spelled, dims)
    results = _fresh_results(program, texts, vocabulary.copy)
    lines = into(writer.lines, results, places) if out else writer.lines
    if out:
        answer = [f"return {kept}"]
    elif single:
        answer = [f"return {results[next(iter(results))]}"]
    else:
        answer = ["return {", *(f"    {name!r}: {text}," for name, text in results.items()), "}"]
    shapes = ", ".join(_declaration(v, spelled, dims) for v in arrays) or "none"
    made = ", ".join(
        ("" if single else f"{name}: ") + ("[" + ", ".join(map(str, e.shape)) + "]" if e.rank else "a number")
        for name, e in program.outputs.items()
    )
    parameters = [*(spelled[v.name] for v in arrays), *(dims[d] for d in missing), *([kept] if out else [])]
    summary = wrap(
        f'"""Arrays {shapes} -> {made}.{about}"""', WIDTH, break_long_words=False, break_on_hyphens=False
    )
    summary = [line.replace(KEPT, " ") for line in summary]
    given = [(spelled[v.name], v) for v in arrays]
    first = vocabulary.first_lines(given, "\n".join([*lines, *answer]))
    body = [*summary, *shown, *first, *lines, *answer]
    texts_ = dict.fromkeys(text.rstrip() for name in vocabulary.helpers for text in vocabulary.behind[name])
    imports = vocabulary.imports("\n".join([*texts_, *body]))
    parts = ["\n".join(imports), *texts_]
    head = f"def {function}({', '.join(parameters)}):\n"
    parts.append(head + "\n".join("    " + line if line else "" for line in body))
    return Source("\n\n\n".join(parts) + "\n", tuple(v.name for v in arrays), tuple(missing), function)


def _declaration(variable: Variable, spelled: Mapping[str, str], dims: Mapping[str, str]) -> str:
    shape = "[" + ", ".join(map(str, variable.shape)) + "]" if variable.rank else ""
    structure = ":" + " ".join(variable.structure) if variable.structure else ""
    return spelled[variable.name] + shape + structure


def _sizes_from(
    arrays: Sequence[Variable], wanted: Iterable[str], spelled: Mapping[str, str], dims: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Statements that read sizes off arrays, and the sizes that no array shows."""
    lines: list[str] = []
    missing: list[str] = []
    found: dict[str, tuple[Variable, int]] = {}
    for d in wanted:
        place = next(((v, k) for v in arrays for k, dim in enumerate(v.shape) if dim.name == d), None)
        if place is None:
            missing.append(d)
        else:
            found[d] = place
    for variable in arrays:
        mine = {d: k for d, (v, k) in found.items() if v is variable}
        if mine and len(mine) == variable.rank:
            left = ", ".join(dims[d] for d in sorted(mine, key=mine.__getitem__))
            lines.append(f"{left}{',' if len(mine) == 1 else ''} = {spelled[variable.name]}.shape")
        else:
            lines += [f"{dims[d]} = {spelled[variable.name]}.shape[{k}]" for d, k in mine.items()]
    return lines, missing


def _fresh_results(program: Program, texts: Mapping[Any, Text], copy: str) -> dict[Any, str]:
    """The text of each output, copied where it would share memory with an input or another output.

    A diagonal is copied too: NumPy's is read-only, and keeps all of its matrix.
    """
    results: dict[Any, str] = {}
    seen: set[Op] = set()
    for name, op in program.outputs.items():
        base, diagonal = op, False
        while base.kind in ("permute", "expand", "slice", "reshape") or (
            base.kind == "einsum" and len(base.args) == 1
        ):
            diagonal |= base.kind == "einsum"
            base = base.args[0]
        shared = op.rank > 0 and (base.kind == "input" or base in seen or diagonal)
        seen.add(base)
        results[name] = texts[name].at(ATOM) + copy if shared and copy else texts[name].text
    return results
