"""Files of golden cases: `# name`, then one field a line; a field that repeats has several lines."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import chainrule as cr
from chainrule.expr.nodes import Expr, permute
from chainrule.language import Formula, parse_formula

FOLDER = Path(__file__).parent
WIDTH = 12  # of the column with the names of the fields


@dataclass(frozen=True, eq=False)
class Case:
    """One derivative; `fields` has the lines of the file by name, in order."""

    name: str
    fields: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        """A field as one text, empty if it is not there."""
        return "\n".join(self.fields.get(key, []))

    @property
    def order(self) -> int:
        """Of the derivative."""
        return int(self["order"] or 1)

    @property
    def layout(self) -> str:
        """In which it is written."""
        return self["layout"] or "numerator"

    @property
    def literature(self) -> list[str]:
        """The form in the literature, or those that the specification allows."""
        return self.fields.get("literature") or self.fields["accepted"]

    @functools.cached_property
    def derivative(self) -> cr.Derivative:
        """What chainrule derives."""
        found = cr.derive(
            self["formula"],
            wrt=self["wrt"],
            shapes=self["shapes"],
            order=self.order,
            layout=self.layout,
            functions=self["functions"],
            structured=bool(self["structured"]),
        )
        assert isinstance(found, cr.Derivative)
        return found

    @functools.cached_property
    def text(self) -> str:
        """What chainrule prints, with the names of parts; on a second line the vec form, if there is one."""
        derivative = self.derivative
        (answer,) = derivative.sheet.answers
        if not answer.written.indices:
            return derivative.text
        vec = [line for line in derivative.sheet.answer_lines() if line.startswith("∂vec")]
        first = f"{answer.label} = {answer.written.text}"
        return "\n".join([first, *(line.split("    ")[0] for line in vec)])

    @functools.cached_property
    def written(self) -> Expr:
        """The derivative with its axes as the layout puts them; in index notation output axes come first."""
        found = self.derivative.expression
        outputs = self.derivative.formula.expr.rank
        turned = (outputs, found.rank) == (0, 2) and self.layout == "numerator" and self.order == 1
        return permute(found, (1, 0)) if turned else found

    def parse(self, text: str) -> Formula:
        """A text in chainrule's notation, with the shape that this derivative is written in."""
        return parse_formula(
            text, self["shapes"], shape=self.written.shape, functions=self["functions"]
        )


def read(file: str) -> list[Case]:
    """The cases of a file."""
    cases: list[Case] = []
    for line in (FOLDER / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            cases.append(Case(line[2:]))
        elif line and cases:
            cases[-1].fields.setdefault(line[:WIDTH].rstrip(), []).append(line[WIDTH:])
    assert len({case.name for case in cases}) == len(cases), f"{file} has a name twice"
    return cases


def write(file: str, cases: list[Case]) -> None:
    """The file with these cases; what stands above the first one stays."""
    path = FOLDER / file
    head = path.read_text(encoding="utf-8").split("\n# ", 1)[0].rstrip("\n")
    blocks = [head]
    for case in cases:
        lines = [f"# {case.name}"]
        for key, values in case.fields.items():
            lines += [f"{key:<{WIDTH}}{value}" for value in values]
        blocks.append("\n".join(lines))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def length(text: str) -> int:
    """Characters of the first line without spaces: a matrix by a matrix has its vec form on a second one."""
    return len(text.splitlines()[0].replace(" ", ""))


def weight(text: str) -> int:
    """Operators, calls, powers and transposes of a form; names, numbers and products side by side are free.

    >>> weight("det(XᵀAX) (AX(XᵀAX)⁻¹ + AᵀX(XᵀAᵀX)⁻¹)")  # det, +, two inverses and five transposes
    9
    """
    first = text.splitlines()[0]
    calls = re.findall(r"[a-z]{2,}\d?\(", first)
    return len(calls) + len(re.findall(r"[+−⊙⊘⊗·/√ᵀ⁻²³⁴⁵⁶⁷⁸⁹]", first.replace("⁻ᵀ", "⁻").replace("⁻¹", "⁻")))


# ---------------------------------------------------------------- texts up to order


def settled(text: str) -> str:
    """A printed text without spaces, the terms of its sums and the factors of ⊙ in alphabetical order.

    >>> settled("(BX + XB)ᵀ − y ⊙ (a − b)") == settled("−(−b + a) ⊙ y + (XB + BX)ᵀ")
    True
    >>> settled("a − b") == settled("b − a")
    False
    """
    answer, *names = [part for _, part in _pieces(text, [" where "])]
    names = [part for clause in names for _, part in _pieces(clause, [", "])]
    return ", ".join(map(_sorted, [answer, *names])).replace(" ", "")


def _sorted(text: str) -> str:
    """A part without names: what stands in brackets first, then its terms, then their factors."""
    inner, depth, start = "", 0, 0
    for k, c in enumerate(text):
        if c in "([{":
            depth += 1
            if depth == 1:
                inner, start = f"{inner}{c}", k + 1
        elif c in ")]}":
            depth -= 1
            if not depth:
                inner += ", ".join(_sorted(part) for _, part in _pieces(text[start:k], [", "])) + c
        elif not depth:
            inner += c
    terms = []
    for sign, term in _pieces(inner, [" + ", " − "]):
        minus = (sign == " − ") != term.startswith("−")
        factors = sorted(part for _, part in _pieces(term.removeprefix("−"), [" ⊙ "]))
        terms.append(f"{'−' if minus else '+'} {' ⊙ '.join(factors)}")
    return " ".join(sorted(terms)).removeprefix("+ ")


def _pieces(text: str, separators: list[str]) -> list[tuple[str, str]]:
    """The parts between separators outside brackets, each with the separator before it."""
    found = [("", "")]
    depth = position = 0
    while position < len(text):
        depth += (text[position] in "([{") - (text[position] in ")]}")
        separator = next((s for s in separators if not depth and text.startswith(s, position)), "")
        if separator:
            found.append((separator, ""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + text[position])
        position += len(separator) or 1
    return found
