"""A derivation as a JSON document; docs/derivation-json.md describes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from chainrule.derive.inward import is_unevaluated
from chainrule.explain.board import MARK
from chainrule.explain.derivation import Checked, Derivation, Entry, Line, Phase, Sentence, Words
from chainrule.explain.latex import paragraph
from chainrule.explain.words import words_text
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.present import present
from chainrule.notation.profiles import spelled
from chainrule.notation.text import to_text

SCHEMA = "chainrule/derivation"
VERSION = 1


def to_json(*derivations: Derivation) -> str:
    """Everything that the derivations hold as one JSON object."""
    content = {"schema": SCHEMA, "version": VERSION, "derivations": [to_dict(d) for d in derivations]}
    return json.dumps(content, ensure_ascii=False, indent=2)


def to_dict(derivation: Derivation) -> dict[str, Any]:
    """One derivation as dictionaries and lists."""
    write = _Writer(derivation)
    return {
        "style": derivation.style,
        "layout": derivation.layout,
        "profile": derivation.profile,
        "wrt": None if derivation.wrt is None else derivation.wrt.name,
        "heading": _lines(derivation.heading),
        "sizes": [_words(words) for words in derivation.sizes],
        "phases": [_entry(phase) for phase in derivation.phases],
        "answer": _lines(derivation.answer),
        "where": _lines(derivation.where),
        "reading": [_words(sentence.words) for sentence in derivation.reading],
        "sections": [_entry(phase) for phase in derivation.sections],
        "not_differentiable": list(derivation.kinks),
        "conditions": list(derivation.conditions),
        "notes": list(derivation.notes),
        "check": _check(derivation.checked),
        "start": None if derivation.start is None else write(derivation.start),
        "steps": [
            {
                "rule": step.rule,
                "path": list(step.path),
                "before": write(step.before),
                "after": write(step.after),
                "why": step.why,
            }
            for step in derivation.steps
        ],
        "figures": [{"svg": figure.svg, "alt": figure.alt} for figure in derivation.figures],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    match entry:
        case Line():
            return {"kind": "line", **_line(entry)}
        case Sentence():
            return {"kind": "sentence", **_words(entry.words)}
        case Phase():
            return {
                "kind": "phase",
                "number": entry.number,
                "title": entry.title,
                "entries": [_entry(part) for part in entry.entries],
            }


def _lines(lines: Iterable[Line]) -> list[dict[str, Any]]:
    return [_line(line) for line in lines]


def _line(line: Line) -> dict[str, Any]:
    return {
        "left": None if line.left is None else _formula(line.left),
        "relation": line.relation,
        "right": _formula(line.right),
        "sizes": line.sizes,
        "reason": _words(line.reason),
        "claims": line.value is not None,
        "result": line.result,
    }


def _formula(tree: Tree) -> dict[str, str]:
    return {"text": to_text(tree), "latex": to_latex(tree)}


def _words(words: Words) -> dict[str, str]:
    return {"text": words_text(words), "latex": paragraph(words)}


class _Writer:
    """Writes expressions of the steps, in which derivatives may not be taken yet."""

    def __init__(self, derivation: Derivation) -> None:
        start = derivation.start
        alone = start is not None and len(variables(start)) == 1
        self.wrt, self.sign, self.profile = derivation.wrt, "d" if alone else "∂", derivation.profile
        self.done: dict[Expr, dict[str, str]] = {}

    def __call__(self, expr: Expr) -> dict[str, str]:
        """The expression as text and LaTeX."""
        if expr not in self.done:
            self.done[expr] = _formula(spelled(self._tree(expr), self.profile))
        return self.done[expr]

    def _tree(self, expr: Expr) -> Tree:
        pending = [node for node in topological([expr]) if is_unevaluated(node)]
        marks = {node: Variable(f"{MARK}{k}", node.shape) for k, node in enumerate(pending)}
        tree = present(substitute(expr, dict(marks))).tree
        return m.replace_leaves(tree, {m.name(v.name): self._pending(node) for node, v in marks.items()})

    def _pending(self, node: Expr) -> Tree:
        body = node.children[0]
        inside = self._tree(body)
        # A differential has no axes of its own.
        if self.wrt is None or (node.rank == body.rank and self.wrt.rank):
            return m.differential(inside)
        return m.operator(inside, m.name(self.wrt.name), self.sign)


def _check(checked: Checked) -> dict[str, Any]:
    return {
        "passed": None if checked.reason else not checked.failed,
        "reason": checked.reason or None,
        "steps": checked.steps,
        "points": checked.points,
        "method": checked.method,
        # JSON has no NaN and no infinity.
        "largest_relative_error": checked.worst if math.isfinite(checked.worst) else str(checked.worst),
        "failed": list(checked.failed),
    }
