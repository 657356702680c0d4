"""The command `chainrule`: one function per subcommand; formats errors; the only place that ends the process.

In: the arguments of the command line. Out: text on standard output, errors on standard error, an exit status:
0 done, 1 a failed check or two formulas that differ, 2 a mistake in the input, 70 a fault of chainrule
itself. No input ends in a traceback.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import chainrule
from chainrule.cli import fitting
from chainrule.cli.spelling import in_shell
from chainrule.cli.terminal import as_shown, columns, in_html, prepare_streams, write
from chainrule.codegen.interrupts import Heard, heard
from chainrule.errors import ChainruleError, CheckFailed, OptionError, Span

if TYPE_CHECKING:
    from chainrule.api import Derivative, Derivatives
    from chainrule.api.answers import Said

FORMATS = ("text", "latex", "numpy", "json", "markdown")
PAGES = ("text", "markdown", "latex", "html", "json")
STYLES = ("operator", "variables", "components", "differentials", "layers")
LAYOUTS = ("numerator", "denominator", "shape")
CODES = ("numpy", "numba", "jax", "torch")
DIALECTS = ("numpy", "matlab")
TABLES = ("text", "markdown", "latex", "json")
WIDE_TABLE = 140
NOTATIONS = ("matrix", "sums", "index", "kron", "map")
LONGEST_INPUT = 4_000_000

EPILOG = """examples:
  chainrule derive "norm(A @ x - b)**2" --shapes "A[m,n] x[n] b[m]" --wrt x
  chainrule derive "x'*A*x" --dialect matlab --wrt x --layout shape
  chainrule equal "tr(A @ B)" "tr(B @ A)" --shapes "A[m,n] B[n,m]"
  chainrule simplify "inv(inv(A)) @ A.T.T"
"""

DERIVE = """examples:
  chainrule derive "mean((y - relu(X @ w + b))**2)" --shapes "X[N,n] w[n] b y[N]" --wrt w
  chainrule derive "mean((y - relu(X @ w + b))**2)" --shapes "X[N,n] w[n] b y[N]" --wrt w,b
  chainrule derive "x @ A @ x" --shapes "A[n,n]:symmetric x[n]" --wrt x --order 2
  chainrule derive "[3*x**2*y, 2*x + y**8]" --wrt "[x, y]" --at "x=1,y=2"
  chainrule derive "logdet(X)" --shapes "X[n,n]" --wrt X --layout shape --format latex
  chainrule derive "logdet(X)" --shapes "X[n,n]" --wrt X --code jax
  chainrule derive "f(g(x))" --functions "f: scalar, g: scalar" --wrt x
  chainrule derive "A @ X @ B" --shapes "A[m,n] X[n,p] B[p,q]" --wrt X --notation map
  chainrule derive "sum((X @ w - y)**2)" --shapes "X[N,n] w[n] y[N]" --wrt w --where "e = X @ w - y"
  chainrule derive @loss.txt --wrt w          (the formula stands in a file)
  echo "sum(exp(x))" | chainrule derive - --shapes "x[n]" --wrt x
"""

CHECK = """exit status 0: right, in this layout or the other; 1: wrong, or right under an assumption
without --claim a whole derivation is checked line by line, one equality a line; 0: nothing in it is wrong

examples:
  chainrule check "x @ A @ x" --shapes "A[n,n] x[n]" --wrt x --claim "2*A@x"
  chainrule check "sum((X @ w - y)**2)" --shapes "X[N,n] w[n] y[N]" --wrt w --claim "2Xᵀ(Xw − y)"
  chainrule check "w*x + b" --wrt w,b --claim "w: x" --claim "b: 1"
  chainrule check derivation.txt --shapes "X[N,n] w[n] b y[N]" --wrt w
  echo "y = x**2; dy/dx = 2*x" | chainrule check - --wrt x
"""

RULES = """examples:
  chainrule rules                     (all of them)
  chainrule rules chain               (what is called chain)
  chainrule rules softmax
  chainrule rules "matrix rules" --layout shape --format markdown
