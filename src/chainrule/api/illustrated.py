"""The figures of a derivation: the dataflow graph of its formula, and the boxes of its chain rule.

In: a derivation and what it explains. Out: the derivation with figures, for those forms that show them.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.derive.flow import Flow, flow
from chainrule.draw import Drawing, Manner, boxes, dataflow
from chainrule.explain import Derivation
from chainrule.explain.board import Subject
from chainrule.explain.derivation import Figure

# A chain rule with more steps or paths than these says little as boxes.
MOST_STEPS, MOST_PATHS = 12, 3


def illustrated(derivation: Derivation, subject: Subject) -> Derivation:
    """The derivation with its figures; a formula of one step has none.

    >>> from chainrule import explain
    >>> page = explain("log(x**2)", wrt="x")
    >>> [figure.alt for figure in illustrated(page.derivation, page.subjects[0]).figures]
    ['Dataflow graph of y = ln(x²), from x']
    """
    moving = subject.together or (subject.wrt,)
    steps = (
        subject.flow
        if subject.layers
        else flow(subject.expr, moving, subject.names, output=subject.letter, taken=subject.taken)
    )
    if len(steps.parts) < 2:
        return derivation
    manner = Manner(subject.layout, subject.at_kink, subject.profile)
    drawn = [dataflow(steps, manner=manner, caption=False)]
    if _has_boxes(steps):
        drawn.append(boxes(steps, manner=manner))
    return replace(derivation, figures=tuple(map(_figure, drawn)))


def _has_boxes(steps: Flow) -> bool:
    """Whether a chain rule multiplies something larger than numbers."""
    if len(steps.wrt) > 1:
        return False
    (wrt,) = steps.wrt
    few = len(steps.parts) <= MOST_STEPS and 0 < steps.count_paths(wrt) <= MOST_PATHS
    return few and any(v.rank for path in steps.paths(wrt) for v in path)


def _figure(drawing: Drawing) -> Figure:
    """The drawing under its title; the drawing itself says in words what it shows."""
    return Figure(drawing.svg, drawing.alt.splitlines()[0])
