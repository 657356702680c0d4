#!/usr/bin/env python3
"""Set up and run the project with nothing but Python: `python3 dev.py demo`, `test`, `bench` or another.

Each makes `.venv` beside this file if it is not there yet, installs what pyproject.toml asks for, and runs.
Every command is printed before it runs, so each can be run by hand too. Nothing is installed outside `.venv`,
so this also works where Python is externally managed (PEP 668). Old Pythons can read this file too, and are
told what they lack.
"""

import hashlib
import os
import subprocess
import sys

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(".venv", "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(SCRIPTS, "python.exe" if os.name == "nt" else "python")
CHAINRULE = os.path.join(SCRIPTS, "chainrule.exe" if os.name == "nt" else "chainrule")
TORCH = os.path.join("tests", "requirements-torch.txt")
STAMP = os.path.join(".venv", "installed-from.txt")

DEMO = (
    ("derive", "mean((y - relu(X @ w + b))**2)", "--shapes", "X[N,n] w[n] b y[N]", "--wrt", "w"),
    ("derive", "norm(A @ x - b)**2", "--shapes", "A[m,n] x[n] b[m]", "--wrt", "x", "--order", "2"),
    ("derive", "logdet(X.T @ X)", "--shapes", "X[N,n]", "--wrt", "X", "--layout", "shape"),
    ("equal", "tr(A @ B)", "tr(B @ A)", "--shapes", "A[m,n] B[n,m]"),
)


# What is handed to pytest. Tracing which lines run makes the tests take three times as long.
TESTS = {
    "test": ("-q", "-n", "auto", "--dist", "worksteal"),
    "slow": ("-q", "-n", "auto", "--dist", "worksteal", "-m", "slow"),
    "coverage": ("-q", "-n", "auto", "--dist", "worksteal", "--cov", "--cov-report=term"),
}
BENCH_OPTIONS = ("--quick", "--document")
FIT_OPTIONS = ("--quick",)


def main(arguments: "list[str]") -> None:
    """Run the command named by the first argument; `test` hands the others to pytest."""
    command, rest = (arguments[0] if arguments else ""), arguments[1:]
    options = {"bench": BENCH_OPTIONS, "bench-fit": FIT_OPTIONS}.get(command)
    known = command == "test" or (options is not None and not set(rest) - set(options))
    if not known and (rest or command not in ("demo", *TESTS)):
        bench = "bench [--quick] [--document] | bench-fit [--quick]"
        fail(f"usage: python3 dev.py demo | test [pytest arguments] | slow | coverage | {bench}")
    os.chdir(ROOT)
    install("" if command == "demo" else "dev")
    if command == "demo":
        for example in DEMO:
            run([CHAINRULE, *example])
            print()
        print(f"Try your own: {CHAINRULE} derive --help")
    elif command == "bench":
        quick = ["--quick"] * ("--quick" in rest)
        for script in () if quick else ("derive.py", "explain.py"):
            run([PYTHON, os.path.join("benchmarks", script)])
        run([PYTHON, "-m", "benchmarks.nineteen", *quick])
        run([PYTHON, "-m", "benchmarks.speed", *quick])
        if "--document" in rest:
            run([PYTHON, "-m", "benchmarks.document"])
    elif command == "bench-fit":
        run([PYTHON, "-m", "benchmarks.fit", *rest])
    else:
        run([PYTHON, "-m", "pytest", *(rest or TESTS[command])])


def install(extra: str) -> None:
    """Make `.venv` hold the project, editable, and its dependencies; do nothing if it already does."""
    with open("pyproject.toml", "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    installed = ""
    if not venv_works():
        make_venv()
    elif os.path.exists(STAMP):
        with open(STAMP, encoding="utf-8") as stamp:
            installed = stamp.read()
    if installed not in (f"{wanted} {extra}", f"{wanted} dev"):
        run([PYTHON, "-m", "pip", "install", "--quiet", "--editable", f".[{extra}]" if extra else "."])
        with open(STAMP, "w", encoding="utf-8") as stamp:
            stamp.write(f"{wanted} {extra}")
    if extra == "dev" and not has_torch():
        add_torch()


def has_torch() -> bool:
    """Whether `.venv` has the PyTorch that the tests are written for, whatever it computes on."""
    with open(TORCH, encoding="utf-8") as file:
        wanted = file.read().split("torch==")[1].split()[0]
    probe = f"import sys, importlib.metadata as m; sys.exit(m.version('torch').split('+')[0] != {wanted!r})"
    return subprocess.call([PYTHON, "-c", probe], stderr=subprocess.DEVNULL) == 0


def add_torch() -> None:
    """Install PyTorch, which some tests need; without it they are skipped, except in CI."""
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--requirement", TORCH]
    if os.environ.get("CI") == "true":
        run(command)
        return
    print("$ " + " ".join(quoted(part) for part in command), flush=True)
    if subprocess.call(command):
        print("PyTorch is not installed: the tests that need it are skipped.")


def venv_works() -> bool:
    """Whether `.venv` has a Python that is new enough, with pip."""
    if not os.path.exists(PYTHON):
        return False
    probe = f"import sys, pip; sys.exit(sys.version_info < {NEEDED})"
    return subprocess.call([PYTHON, "-c", probe], stderr=subprocess.DEVNULL) == 0


def make_venv() -> None:
    """Make `.venv` anew, or say what is missing for that."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.version_info < NEEDED:
        fail(
            f"chainrule needs Python {NEEDED[0]}.{NEEDED[1]} or newer, and {sys.executable} is {version}.\n"
            f"  Run this file with a newer one: python3.12 dev.py {sys.argv[1]}"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as problem:
        fail(
            f"Python {version} has no {problem.name} here, which is needed to make .venv. Install it, and run"
            " the command again:\n"
            f"  Debian, Ubuntu   sudo apt install python3-venv     (or python{version}-venv)\n"
            "  Fedora           sudo dnf install python3-pip\n"
            f"  elsewhere        the package with venv and ensurepip for Python {version}"
        )
    run([sys.executable, "-m", "venv", "--clear", ".venv"])


def run(command: "list[str]") -> None:
    """Print the command and run it; stop if it fails."""
    print("$ " + " ".join(quoted(part) for part in command), flush=True)
    status = subprocess.call(command)
    if status:
        fail(f"the command above ended with status {status}", 1)


def quoted(part: str) -> str:
    """The argument as one would type it in a shell."""
    return f'"{part}"' if not part or set(part) & set(" *()[]@;") else part


def fail(message: str, status: int = 2) -> None:
    """Stop with a message for the person at the terminal."""
    sys.stderr.write(f"dev.py: {message}\n")
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