"""


EXPLAIN = """examples:
  chainrule explain "log(sin(x**3)**2)" --wrt x
  chainrule explain "mean((y - relu(X @ w + b))**2)" --shapes "X[N,n] w[n] b y[N]" --wrt w
  chainrule explain "9*(x + x**2)" --wrt x --style operator
  chainrule explain "x + x**2" --wrt x --at "x=1"
  chainrule explain "w * x" --shapes "w[n] x[n]" --wrt x --style components
  chainrule explain "sum((X @ W - Y)**2)" --shapes "X[N,n] W[n,k] Y[N,k]" --wrt W
"""


DRAWINGS = ("svg", "dot", "operators", "entries", "boxes", "shapes", "pieces", "text")
DRAW = """formats:
  svg        the dataflow graph: steps with formulas and shapes, local derivatives on the edges
  dot        the same graph for Graphviz
  operators  the graph with operators as nodes: x → (·)² → u → sin → y
  entries    the graph with vectors opened into entries x₁, x₂, …, xₙ
  boxes      the factors of the chain rule in proportion to their sizes
  shapes     which shape a derivative has, for scalars and vectors
  pieces     which pieces a chain rule multiplies, for scalars and vectors
  text       the graph in words

examples:
  chainrule draw "mean((y - relu(X @ w + b))**2)" --shapes "X[N,n] w[n] b y[N]" --wrt w --output loss.svg
  chainrule draw "sin(x**2)" --wrt x --format operators --theme light --output sin.svg
  chainrule draw "sum(exp(A @ x))" --shapes "A[m,n] x[n]" --wrt x --format boxes --output boxes.svg
