"""A strict reader of the TeX that is written: it accepts less than TeX does, and nothing that TeX refuses."""

from __future__ import annotations

import re

from chainrule.expr.names import GREEK

COMMANDS = set(
    r"""frac partial mathrm cdot odot oslash otimes circ operatorname mathbf mathbb mathit top sum
    sqrt text left right ln log det exp max min sin cos tan sinh cosh tanh arcsin arccos arctan ne
    le ge to leftarrow mapsto underbrace cdots vdots ddots dots quad qquad times lVert rVert lvert rvert
    lfloor rfloor vert Vert nabla begin end prime paragraph subparagraph emph textasciitilde
    textbackslash textasciicircum hat bar tilde dot \ , { } _ # % & $""".split()
) | {" ", "lambda", *GREEK}
ENVIRONMENTS = {"align*", "aligned", "pmatrix", "cases"}
WITH_GROUP = {"text", "emph", "paragraph", "subparagraph", "operatorname", "mathbf", "mathbb", "mathit"}
TOKEN = re.compile(r"\\([A-Za-z]+|.)|([{}$&_^])|(\n\n)|([^\\{}$&_^\n]+|\n)", re.DOTALL)
NAME = re.compile(r"\{([^{}]*)\}")


def check_tex(text: str, *, display: bool = False) -> None:
    """Raise AssertionError unless TeX would read the text, in mathematics mode if it is a display.

    Groups, environments, delimiters and dollar signs are nested properly, every command is known, signs of
    mathematics stand in mathematics, no paragraph ends inside it, and nothing is outside ASCII.
    """
    assert text.isascii(), [c for c in text if not c.isascii()]
    stack: list[str] = ["$"] if display else []
    position = 0
    script = ""
    while position < len(text):
        token = TOKEN.match(text, position)
        assert token, text[position:]
        position = token.end()
        here = text[:position][-80:]
        command, mark, ends, _ = token.groups()
        math = any(s in ("$", "align*", "aligned") for s in stack) and "text" not in stack
        assert not (ends and math), here
        if command in ("begin", "end"):
            name = NAME.match(text, position)
            assert name and name[1] in ENVIRONMENTS, here
            position = name.end()
            if command == "begin":
                assert math != (name[1] == "align*"), here
                stack.append(name[1])
            else:
                assert stack and stack.pop() == name[1], here
        elif command in ("left", "right"):
            assert math and text[position] in "()[].", here
            if command == "left":
                stack.append("left")
            else:
                assert stack and stack.pop() == "left", here
        elif command is not None:
            assert command in COMMANDS, here
            if command in WITH_GROUP:
                assert text[position] == "{", here
            if command == "text":
                position += 1
                stack.append("text")
            if command == "\\":
                assert stack and stack[-1] in ENVIRONMENTS, here
        elif mark == "{":
            stack.append("{")
        elif mark == "}":
            assert stack and stack.pop() in ("{", "text"), here
        elif mark == "$":
            assert not math or stack[-1] == "$", here
            if math:
                stack.pop()
            else:
                stack.append("$")
        elif mark == "&":
            assert stack and stack[-1] in ENVIRONMENTS, here
        elif mark:
            assert math and script != mark, here
        script = mark if mark in ("_", "^") else ""
    assert stack == (["$"] if display else []), stack
