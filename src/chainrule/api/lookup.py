"""Finding rules by their names, by other names, by words, or by the functions that they are about.

In: what a person typed. Out: the groups with the rules that it finds, or the nearest name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from textwrap import shorten

from chainrule.api.rulebook import GROUPS, Entry, Group, typed
from chainrule.errors import UnknownName
from chainrule.language.functions import TABLE
from chainrule.rules.table import Row

Found = list[tuple[Group, Entry]]
Chosen = list[tuple[Group, Sequence[Entry]]]


def plain(text: str) -> str:
    """Without capitals, hyphens and spare blanks.

    >>> plain(" Element-wise  sum")
    'elementwise sum'
    """
    return " ".join(text.casefold().replace("-", "").split())


def called(rule: Entry) -> list[str]:
    """What a rule is called."""
    if isinstance(rule, Row):
        entry = TABLE.get(typed(rule))
        aliases = [name for name, other in TABLE.items() if other is entry]
        return [*dict.fromkeys((rule.name, typed(rule), *aliases))]
    words = [word.strip() for word in rule.words.split(",") if word.strip()]
    return [rule.name, rule.name.removesuffix(" rule"), *words]


def phrases(rule: Entry) -> list[str]:
    """What a rule is called, to be compared with what a person typed."""
    return [*map(plain, called(rule))]


def selected(name: str) -> Chosen:
    """The groups with the rules that a name or a word finds. Raises: UnknownName with the nearest name."""
    query = plain(name)
    for group in GROUPS:
        if query in (plain(group.title), plain(group.title.split()[0])):
            return [(group, group.rules)]
    found = _exact(query)
    # Letters stand in many names and sentences, and say nothing about a rule.
    if re.search(r"\w{2}", query):
        found = found or _with_words(query, phrases) or _with_words(query, _all_words) or _called(name)
    if not found:
        known = {plain(name): name for group in GROUPS for rule in group.rules for name in called(rule)}
        near = get_close_matches(query, [*known, *(name for name in TABLE if name not in known)], 1, 0.6)
        raise UnknownName(
            f"there is no rule {shorten(name, 60, placeholder='…')!r}"
            + (f"; did you mean {known.get(near[0], near[0])}?" if near else ""),
            hint="chainrule rules prints them all; a word such as chain, trace or relu finds those about it",
        )
    grouped = [(group, [rule for other, rule in found if other is group]) for group in GROUPS]
    return [(group, rules) for group, rules in grouped if rules]


def others(name: str, chosen: Chosen) -> list[str]:
    """The names of further rules in which the same words stand."""
    known = {id(rule) for _, rules in chosen for rule in rules}
    return [
        typed(rule) if isinstance(rule, Row) else rule.name
        for _, rule in _with_words(plain(name), phrases)
        if id(rule) not in known
    ]


def _everything() -> Found:
    return [(group, rule) for group in GROUPS for rule in group.rules]


def _exact(query: str) -> Found:
    return [(group, rule) for group, rule in _everything() if query in phrases(rule)]


def _with_words(query: str, texts: Callable[[Entry], list[str]]) -> Found:
    wanted = set(re.findall(r"\w+", query))
    if not wanted:
        return []
    return [
        (g, rule) for g, rule in _everything() if wanted <= set(re.findall(r"\w+", " ".join(texts(rule))))
    ]


def _all_words(rule: Entry) -> list[str]:
    return [*phrases(rule), plain(rule.says)]


def _called(name: str) -> Found:
    """The rules that call a function which has no row. Raises: UnknownName with its meaning."""
    entry = TABLE.get(name.strip())
    if entry is None:
        return []
    names = sorted(key for key, other in TABLE.items() if other is entry)
    call = re.compile(rf"(?<!\w)(?:{'|'.join(names)})\(")
    found = [pair for key in names for pair in _exact(plain(key))]
    found = found or [(g, r) for g, r in _everything() if not isinstance(r, Row) and call.search(r.formula)]
    if not found:
        raise UnknownName(
            f"{name.strip()} has no rule of its own: it is made of parts that have one",
            hint=f"its meaning: {entry.summary}" if entry.summary else "",
        )
    return found