"""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose mistakes are ChainruleErrors with the nearest valid word."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        hint = f"{self.prog} --help shows what there is"
        command = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        unknown = re.search(r"unrecognized arguments: (.*)", message)
        if command:
            known = re.findall(r"[\w-]+", command[2])
            message = f"there is no command {command[1]!r}"
            hint = _nearest(command[1], known) or f"the commands are {', '.join(known)}"
        elif unknown and not unknown[1].startswith("-"):
            message = f"{unknown[1]!r} stands outside the formula"
            hint = "a formula with spaces needs quotes around it"
        elif unknown:
            option = unknown[1].split()[0].split("=")[0]
            message = f"there is no option {option}"
            hint = _nearest(option, self._known_options()) or hint
            if option in self._known_options():
                message, hint = f"{option} stands behind --", "behind -- stands the formula alone, at the end"
        raise OptionError(message, hint=hint)

    def _known_options(self) -> list[str]:
        nested = [a.choices.values() for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        parsers = [self, *(parser for group in nested for parser in group)]
        return [
            option for parser in parsers for action in parser._actions for option in action.option_strings
        ]


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else ""


def build_parser() -> Parser:
    """The whole grammar of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="chainrule",
        description="Matrix calculus that shows its work: closed-form derivatives, checked numerically.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"chainrule {chainrule.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], says: str, epilog: str = "") -> Parser:
        sub: Parser = commands.add_parser(
            name, help=says, description=says, epilog=epilog, formatter_class=raw
        )
        sub.set_defaults(run=run, grammar=sub)
        return sub

    def formula(sub: Parser, name: str, says: str) -> None:
        sub.add_argument(name, metavar=name.upper(), help=says)

    def reading(sub: Parser) -> None:
        sub.add_argument("--shapes", metavar="DECL", help='what the names are: "X[N,n] w[n] b y[N]:sign"')
        sub.add_argument(
            "--functions", metavar="DECL", help='functions left unknown: "f: scalar, g: elementwise, h: n->m"'
        )
        sub.add_argument(
            "--dialect", metavar="|".join(DIALECTS), default="numpy", help="how formulas are written"
        )
        sub.add_argument("--profile", metavar="NAME", help="a reading of ⊗ and other signs: notes")

    def deriving(sub: Parser) -> None:
        formula(sub, "formula", "the formula; @FILE reads it from a file, - from standard input")
        sub.add_argument(
            "--wrt", metavar="VARS", help='by which variable: "w", several "w,b", scalars together "[x, y]"'
        )
        reading(sub)
        sub.add_argument("--order", metavar="K", default="1", help="1 to 8; 2 is the Hessian")
        sub.add_argument(
            "--layout", metavar="|".join(LAYOUTS), default="numerator", help="how gradients are laid out"
        )
        sub.add_argument(
            "--at-kink",
            metavar="0|1|0.5",
            default="0",
            help="relu′(0), and the weight in a tie with a constant",
        )
        sub.add_argument(
            "--notation",
            metavar="|".join(NOTATIONS),
            default="matrix",
            help="vectorised, per instance, by entries, on stacked columns, or as the map dX ↦ A dX B",
        )
        sub.add_argument(
            "--upstream", metavar="NAME", help="given ∂L/∂Y under this name, Y being the formula: ∂L/∂X"
        )
        sub.add_argument(
            "--times", metavar="NAMES", help="the last order along directions, one for each variable: Jv, Hv"
        )
        sub.add_argument(
            "--structured", action="store_true", help="a symmetric, orthogonal, ... variable moves as such"
        )
        sub.add_argument(
            "--where", metavar="NAMES", help='names for parts of the answer: "e = X @ w + b - y"'
        )

    sub = command("derive", derive, "the derivative of a formula in closed form, checked", DERIVE)
    deriving(sub)
    sub.add_argument("--format", metavar="|".join(FORMATS), default="text", help="what is printed")
    sub.add_argument("--code", metavar="|".join(CODES), help="print a Python function, checked, and no more")
    sub.add_argument("--sizes", metavar="SIZES", help='with --code: sizes to make it for, "N=1000, n=20"')
    sub.add_argument("--at", metavar="POINT", help='evaluate there: "x=1,y=[2,3]" or a file.npz')
    sub.add_argument("--gauss-newton", action="store_true", help="JᵀHJ of a loss ℓ(f(θ)), f a named part")
    sub.add_argument("--fisher", action="store_true", help="the same with the information of its likelihood")
    sub.add_argument("--augmented", action="store_true", help="Xw + b as X̂ŵ with ŵ = [w; b], proved equal")
    sub.add_argument("--inner", metavar="NAME", help="which part is f, where several could be")
    sub.add_argument(
        "--stationary", action="store_true", help="where it vanishes, if that is a linear system"
    )
    sub.add_argument("--convex", action="store_true", help="whether the Hessian is positive semidefinite")
    sub.add_argument("--taylor", metavar="K", help="the expansion of f(x + d) to order K, 1 to 4")
    sub.add_argument("--why-shape", action="store_true", help="why the result has its shape")

    sub = command("explain", explain, "how the derivative is found: every step named and checked", EXPLAIN)
    deriving(sub)
    sub.add_argument("--style", metavar="|".join(STYLES), help="how it is told; chosen from the problem")
    sub.add_argument(
        "--open",
        metavar="STEPS",
        default="",
        help='steps shown entry by entry too: "a,z", all; paths: a product of Jacobians as a sum',
    )
    sub.add_argument("--at", metavar="POINT", help='what it predicts there: "x=1,y=[2,3]" or a file.npz')
    sub.add_argument("--units", metavar="UNITS", help='units of every factor: "y=mile, u=gallon, x=tank"')
    sub.add_argument("--format", metavar="|".join(PAGES), default="text", help="what is printed")

    sub = command("fit", fit, "fit a loss to data by the derivatives that are derived for it", fitting.EPILOG)
    fitting.add_options(sub, CODES)

    sub = command("draw", draw, "a picture: the dataflow graph, or the boxes of the chain rule", DRAW)
    deriving(sub)
    sub.add_argument(
        "--format", metavar="|".join(DRAWINGS), default="svg", help="what is drawn, as SVG or words"
    )
    sub.add_argument("--output", metavar="FILE", help="write the picture there")
    sub.add_argument("--theme", metavar="auto|light|dark", default="auto", help="the colours")
    sub.add_argument("--direction", metavar="auto|right|down", default="auto", help="where data flow")

    sub = command("check", check, "whether a person's answer is right, and if not, why", CHECK)
    formula(sub, "formula", "the formula, or a derivation; @FILE reads it from a file, - from standard input")
    sub.add_argument(
        "--wrt", metavar="VARS", help='by which variable: "w", several "w,b", scalars together "[x, y]"'
    )
    sub.add_argument(
        "--claim",
        metavar="ANSWER",
        action="append",
        help='the answer: a formula, or numbers with --at; for several variables "w: ..." and "b: ..."',
    )
    sub.add_argument("--at", metavar="POINT", help='the point of the numbers: "x=1,y=[2,3]" or a file.npz')
    reading(sub)
    sub.add_argument("--order", metavar="K", default="1", help="1 to 8; 2 is the Hessian")
    sub.add_argument("--format", metavar="text|json", default="text", help="what is printed")

    sub = command(
        "equal", equal, "whether two formulas are the same", "exit status 0: the same, 1: different"
    )
    formula(sub, "left", "one formula")
    formula(sub, "right", "the other")
    reading(sub)

    sub = command("simplify", simplify, "a formula at its simplest")
    formula(sub, "formula", "the formula; @FILE reads it from a file, - from standard input")
    reading(sub)
    sub.add_argument("--format", metavar="text|latex|numpy", default="text", help="what is printed")

    sub = command("rules", rules, "the rules, each with an example that is derived now", RULES)
    sub.add_argument("name", metavar="NAME", nargs="?", help="a rule, a function, a section, or a word")
    sub.add_argument(
        "--layout", metavar="|".join(LAYOUTS), default="numerator", help="how gradients are laid out"
    )
    sub.add_argument("--profile", metavar="NAME", help="the signs of an author: notes")
    sub.add_argument("--format", metavar="|".join(TABLES), default="text", help="what is printed")
    return parser


