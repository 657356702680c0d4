"""Python and the shell have the same options of a fit, and each is spoken to in its own way."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.cli.main import build_parser, main
from chainrule.cli.spelling import in_shell
from chainrule.fit.result import Result

SOURCE = Path(cr.__file__).parent
# What Python does with the result; progress=True is what a terminal shows unless --quiet.
OF_RESULTS = {"save", "plot", "html", "json", "quiet"}


def grammar(command: str) -> object:
    return build_parser().parse_args([command, "x"]).grammar


def test_the_command_has_the_options_of_the_function() -> None:
    options = {action.dest for action in grammar("fit")._actions if action.dest != "help"}  # type: ignore[attr-defined]
    arguments = set(inspect.signature(cr.fit).parameters)
    assert options - OF_RESULTS - {"formula"} == arguments - {"loss", "progress"}


def test_hints_below_the_command_line_name_arguments() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.parent.name == "cli" or "--" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                assert not re.search(r"(?<!-)--[a-z]", ast.unparse(node)), (path.name, node.lineno)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("steps=2000, or lbfgs", "--steps 2000, or lbfgs"),
        ("init={'w': 0.5, 'b': 1} or seed=1", "--init w=0.5,b=1 or --seed 1"),
        ("with init=... or another seed", "with --init ... or another seed"),
        ("header=False, stream=True, params=['w', 'b']", "--no-header, --stream, --params w,b"),
        ("let='y = target, X = rest'", '--let "y = target, X = rest"'),
        ("betas=(0.9, 0.999); rate = 3; w=2; init={'rate': 2}", None),
    ],
)
def test_arguments_become_options(said: str, shown: str | None) -> None:
    wanted = shown or "--betas 0.9,0.999; rate = 3; w=2; --init rate=2"
    assert in_shell(said, grammar("fit")) == wanted  # type: ignore[arg-type]


def test_each_is_spoken_to_in_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("x,y\n0,1\n1,3\n2,6\n")
    loss = "mean((y - w*x - b)**2)"
    short = cr.fit(loss, "w,b", "d.csv", method="gd", steps=3)
    assert short.hint == "allow more steps, steps=6, or try lbfgs"
    with pytest.raises(SystemExit):
        main(["fit", loss, "--data", "d.csv", "--params", "w,b", "--method", "gd", "--steps", "3",
              "--save", "r.npz", "--html", "r.html"])  # fmt: skip
    assert "--steps 6, or" in " ".join(capsys.readouterr().out.split())
    assert "--steps 6, or" in Path("r.html").read_text(encoding="utf-8")
    assert Result.load(Path("r.npz")).hint == short.hint
    with pytest.raises(SystemExit):
        main(["derive", "A.T*x'"])
    assert "--dialect matlab" in capsys.readouterr().err


def test_every_option_of_adam_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("x,y\n0,1\n1,3\n2,6\n")
    asked = ["fit", "mean((y - w*x)**2)", "--data", "d.csv", "--params", "w", "--method", "adam"]
    with pytest.raises(SystemExit) as ended:
        main([*asked, "--betas", "0.8,0.9", "--epsilon", "0.1", "--steps", "5", "--save", "r.npz", "--quiet"])
    assert ended.value.code == 0
    found = cr.fit(asked[1], "w", "d.csv", method="adam", betas=(0.8, 0.9), epsilon=0.1, steps=5)
    assert Result.load(Path("r.npz")).params["w"] == found.params["w"]
    with pytest.raises(SystemExit):
        main([*asked, "--betas", "0.9"])
    assert "--betas are two numbers" in capsys.readouterr().err
