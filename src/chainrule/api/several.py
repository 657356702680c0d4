"""Claims about several derivatives at once: w: 2Xᵀe, b: 2 sum(e).

In: the derivatives, and a claim for each: by name, in order, or a function that returns them all. Out: a
claim for each derivative; a CheckedAll, which prints as text and as JSON.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from chainrule.errors import OptionError, UnknownName
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Expr

if TYPE_CHECKING:
    from chainrule.api.checking import Checked
    from chainrule.api.derivative import Derivative
    from chainrule.grade.judge import Diagnosis

WORST = ("equal", "layout", "assumption", "wrong")
# w: 2*x, and ∂f/∂w = 2*x, ∇_w f = 2*x.
_NAMED = re.compile(r"\s*(\[[^\]]*\]|[^\W\d][\w\u0300-\u036f]*)\s*:(?![=:])(.*)", re.DOTALL)
_LABELLED = re.compile(r"\s*(?:[d∂]\w*\s*/\s*[d∂]([^\W\d]\w*)|∇_?\{?([^\W\d]\w*?)\}?\s+\w+)\s*=(?!=)")


class CheckedAll(Mapping[str, "Checked"]):
    """What became of claims about several derivatives, by name; true if all are right.

    verdict     the worst of theirs; `diagnosis`, `diagnoses` and `assumption` are of the first that has it
    text        everything for the person
    notes       sentences: how what was not declared was read
    """

    def __init__(self, checked: Mapping[str, Checked]) -> None:
        self._checked = dict(checked)
        first = max(self._checked.values(), key=lambda one: WORST.index(one.verdict))
        self.verdict: str = first.verdict
        self.diagnosis: str | None = first.diagnosis
        self.diagnoses: tuple[Diagnosis, ...] = first.diagnoses
        self.assumption: str | None = first.assumption
        self.notes = first.notes

    def __getitem__(self, name: str) -> Checked:
        return self._checked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._checked)

    def __len__(self) -> int:
        return len(self._checked)

    def __bool__(self) -> bool:
        return all(self._checked.values())

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @property
    def text(self) -> str:
        """The answer to each claim under its name."""
        return "\n".join(f"{pretty(name)}: {_indented(one.text)}" for name, one in self._checked.items())

    def to_json(self) -> str:
        """The same for other programs: `checks` holds the answer to each claim."""
        return json.dumps(
            {
                "schema": "chainrule/check-several",
                "version": 1,
                "verdict": self.verdict,
                "diagnosis": self.diagnosis,
                "assumption": self.assumption,
                "checks": {name: json.loads(one.to_json()) for name, one in self._checked.items()},
                "text": self.text,
                "notes": list(self.notes),
            },
            ensure_ascii=False,
            indent=2,
        )


def _indented(text: str) -> str:
    return text.replace("\n", "\n   ")


def title(derivative: Derivative) -> str:
    """The name of a derivative among several: w, or w,b for a block of a Hessian."""
    return ",".join(derivative.names)


def wrt_of(claim: object) -> list[str] | None:
    """What claims by name are by, if nothing else says it."""
    return [str(name) for name in claim] if isinstance(claim, Mapping) and claim else None


def are_several(claim: object) -> bool:
    """Whether a claim is several: by name, or a list that holds texts.

    >>> are_several({"w": "2*x"}), are_several(["2*x", "1"]), are_several([1.5, 2])
    (True, True, False)
    """
    texts = isinstance(claim, list | tuple) and any(isinstance(one, str) for one in claim)
    return texts or isinstance(claim, Mapping)


def claims_for(derivatives: Sequence[Derivative], claim: Any) -> dict[str, Any]:
    """A claim for each of the derivatives.

    Raises: OptionError, UnknownName if there is not one for each.
    """
    names = [title(d) for d in derivatives]
    if isinstance(claim, Mapping):
        return _by_name(names, {_key(name): given for name, given in claim.items()})
    if callable(claim) and not isinstance(claim, Expr):
        return {name: _part(claim, k, name, len(names)) for k, name in enumerate(names)}
    given = list(claim) if isinstance(claim, list | tuple) else [claim]
    labelled = [_labelled(one, names) for one in given]
    if labelled and all(name is not None for name, _ in labelled):
        found: dict[str, Any] = {}
        for name, one in labelled:
            if name in found:
                raise OptionError(f"there are two claims about {name}", hint="give one for each variable")
            found[str(name)] = one
        return _by_name(names, found)
    if len(given) != len(names):
        raise OptionError(
            f"{_count(names, 'derivative')} asked for, and {_count(given, 'claim')} given",
            hint=f"give one for each of {', '.join(names)}, as in '{names[0]}: ...'",
        )
    return dict(zip(names, given, strict=True))


def _count(things: Sequence[object], name: str) -> str:
    """1 claim was, 2 claims were."""
    return f"1 {name} was" if len(things) == 1 else f"{len(things)} {name}s were"


def _by_name(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [name for name in given if name not in names]
    if unknown:
        near = get_close_matches(unknown[0], names, 1, 0.5)
        raise UnknownName(
            f"there is a claim about {unknown[0]}, by which nothing was differentiated",
            hint=f"did you mean {near[0]}?" if near else f"wrt names {', '.join(names)}",
        )
    lacking = [name for name in names if name not in given]
    if lacking:
        raise OptionError(
            f"there is no claim about {', '.join(lacking)}", hint="take it out of wrt, or add a claim"
        )
    return {name: given[name] for name in names}


def _key(name: object) -> str:
    if isinstance(name, Expr):
        return str(getattr(name, "name", name))
    parts = name if isinstance(name, tuple) else re.split(r"\s*,\s*", str(name))
    if str(name).startswith("["):
        return str(name)
    return ",".join(ascii_name(str(getattr(part, "name", part)).strip()) for part in parts)


def _labelled(claim: Any, names: Sequence[str]) -> tuple[str | None, Any]:
    """The name in front of a claim, and the claim without it."""
    if not isinstance(claim, str):
        return None, claim
    named = _NAMED.fullmatch(claim)
    if named is not None:
        return _key(named[1]), named[2]
    label = _LABELLED.match(claim)
    name = ascii_name(label[1] or label[2]) if label is not None else ""
    return (name, claim) if name in names else (None, claim)


def _part(function: Callable[..., Any], k: int, name: str, count: int) -> Callable[..., Any]:
    """The function that returns one of the derivatives that a function returns together."""

    @functools.wraps(function)
    def one(*given: Any, **named: Any) -> Any:
        result = function(*given, **named)
        if isinstance(result, Mapping) and name in result:
            return result[name]
        if isinstance(result, list | tuple) and len(result) == count:
            return result[k]
        raise OptionError(
            f"a function about {count} derivatives returns {count} arrays, or a dict of them by name",
            hint="return them in the order of wrt",
        )

    return one