def derive(options: argparse.Namespace) -> int:
    """`chainrule derive`: print a derivative that passed its check, and what else was asked of it."""
    from chainrule.api.questions import ask

    choose(options.format, FORMATS, "--format")
    if options.code is not None:
        choose(options.code, CODES, "--code")
    elif options.sizes is not None:
        raise OptionError(
            "--sizes is for the code that --code prints",
            hint="add --code numpy, or leave it out",
        )
    result = _derived(options)
    if options.code is not None:
        write(result.source(options.code, sizes=options.sizes).rstrip(), sys.stdout)
        say(result.formula.assumptions)
        return 0
    answers = ask(
        result,
        stationary=options.stationary,
        convex=options.convex,
        taylor=options.taylor,
        why_shape=options.why_shape,
        gauss_newton=options.gauss_newton,
        fisher=options.fisher,
        inner=options.inner,
        augmented=options.augmented,
        at=options.at,
    )
    write(_formatted(result, options.format, options.at, answers), sys.stdout)
    if options.format in ("latex", "numpy"):
        say(result.formula.assumptions)
    return 0


def explain(options: argparse.Namespace) -> int:
    """`chainrule explain`: print a derivation; status 1 if one of its steps fails its check."""
    choose(options.format, PAGES, "--format")
    if options.style is not None:
        choose(options.style, STYLES, "--style")
    page = _derived(options).explain(
        options.style, open=options.open, at=options.at, units=options.units or ""
    )
    shown = {
        "text": lambda: page.to_text(
            width=columns(sys.stdout), spell=lambda text: as_shown(text, sys.stdout)
        ),
        "markdown": page.to_markdown,
        "latex": page.to_latex,
        "html": lambda: in_html(page.to_html(), sys.stdout),
        "json": page.to_json,
    }
    write(shown[options.format](), sys.stdout)
    return 1 if page.checked.failed else 0


def fit(options: argparse.Namespace) -> int:
    """`chainrule fit`: fit a loss to data and report."""
    choose(options.dialect, DIALECTS, "--dialect")
    choose(options.backend, CODES, "--backend")
    return fitting.fit(options, read_formula(options.formula))


def draw(options: argparse.Namespace) -> int:
    """`chainrule draw`: write a picture of a derivative that passed its check."""
    from chainrule.api.pictures import picture
    from chainrule.draw.svg import save

    form = choose(options.format, DRAWINGS, "--format")
    kind = form if form in DRAWINGS[2:-1] else "graph"
    theme = choose(options.theme, ("auto", "light", "dark"), "--theme")
    direction = choose(options.direction, ("auto", "right", "down"), "--direction")
    derived = _derived(options)
    drawn = picture(derived, kind, theme=theme, direction=direction)
    say(derived.formula.assumptions)
    content = {"dot": drawn.dot, "text": drawn.alt + "\n"}.get(form, drawn.svg)
    if options.output is None:
        write(content.removesuffix("\n"), sys.stdout)
        return 0
    save(content, options.output)
    write(f"{options.output}: {drawn.alt.splitlines()[0]}", sys.stdout)
    return 0


