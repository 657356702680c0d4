"""SVG as text: elements, escaping, colours, and the frame that makes a drawing self-contained.

In: positions and texts. Out: a Drawing. Colours are rows of a table, for a light and a dark page; every rule
of the style sheet is scoped to the drawing, so that several drawings live on one page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from chainrule.draw.manner import PLAIN, Manner
from chainrule.errors import OptionError

THEMES = ("auto", "light", "dark")
# What stands out on the page: each with at least 4.5 : 1 against what it is written on.
COLOURS = {
    "light": {
        "page": "#ffffff", "ink": "#1c2230", "muted": "#545c6b", "line": "#6a7280",
        "fill": "#f4f6f9", "edge": "#4a5362", "source": "#e2edfc", "accent": "#0b57b0",
        "result": "#e6f3e8", "good": "#1b6a30", "path1": "#0b57b0", "path2": "#ad3b06",
        "path3": "#6b2aa3", "path4": "#00655b",
    },
    "dark": {
        "page": "#14171c", "ink": "#e9ebee", "muted": "#aab2be", "line": "#8f98a6",
        "fill": "#1f242c", "edge": "#98a2b0", "source": "#16304f", "accent": "#8cbaff",
        "result": "#17361f", "good": "#8bd69d", "path1": "#8cbaff", "path2": "#ffb27f",
        "path3": "#d6adff", "path4": "#74d8c8",
    },
}  # fmt: skip
# Lines on paths: the only path, one of few paths, several of them at once.
LINES = (("on", "accent"), ("all", "ink"), *((f"p{k}", f"path{k}") for k in range(1, 5)))
# Class: properties, where {name} is a colour.
RULES = {
    "text": "font-family:serif;fill:{ink}",
    ".page": "fill:{page}",
    ".i": "font-style:italic",
    ".w": "font-family:sans-serif",
    ".muted": "fill:{muted}",
    ".node": "fill:{fill};stroke:{edge};stroke-width:1.2px",
    ".source": "fill:{source};stroke:{accent};stroke-width:1.8px",
    ".result": "fill:{result};stroke:{good};stroke-width:1.8px",
    ".operator": "fill:{page};stroke:{edge};stroke-width:1.2px",
    ".constant": "fill:{page};stroke:{line};stroke-width:1px",
    ".folded": "fill:{page};stroke:{edge};stroke-width:1.2px;stroke-dasharray:5 3",
    ".line": "fill:none;stroke:{line};stroke-width:1.1px",
    ".tip": "fill:{line}",
    ".thin": "fill:none;stroke:{edge};stroke-width:1.2px",
    **{f".{name}": f"fill:none;stroke:{{{colour}}};stroke-width:2.2px" for name, colour in LINES},
    **{f".{name}t": f"fill:{{{colour}}}" for name, colour in LINES},
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture: `svg` is self-contained, `alt` says in words what it shows, `dot` is the graph for Graphviz.

    A notebook shows it by itself.
    """

    svg: str
    alt: str
    dot: str = ""

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the picture: DOT text if the name ends in .dot or .gv, else SVG.

        Raises: OptionError if it cannot be written there.
        """
        target = Path(path)
        return save(self.dot if self.dot and target.suffix in (".dot", ".gv") else self.svg, target)

    def __repr__(self) -> str:
        return f"<Drawing: {self.alt.splitlines()[0]}>"


def save(content: str, path: str | Path) -> Path:
    """Write a picture to a file.

    Raises: OptionError if it cannot be written there.
    """
    target = Path(path)
    try:
        target.write_text(content, encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise OptionError(
            f"the picture cannot be written to {str(path)!r}: {reason}",
            hint="name a file in a folder that exists",
        ) from None
    return target


# Characters that no XML document may contain.
FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: object) -> str:
    """A coordinate with at most one decimal; anything else as it is.

    >>> number(3.0), number(2.25), number("x")
    ('3', '2.2', 'x')
    """
    if not isinstance(value, int | float):
        return str(value)
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def visible(text: str) -> str:
    """The text with a mark in place of what no document may contain."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def escape(text: str) -> str:
    """Text for an element or an attribute; what XML forbids becomes a visible mark.

    >>> escape('a<b & "c"')
    'a&lt;b &amp; &quot;c&quot;'
    """
    return (
        visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )


def element(tag: str, attributes: Mapping[str, object], *inside: str) -> str:
    """One element; `inside` is SVG already.

    >>> element("line", {"x1": 0, "y1": 1.5})
    '<line x1="0" y1="1.5"/>'
    """
    written = "".join(f' {name}="{escape(number(value))}"' for name, value in attributes.items())
    content = "".join(inside)
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def check_theme(theme: str) -> None:
    """Raises: OptionError if there is no such theme."""
    if theme not in THEMES:
        raise OptionError(f"the theme is {', '.join(THEMES[:-1])} or {THEMES[-1]}, not {theme!r}")


def style(prefix: str, theme: str) -> str:
    """The style sheet of the drawing with that id."""
    check_theme(theme)
    if theme != "auto":
        return _rules(prefix, COLOURS[theme])
    light, dark = (_rules(prefix, COLOURS[name]) for name in ("light", "dark"))
    return f"{light}\n@media (prefers-color-scheme:dark){{\n{dark}\n}}"


def _rules(prefix: str, colours: Mapping[str, str]) -> str:
    return "\n".join(f"#{prefix} {name}{{{rule.format_map(colours)}}}" for name, rule in RULES.items())


def framed(
    body: Iterable[str],
    size: tuple[float, float],
    title: str,
    description: str,
    manner: Manner = PLAIN,
    *,
    dot: str = "",
) -> Drawing:
    """The drawing around some elements; its id is made from its content if the manner has none."""
    lines = list(body)
    width, height = (number(float(round(v))) for v in size)
    content = "\n".join([escape(title), escape(description), *lines]).encode()
    name = manner.prefix or f"cr{blake2b(content, digest_size=4).hexdigest()}"
    head = {
        "xmlns": "http://www.w3.org/2000/svg",
        "id": name,
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "style": "max-width:100%;height:auto",
    }
    parts = [
        element("title", {"id": f"{name}-title"}, escape(title)),
        element("desc", {"id": f"{name}-desc"}, escape(description)),
        element("style", {}, "\n" + style(name, manner.theme).replace("<", "") + "\n"),
        element("rect", {"class": "page", "width": width, "height": height}),
        *lines,
    ]
    svg = element("svg", head, "\n" + "\n".join(parts) + "\n") + "\n"
    return Drawing(svg, visible(f"{title}\n{description}"), dot)
