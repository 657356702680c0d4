"""The JSON document of a derivative; docs/json.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chainrule.api.formulas import size
from chainrule.api.notated import content
from chainrule.codegen.formula import numpy_formula
from chainrule.notation.latex import to_latex
from chainrule.notation.present import present
from chainrule.notation.text import to_text

if TYPE_CHECKING:
    from chainrule.api.answers import Said
    from chainrule.api.point import Point
    from chainrule.api.sheet import Answer, Sheet
    from chainrule.notation.piecewise import Cases
    from chainrule.notation.present import Presentation
    from chainrule.verify.compare import Report

SCHEMA = "chainrule/derivative"
VERSION = 1


def document(sheet: Sheet, report: Report | str, point: Point | None, answers: Mapping[str, Said]) -> str:
    """Everything on the sheet as one JSON object."""
    formula = sheet.formula
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "formula": {
            "source": formula.source,
            "dialect": formula.dialect,
            "profile": formula.profile,
            **_written(sheet.written_formula),
            "shape": _sizes(sheet.value.shape),
        },
        "variables": [
            {"name": v.name, "shape": _sizes(v.shape), "structure": list(v.structure)}
            for v in formula.variables.values()
        ],
        "functions": [{"name": d.name, "kind": d.signature} for d in formula.functions.declared.values()],
        "assumptions": list(formula.assumptions),
        "order": sheet.derivatives[0].order,
        "layout": sheet.layout,
        "at_kink": float(sheet.options.at_kink),
        "notation": sheet.options.notation,
        "derivatives": [_answer(answer, sheet) for answer in sheet.answers],
        "where": [{"name": name, **_written(part)} for name, part in sheet.where],
        "recursion": _recursion(sheet),
        **_products(sheet),
        "abbreviations": [
            {"name": name, **_written(present(part)), "used": name not in sheet.unused}
            for name, part in sheet.abbreviations.items()
        ],
        "not_differentiable": [
            {"where": kink.where, "takes": kink.takes} for kink in sheet.kinks if not kink.exists
        ],
        "conditions": sheet.conditions,
        "check": _check(report),
    }
    if sheet.conventions:
        content["structured"] = sheet.conventions
    if point is not None:
        content["at"] = {
            "point": {name: _numbers(value) for name, value in point.given.items()},
            "value": _numbers(point.value),
            "derivatives": [
                {"wrt": list(names), "value": _numbers(value)} for names, value in point.derivatives.items()
            ],
        }
    content.update({name: dict(said.data) for name, said in answers.items()})
    return json.dumps(content, ensure_ascii=False, indent=2)


def _answer(answer: Answer, sheet: Sheet) -> dict[str, Any]:
    derivative = answer.derivative
    found = dict(zip(sheet.answers, sheet.written, strict=False)).get(answer)
    return {
        "wrt": [
            [v.name for v in target.variables] if target.joint else target.name for target in derivative.wrt
        ],
        "label": answer.label,
        "kind": derivative.kind,
        "shape": _sizes(derivative.expression.shape),
        "layout_shape": None if answer.shape is None else _sizes(answer.shape),
        **_written(answer.written),
        "form": answer.written.form,
        "vec": _vec(answer.written),
        "gradient": None if answer.gradient is None else _written(answer.gradient),
        "cases": _cases(derivative.cases),
        "written": None if found is None else content(answer, found, sheet.options.notation),
        # In a program of layers each is short in the names of all of them.
        "numpy": derivative.numpy_source
        if sheet.recursion is None
        else numpy_formula(sheet.exprs[derivative]),
    }


def _products(sheet: Sheet) -> dict[str, Any]:
    """What the derivatives are multiplied by; only where something is."""
    content: dict[str, Any] = {}
    if sheet.pullback is not None:
        content["upstream"] = {"name": sheet.pullback.upstream.name, "of": sheet.pullback.letter}
    if sheet.times is not None:
        content["times"] = [{"wrt": x.name, "direction": v.name} for x, v in sheet.times.directions]
    return content


def _recursion(sheet: Sheet) -> list[dict[str, str]]:
    """The gradients with names, from the output back."""
    layers = sheet.recursion
    if layers is None:
        return []
    return [
        {"name": delta.symbol.name, "of": delta.of.name, "numpy": numpy_formula(layers.shown(delta.value))}
        for delta in layers.deltas
    ]


def _cases(cases: Cases | None) -> dict[str, Any] | None:
    if cases is None:
        return None
    each = [{"if": condition, "text": value} for value, condition in cases.rows]
    return {"text": cases.text, "latex": cases.latex, "cases": each}


def _written(shown: Presentation) -> dict[str, str]:
    return {"text": shown.text, "latex": shown.latex}


def _vec(shown: Presentation) -> dict[str, str] | None:
    return (
        None
        if shown.vec is None
        else {
            "text": to_text(shown.vec, shown.profile),
            "latex": to_latex(shown.vec, shown.profile),
        }
    )


def _sizes(shape: Any) -> list[str | int]:
    return [size(dim) for dim in shape]


def _check(report: Report | str) -> dict[str, Any]:
    if isinstance(report, str):
        return {"passed": None, "reason": report}
    return {
        "passed": report.passed,
        "points": report.points,
        "method": report.method,
        "largest_relative_error": report.worst,
    }


def _numbers(value: Any) -> Any:
    """Nested lists; NaN and infinities, which JSON lacks, as strings."""
    import numpy as np

    array = np.asarray(value, dtype=float)
    if np.isfinite(array).all():
        return array.tolist()
    if not array.ndim:
        return str(array)
    return [_numbers(entry) for entry in array]