def _derived(options: argparse.Namespace) -> Derivative | Derivatives:
    return chainrule.derive(
        read_formula(options.formula),
        wrt=options.wrt,
        shapes=options.shapes,
        order=_order(options.order),
        layout=choose(options.layout, LAYOUTS, "--layout"),
        dialect=choose(options.dialect, DIALECTS, "--dialect"),
        profile=options.profile,
        at_kink=options.at_kink,
        functions=options.functions,
        notation=choose(options.notation, NOTATIONS, "--notation"),
        where=options.where,
        structured=options.structured,
        upstream=options.upstream,
        times=options.times,
    )


def say(assumptions: Sequence[str]) -> None:
    """How what was not declared was read, beside output that other programs read."""
    for sentence in assumptions:
        write(f"note: {sentence}", sys.stderr)


def _formatted(
    result: Derivative | Derivatives, form: str, at: str | None, answers: Mapping[str, Said]
) -> str:
    point = None if at is None else result.at(at)
    if form == "json":
        return result.to_json(point, answers)
    if form == "markdown":
        return result.to_markdown(point, answers)
    if form == "text":
        return result.to_text(point, answers)
    from chainrule.api.questions import as_comments

    assert result.report, "the check runs before anything is printed"
    shown, mark = (result.latex, "%") if form == "latex" else (result.numpy_source, "#")
    values = [] if point is None else "\n".join(result.sheet.point_lines(point)).splitlines()
    return "\n".join([shown, *(f"{mark} {line}" for line in values)]) + as_comments(answers, mark)


def check(options: argparse.Namespace) -> int:
    """`chainrule check`: print the verdict on a claim."""
    form = choose(options.format, ("text", "json"), "--format")
    if options.claim is None:
        return check_lines(options, form)
    claims = [read_formula(claim) for claim in options.claim]
    result = chainrule.check(
        read_formula(options.formula),
        wrt=options.wrt,
        claim=claims[0] if len(claims) == 1 else claims,
        at=options.at,
        shapes=options.shapes,
        order=_order(options.order),
        dialect=choose(options.dialect, DIALECTS, "--dialect"),
        profile=options.profile,
        functions=options.functions,
    )
    write(result.to_json() if form == "json" else str(result), sys.stdout)
    say(result.notes)
    return 0 if result else 1


def check_lines(options: argparse.Namespace, form: str) -> int:
    """`chainrule check FILE`: print what becomes of each line of a derivation."""
    for name, unused in (("--at", None), ("--order", "1")):
        if getattr(options, name[2:]) != unused:
            raise OptionError(f"{name} says nothing about a derivation", hint="take it away, or add --claim")
    graded = chainrule.check_derivation(
        read_derivation(options.formula),
        shapes=options.shapes,
        wrt=options.wrt,
        dialect=None if options.dialect == "numpy" else choose(options.dialect, DIALECTS, "--dialect"),
        profile=options.profile,
        functions=options.functions,
    )
    write(graded.to_json() if form == "json" else str(graded), sys.stdout)
    unread = any(line.status == "unread" for line in graded.lines)
    return 0 if graded else 2 if unread and graded.verdict != "wrong" else 1


def equal(options: argparse.Namespace) -> int:
    """`chainrule equal`: say whether two formulas are the same."""
    verdict = chainrule.equal(
        read_formula(options.left),
        read_formula(options.right),
        shapes=options.shapes,
        dialect=choose(options.dialect, DIALECTS, "--dialect"),
        profile=options.profile,
        functions=options.functions,
    )
    write("\n".join([str(verdict), *(f"    {sentence}" for sentence in verdict.assumptions)]), sys.stdout)
    return 0 if verdict else 1


def simplify(options: argparse.Namespace) -> int:
    """`chainrule simplify`: print a formula at its simplest."""
    form = choose(options.format, ("text", "latex", "numpy"), "--format")
    result = chainrule.simplify(
        read_formula(options.formula),
        shapes=options.shapes,
        dialect=choose(options.dialect, DIALECTS, "--dialect"),
        profile=options.profile,
        functions=options.functions,
    )
    write({"text": str(result), "latex": result.latex, "numpy": result.numpy_source}[form], sys.stdout)
    say(result.assumptions)
    return 0


