"""Source for Numba: NumPy source in which loops that read arrays once are functions compiled by Numba."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.codegen.fusion import Loop, fused, is_row_product, shown
from chainrule.codegen.helpers import BEHIND
from chainrule.codegen.numpy import NumPy, mentions
from chainrule.codegen.passes import for_blas
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Op
from chainrule.codegen.vocabulary import Text
from chainrule.rules.table import Elementwise, Row

OPTIONS = 'error_model="numpy", fastmath={"reassoc", "contract"}'
SHORT = 60
INDICES = "ijl"
# NumPy computes these of many entries at once, several times faster than one after the other.
MANY = frozenset(
    {
        *("exp", "log", "log1p", "expm1", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan"),
        "normpdf",
    }
)
SCALARS: Mapping[str, tuple[str, ...]] = {
    "sigmoid": (
        '''@njit
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-abs(x))
    return (1 if x >= 0 else e) / (1 + e)
''',
    ),
    "softplus": (
        '''@njit
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return max(x, 0) + np.log1p(np.exp(-abs(x)))
''',
    ),
}


def scalar_code(row: Row) -> str:
    """The template of a row for one entry in a compiled loop; empty if there is none."""
    if row.numba:
        return row.numba
    plain = row.code.startswith("np.") and "axis" not in row.code
    return row.code if plain or row.name == "power" else ""


class Numba(NumPy):
    """NumPy source with compiled loops."""

    parallel = False

    def __init__(self, names: Mapping[str, str], dims: Mapping[str, str]) -> None:
        super().__init__(names, dims)
        self.behind = {**BEHIND, **SCALARS}
        self.inside = False

    @classmethod
    def prepared(
        cls, program: Program, structures: Mapping[str, Sequence[str]], sizes: Mapping[str, int]
    ) -> Program:
        integers = {name for name, s in structures.items() if any(t.startswith("integer") for t in s)}
        program = fused(program, _is_scalar, _is_cheap, frozenset(integers))
        return for_blas(program, structures, sizes, cls.block)

    def imports(self, written: str) -> list[str]:
        lines = super().imports(written)
        if "@njit" in written:
            names = [n for n in ("get_num_threads", "njit", "prange") if n in written]
            lines.append(f"from numba import {', '.join(names)}")
        return ["import math", *lines] if mentions(written, "math") else lines

    def code(self, row: Row) -> str:
        return scalar_code(row) if self.inside else row.code

    def _item(self, op: Op, a: Text) -> Text:
        return Text(f"{a.text}[{op.data[0]}]")

    def _fused(self, op: Op, *args: Text) -> Text:
        loop: Loop = op.data[0]
        name = f"loop{1 + sum(key.startswith('loop') for key in self.helpers)}"
        self.inside = True
        kernel = _Kernel(self, loop, name, [a.text for a in args])
        text = kernel.text()
        self.inside = False
        self.behind = {**self.behind, name: (text,)}
        self.helpers[name] = None
        given = [
            a.text if read.rank else f"float({a.text})" for a, read in zip(args, loop.reads, strict=True)
        ]
        return Text(f"{name}({', '.join(given)})")


class ParallelNumba(Numba):
    """The same with loops that run on several cores."""

    parallel = True


def fusable(row: Elementwise) -> bool:
    """Whether a compiled loop can call a function for one entry."""
    return row.indicator or bool(scalar_code(row))


def _is_scalar(op: Op) -> bool:
    return isinstance(op.data[0], Elementwise) and fusable(op.data[0])


def _is_cheap(op: Op) -> bool:
    return _is_scalar(op) and op.data[0].name not in MANY


def _makes_floats(op: Op) -> bool:
    """Whether NumPy makes floats of whole numbers by it."""
    return op.kind in ("div", "sqrt") or (op.kind == "call" and op.data[0].name in MANY)


class _Kernel:
    """One compiled function: a loop over the axes, a statement for each member, sums on the way."""

    def __init__(self, printer: Numba, loop: Loop, name: str, given: Sequence[str]) -> None:
        self.printer, self.loop, self.name = printer, loop, name
        self.taken = {"np", "math", "njit", "prange", "range", "max", "float", name, *printer.behind}
        self.params = [
            self.fresh(text if text.isidentifier() else f"a{k + 1}") for k, text in enumerate(given)
        ]
        self.index = [self.fresh(letter) for letter in INDICES[: len(loop.dims)]]
        self.inner, self.chunk, self.chunks = self.fresh("k"), self.fresh("p"), self.fresh("parts")
        self.read = dict(zip(loop.reads, self.params, strict=True))
        self.uses: dict[Op, int] = {}
        for op in dict.fromkeys((*loop.members, *loop.results)):
            for a in op.args:
                self.uses[a] = self.uses.get(a, 0) + 1

    def fresh(self, wish: str) -> str:
        """A name that is not taken."""
        name, k = wish, 1
        while name in self.taken:
            k += 1
            name = f"{wish}{k}"
        self.taken.add(name)
        return name

    def count(self) -> int:
        """How many names of statements there are."""
        return sum(name[0] == "t" and name[1:].isdigit() for name in self.taken)

    def entry(self, op: Op, texts: Mapping[Op, Text]) -> Text:
        """The text of one entry of an operand."""
        if op in texts:
            return texts[op]
        if op not in self.read:
            return self.printer.write(op, [])
        name = self.read[op]
        if not op.rank:
            return Text(name)
        dims = self.loop.dims
        behind = zip(op.shape, dims[len(dims) - op.rank :], self.index[len(dims) - op.rank :], strict=True)
        places = ["0" if d.constant == 1 and dim.constant != 1 else i for d, dim, i in behind]
        return Text(f"{name}[{', '.join(places)}]")

    def text(self) -> str:
        loop = self.loop
        texts: dict[Op, Text] = {}
        body: list[str] = []
        sums = [op for op in loop.results if op not in loop.members]
        for op in loop.members:
            if is_row_product(op):
                total = self.fresh(f"t{1 + self.count()}")
                X, w = (self.read[a] for a in op.args)
                i, k = self.index[0], self.inner
                body += [
                    f"{total} = 0.0",
                    f"for {k} in range({X}.shape[1]):",
                    f"    {total} += {X}[{i}, {k}] * {w}[{k}]",
                ]
                texts[op] = Text(total)
                continue
            made = self.printer.write(op, [self.entry(a, texts) for a in op.args])
            once = self.uses.get(op, 0) + (op in loop.results) <= 1
            if once and len(made.text) <= SHORT and op not in loop.results:
                texts[op] = made
                continue
            name = self.fresh(f"t{1 + self.count()}")
            body.append(f"{name} = {made.text}")
            texts[op] = Text(name)
        first: list[str] = []
        names: dict[Op, str] = {}
        sizes = []
        for axis in range(len(loop.dims)):
            place = shown(loop.reads, loop.dims, axis)
            assert place is not None
            sizes.append(f"{self.params[place[0]]}.shape[{place[1]}]")
        kind = self._kind()
        begun: list[str] = []
        ended: list[str] = []
        returned: list[str] = []
        for op in loop.results:
            names[op] = name = self.fresh(f"r{len(names) + 1}")
            returned.append(name)
            if op in sums and self.printer.parallel:
                # Each part has a sum of its own, and these are added up in the end.
                start, own = self._start(op, sizes), self.fresh(f"s{len(names)}")
                inner = start.removeprefix("np.zeros(").removesuffix(")") if op.rank else ""
                shape = (
                    f"({self.chunks}, {inner.removeprefix('(').removesuffix(',)')})" if inner else self.chunks
                )
                first.append(f"{name} = np.zeros({shape})")
                begun.append(f"{own} = {start}")
                body += self._added(op, own, texts)
                ended.append(f"{name}[{self.chunk}] = {own}")
                returned[-1] = f"{name}.sum(axis=0)" if op.rank else f"{name}.sum()"
            elif op in sums:
                first.append(f"{name} = {self._start(op, sizes)}")
                body += self._added(op, name, texts)
            else:
                own = "np.bool_" if op.boolean else kind
                first.append(f"{name} = np.empty(({', '.join(sizes)},), {own})")
                body.append(f"{name}[{', '.join(self.index)}] = {texts[op].text}")
        ranges = [f"range({size})" for size in sizes]
        if begun:
            n, p, parts = sizes[0], self.chunk, self.chunks
            first.insert(0, f"{parts} = get_num_threads()")
            ranges[0] = f"range({p} * {n} // {parts}, ({p} + 1) * {n} // {parts})"
        elif self.printer.parallel:
            ranges[0] = f"prange({sizes[0]})"
        looped = [
            "    " * depth + f"for {i} in {over}:"
            for depth, (i, over) in enumerate(zip(self.index, ranges, strict=True))
        ]
        looped += ["    " * len(sizes) + line for line in body]
        if begun:
            inside = ["    " + line for line in (*begun, *looped, *ended)]
            looped = [f"for {self.chunk} in prange({self.chunks}):", *inside]
        lines = [*first, *looped, f"return {', '.join(returned)}"]
        options = f"{OPTIONS}, parallel=True" if self.printer.parallel else OPTIONS
        head = f"@njit({options})\ndef {self.name}({', '.join(self.params)}):\n"
        arrays = [(p, op.shape) for p, op in zip(self.params, loop.reads, strict=True) if op.rank]
        shapes = ", ".join(f"{p}[{', '.join(map(str, shape))}]" for p, shape in arrays)
        return (
            f'{head}    """One pass over {shapes}."""\n' + "\n".join("    " + line for line in lines) + "\n"
        )

    def _kind(self) -> str:
        """The precision of the arrays that are made: of an array of floats, or of a root of what is given.

        Whole numbers that are handed to a pasted source would make an array that keeps whole numbers only.
        """
        arrays = {op: name for op, name in self.read.items() if op.rank and not op.boolean}
        floats = [name for op, name in arrays.items() if _makes_floats(op)]
        return f"{floats[0]}.dtype" if floats else f"np.sqrt({next(iter(arrays.values()))}[:0]).dtype"

    def _start(self, op: Op, sizes: Sequence[str]) -> str:
        """Where a sum begins, in double precision whatever is added up."""
        if not op.rank:
            return "0.0"
        if op.kind == "matmul":
            return f"np.zeros({self.read[op.args[1]]}.shape[1])"
        kept = [size for axis, size in enumerate(sizes) if axis not in op.data[0]]
        return f"np.zeros(({', '.join(kept)},))"

    def _added(self, op: Op, name: str, texts: Mapping[Op, Text]) -> list[str]:
        if op.kind == "sum":
            kept = [i for axis, i in enumerate(self.index) if axis not in op.data[0]]
            place = f"[{', '.join(kept)}]" if kept else ""
            return [f"{name}{place} += {self.entry(op.args[0], texts).text}"]
        a, b = op.args
        if b.rank == 1:
            factors = [self.entry(a, texts), self.entry(b, texts)]
            return [f"{name} += {self.printer.write(Op('mul', (a, b), (), a.shape), factors).text}"]
        k, i, X = self.inner, self.index[0], self.read[b]
        weight = self.entry(a, texts)
        lines = []
        if not weight.text.isidentifier():
            factor = self.fresh("c")
            lines.append(f"{factor} = {weight.text}")
            weight = Text(factor)
        lines.append(f"for {k} in range({X}.shape[1]):")
        return [*lines, f"    {name}[{k}] += {weight.text} * {X}[{i}, {k}]"]
