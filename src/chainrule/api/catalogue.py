"""The catalogue of rules, whole or in part: what it shows is derived, and checked, when it is printed.

In: a name, a word, or nothing. Out: a Catalogue as text, Markdown, LaTeX or JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property

from chainrule.api.explanation import Explanation
from chainrule.api.lookup import Chosen, others, selected
from chainrule.api.rulebook import GROUPS, Entry, Group, Workshop, sentence, sentences, typed, where
from chainrule.api.tables import (
    WIDEST,
    Line,
    Section,
    Spell,
    line_text,
    section_data,
    section_latex,
    section_markdown,
    section_text,
)
from chainrule.errors import OptionError
from chainrule.explain.text import WIDTH
from chainrule.language import check_profile
from chainrule.rules.catalogue import Rule
from chainrule.rules.table import Row

SCHEMA = "chainrule/rules"
VERSION = 1


class Catalogue:
    """The rules, or some of them; made by `rules`.

    sections    tables of cells, everything in them derived
    see_also    names of further rules about the same words
    """

    def __init__(
        self,
        chosen: Chosen,
        layout: str,
        profile: str | None,
        see_also: Sequence[str] = (),
    ) -> None:
        self.layout = layout
        self.profile = profile
        self.see_also = tuple(see_also)
        self._shop = Workshop(layout, profile)
        self._by_itself = not any(rules is group.rules for group, rules in chosen)
        self.sections = tuple(self._section(group, rules) for group, rules in chosen)
        only = [rule for _, rules in chosen for rule in rules]
        self._alone = only[0] if self._by_itself and len(only) == 1 else None

    def _section(self, group: Group, rules: Sequence[Entry]) -> Section:
        lines = []
        for rule in rules:
            rows = group.fill(rule, self._shop)
            said, listed = self._shop.signed(sentences(rule)), True
            if isinstance(rule, Row) and rule.says.startswith("derivative of") and len(rows) == 1:
                # A name says less than the derivative, which the table has already.
                (f, _, slope, *_), kink = rows[0], said.partition(". ")[2]
                said = f"The slope of {f.text} is {slope.text}. {kink}".strip()
                listed = bool(rule.at_kink)
            name = typed(rule) if isinstance(rule, Row) else rule.name
            lines.append(Line(name, rows, said, where(rule), listed))
        return Section(group.title, group.columns, tuple(lines), self._shop.signed(group.remark))

    @property
    def names(self) -> list[str]:
        """The names of its rules.

        >>> rules("chain rule").names
        ['chain rule']
        """
        return [line.name for line in self]

    def __iter__(self) -> Iterator[Line]:
        return (line for section in self.sections for line in section.lines)

    def __len__(self) -> int:
        return sum(len(section.lines) for section in self.sections)

    @cached_property
    def derivation(self) -> Explanation | None:
        """How the example of a rule is derived, step by step, where one rule was asked for."""
        return self._shop.derivation(self._alone) if isinstance(self._alone, Rule) else None

    @cached_property
    def checked(self) -> str:
        """What the check found, made once. Raises: CheckFailed."""
        return self._shop.report()

    def to_text(self, width: int = WIDEST, spell: Spell = str) -> str:
        """The tables, or each rule by itself where a few were asked for, and what the check found.

        `width` of the page; `spell` says how it will show a text, where that is not as it is.
        """
        if self._by_itself:
            parts = [
                line_text(section, line, width, spell) for section in self.sections for line in section.lines
            ]
            if self.derivation:
                parts.append(self.derivation.to_text(width=min(width, WIDTH), spell=spell))
            parts += [f"see also: {', '.join(self.see_also)}"] if self.see_also else []
        else:
            parts = [section_text(section, width, spell) for section in self.sections]
        return "\n\n".join([*parts, self.checked])

    def to_markdown(self) -> str:
        """The tables in Markdown, with formulas in LaTeX."""
        derived = [self.derivation.to_markdown()] if self.derivation else []
        return "\n\n".join([*map(section_markdown, self.sections), *derived, sentence(self.checked)])

    def to_latex(self) -> str:
        """The tables in LaTeX; they need the packages amsmath and amssymb."""
        assert self.checked, "the check runs before anything is printed"
        derived = [self.derivation.to_latex()] if self.derivation else []
        return "\n\n".join([*map(section_latex, self.sections), *derived])

    def to_json(self) -> str:
        """The tables for other programs; docs/json.md describes the format."""
        content = {
            "schema": SCHEMA,
            "version": VERSION,
            "layout": self.layout,
            "profile": self.profile,
            "sections": [section_data(section) for section in self.sections],
            "check": self.checked,
        }
        return json.dumps(content, ensure_ascii=False, indent=2)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def rules(name: str | None = None, *, layout: str = "numerator", profile: str | None = None) -> Catalogue:
    """The catalogue of rules, or what it has on one rule, one function or a word.

    Every derivative in it is derived now and checked when it is printed.
    Raises: UnknownName with the nearest name; OptionError.

    >>> [line.says for line in rules("sum rule")]
    ['The rates of change of the parts add up.']
    >>> rules("relu").sections[-1].lines[0].rows[0][2].text
    '1[x > 0]'
    """
    check_profile(profile)
    if name is not None and not isinstance(name, str):
        raise OptionError(f"the name of a rule is a text, not {type(name).__name__}", hint='rules("chain")')
    if name is None:
        return Catalogue([(group, group.rules) for group in GROUPS], layout, profile)
    chosen = selected(name)
    return Catalogue(chosen, layout, profile, others(name, chosen))