def rules(options: argparse.Namespace) -> int:
    """`chainrule rules`: print the catalogue of rules, or what it has on one of them."""
    form = choose(options.format, TABLES, "--format")
    found = chainrule.rules(
        options.name, layout=choose(options.layout, LAYOUTS, "--layout"), profile=options.profile
    )
    printers = {
        "text": lambda: found.to_text(
            width=columns(sys.stdout, WIDE_TABLE), spell=lambda text: as_shown(text, sys.stdout)
        ),
        "markdown": found.to_markdown,
        "latex": found.to_latex,
        "json": found.to_json,
    }
    write(printers[form](), sys.stdout)
    return 0


def choose(value: str, allowed: Sequence[str], option: str) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise OptionError(
            f"{option} is {' | '.join(allowed)}, not {value!r}",
            hint=_nearest(value, allowed) or f"write {option} {allowed[0]}",
            source=f"{option} {value}",
            spans=(Span(len(option) + 1, len(option) + 1 + len(value)),),
        )
    return value


def _order(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise OptionError(
            f"the order is a whole number from 1 to 8, not {text!r}",
            hint="1 is the first derivative, 2 the Hessian",
            source=f"--order {text}",
            spans=(Span(8, 8 + len(text)),),
        ) from None


def read_formula(argument: str, what: str = "formula") -> str:
    """The formula that the argument gives: itself, or the text of @FILE, FILE.txt, or standard input."""
    if argument == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise OptionError(f"- reads the {what} from standard input, and nothing is piped into it")
        return _decoded(sys.stdin.buffer.read(LONGEST_INPUT), "standard input")
    if argument.startswith("@") or argument.endswith(".txt"):
        name = argument.removeprefix("@")
        try:
            with open(name, "rb") as file:
                return _decoded(file.read(LONGEST_INPUT), name)
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            hint = "@ before a name, or .txt behind it, says that it is a file"
            raise OptionError(f"the {what} cannot be read from {name!r}: {reason}", hint=hint) from None
    return argument


def read_derivation(argument: str) -> str:
    """The derivation that the argument gives: the text of a file or of standard input, or itself."""
    if argument == "-" or argument.startswith("@") or argument.endswith(".txt"):
        return read_formula(argument, "derivation")
    if "=" in argument or "\n" in argument:
        return argument
    if os.path.isfile(argument):
        return read_formula(f"@{argument}", "derivation")
    raise OptionError(
        "there is no claim to check, and no file of this name",
        hint='add --claim "2*A@x", or name a file with a derivation',
        source=argument,
        spans=(Span(0, len(argument)),),
    )


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise OptionError(
            f"{name} is not UTF-8 text: byte {content[problem.start]:#04x} at position {problem.start}",
            hint="save the formula as UTF-8",
        ) from None


def positional(argument: str) -> str:
    """A formula such as -x**2 with a blank in front, so that it is not taken for an option."""
    return f" {argument}" if re.match(r"-[^-]", argument) and argument != "-h" else argument


def run(arguments: Sequence[str]) -> int:
    """Parse the arguments and run the command; the exit status."""
    parser = build_parser()
    options = parser.parse_args([positional(a) for a in arguments])
    if options.command is None:
        parser.print_help()
        return 0
    try:
        status: int = options.run(options)
    except ChainruleError as problem:
        problem.hint = in_shell(problem.hint, options.grammar)
        raise
    return status


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process with its status."""
    prepare_streams()
    with heard() as ear:
        status = _status(sys.argv[1:] if arguments is None else arguments, ear)
    sys.exit(status)


def _status(arguments: Sequence[str], ear: Heard) -> int:
    """The exit status of the command, whatever comes out of it."""
    try:
        status = run(arguments)
        sys.stdout.flush()
    except CheckFailed as failure:
        write(f"no answer: {failure}", sys.stdout)
        status = 1
    except ChainruleError as problem:
        write(f"error: {problem}", sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The reader is gone: keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except (RecursionError, MemoryError):
        write("error: this formula is too large for the memory at hand", sys.stderr)
        status = 2
    except Exception as fault:
        if ear.count:
            return 130  # a library that was interrupted while it was loaded
        # Whatever goes wrong inside is a fault of this program; a person is told so, and how to see where.
        if os.environ.get("CHAINRULE_TRACEBACK"):
            raise
        write(
            f"error: chainrule itself failed on this input ({type(fault).__name__}: {fault})\n"
            "  please report the formula; with CHAINRULE_TRACEBACK=1 in the environment the place is shown",
            sys.stderr,
        )
        status = 70
    return status
