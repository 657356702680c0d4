"""Signs are taken out of products and put where they cost nothing: into b - a in the place of a - b.

In: a program, after lowering. Out: the same with as few changes of sign as possible. Every operation through
which a sign passes (products, transposes, sums of entries) gives it on to those that read it; each difference
may be taken the other way round, which changes the sign of all that is made of it. Which of them are is a
system of linear equations modulo 2, one for each place where a sign would be left over: t² - 1 becomes 1 - t²
where the gradients of a network carry minus signs in turn. A sign that stays stands at the smallest array.

Rounding is symmetric, so that no value changes; only a zero may have the other sign.
"""

from __future__ import annotations

from math import prod

from chainrule.codegen.order import assumed_size
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import again, live, uses

PRODUCTS = frozenset({"mul", "matmul", "outer", "einsum", "tensordot", "kron"})
CARRYING = frozenset({"permute", "expand", "sum", "slice", "reshape", "fill", "scatter", "trace", "taken"})
DEEP = 8  # operations down to which a place for a sign is looked for


def with_few_signs(program: Program) -> Program:
    """The program with its differences taken the way round that leaves the fewest signs."""
    ops = live(program)
    signs = _Signs(ops, program)
    if not signs.wrong:
        return program
    return _Rewritten(program, ops, signs.flipped()).run()


class _Signs:
    """The sign of each operation as bits: bit 0 is a minus, bit k is set where difference k decides."""

    def __init__(self, ops: list[Op], program: Program) -> None:
        self.bits: dict[Op, int] = {}
        self.differences: list[Op] = []
        self.ends: dict[int, float] = {}  # signs that should be +, and what it costs if they are not
        for op in ops:
            sign = self._of(op)
            if op in program.names:
                self._ends(op, sign)
                sign = 0
            self.bits[op] = sign
        for op in program.outputs.values():
            self._ends(op, self.bits[op])

    @property
    def wrong(self) -> bool:
        """Whether a minus is left over as the program stands."""
        return any(sign & 1 for sign in self.ends)

    def _ends(self, op: Op, sign: int) -> None:
        self.ends[sign] = self.ends.get(sign, 0) + entries(op)

    def _of(self, op: Op) -> int:
        bits, args = self.bits, op.args
        signs = [bits[a] for a in args]
        match _passes(op):
            case "all":
                sign = 0
                for s in signs:
                    sign ^= s
                return sign
            case "neg":
                return signs[0] ^ 1
            case "first":
                for a, s in zip(args[1:], signs[1:], strict=True):
                    self._ends(a, s)
                return signs[0]
            case "sum":
                minus = op.kind == "sub"
                if signs[0] ^ signs[1] ^ minus == 1:
                    self.differences.append(op)
                    return signs[0] ^ (1 << len(self.differences))
                return signs[0]
            case "added":
                self._ends(args[1], signs[0] ^ signs[1] ^ (op.data[3] < 0))
                return signs[0]
            case "even":
                return 0
            case _:
                for a, s in zip(args, signs, strict=True):
                    self._ends(a, s)
                return 0

    def flipped(self) -> set[Op]:
        """The differences to take the other way round: what costs most is made right first."""
        rows: dict[int, int] = {}  # by leading bit
        for sign in sorted(self.ends, key=lambda s: (-self.ends[s], s)):
            row = sign
            while row > 1 and row.bit_length() in rows:
                row ^= rows[row.bit_length()]
            if row > 1:
                rows[row.bit_length()] = row
        chosen = 0
        for length in sorted(rows):
            row = rows[length]
            if ((row & chosen).bit_count() + row) & 1:
                chosen |= 1 << (length - 1)
        return {op for k, op in enumerate(self.differences, 1) if chosen >> k & 1}


def _passes(op: Op) -> str:
    """How signs of the arguments pass through an operation."""
    if op.kind in PRODUCTS:
        return "all"
    if op.kind == "neg":
        return "neg"
    if op.kind in CARRYING or op.kind == "div":
        return "first"
    if op.kind in ("add", "sub"):
        return "sum"
    if op.kind == "add_at":
        return "added"
    if op.kind == "pow" and op.args[1].data[0].denominator == 1:
        return "even" if op.args[1].data[0] % 2 == 0 else "first"
    return ""


class _Rewritten:
    """Builds the program anew: each operation without its sign, and the sign beside it."""

    def __init__(self, program: Program, ops: list[Op], flipped: set[Op]) -> None:
        self.program, self.ops, self.flipped = program, ops, flipped
        self.build = Builder()
        self.made: dict[Op, tuple[Op, bool]] = {}
        self.count: dict[Op, int] = {}

    def run(self) -> Program:
        program, before = self.program, uses(self.program)
        names: dict[Op, str] = {}
        for op in self.ops:
            made, minus = self._of(op)
            if op in program.names:
                made, minus = self.signed(made, minus), False
                names[made] = program.names[op]
            self.made[op] = made, minus
            self.count[made] = self.count.get(made, 0) + before[op] - (op.kind == "neg")
        outputs = {key: self.signed(*self.made[op]) for key, op in program.outputs.items()}
        return Program(self.build.ops, outputs, names)

    def _of(self, op: Op) -> tuple[Op, bool]:
        build = self.build
        args = [self.made[a][0] for a in op.args]
        minus = [self.made[a][1] for a in op.args]
        match _passes(op):
            case "all":
                return again(build, op, args), sum(minus) % 2 == 1
            case "neg":
                return args[0], not minus[0]
            case "first":
                args[1:] = map(self.signed, args[1:], minus[1:])
                return again(build, op, args), minus[0]
            case "sum":
                if minus[0] ^ minus[1] ^ (op.kind == "sub"):
                    flip = op in self.flipped
                    return build.binary("sub", *(args[::-1] if flip else args)), minus[0] ^ flip
                return build.binary("add", *args), minus[0]
            case "added":
                labels, places, _, sign = op.data
                return build.add_at(args[0], args[1], labels, places, sign * (-1) ** sum(minus)), minus[0]
            case "even":
                return again(build, op, args), False
            case _:
                return again(build, op, list(map(self.signed, args, minus))), False

    # ---------------------------------------------------------- a sign that stays

    def signed(self, op: Op, minus: bool) -> Op:
        """The array with its sign, which stands where it costs least."""
        return self._negated(op, DEEP) if minus else op

    def _negated(self, op: Op, deep: int) -> Op:
        build, args = self.build, op.args
        place = self._place(op, deep)[1]
        if place < 0:
            return build.negate(op)
        if op.kind == "sub":
            return build.binary("sub", args[1], args[0])
        changed = list(args)
        for k in range(2) if op.kind == "add" else (place,):
            changed[k] = self._negated(args[k], self._deeper(args[k], deep))
        if op.kind == "add_at":
            labels, places, _, sign = op.data
            return build.add_at(changed[0], args[1], labels, places, -sign)
        return again(build, op, changed)

    def _place(self, op: Op, deep: int) -> tuple[float, int]:
        """What a sign costs, and at which argument (both of a sum); -1 at the operation itself."""
        least = (entries(op), -1)
        if deep and op.kind == "sub":
            return 0.0, 0
        if deep and op.kind == "add":
            cost = sum(self._place(a, self._deeper(a, deep))[0] for a in op.args)
            return min(least, (cost, 0))
        if deep and (_passes(op) in ("all", "first", "added") and op.kind != "pow"):
            within = range(len(op.args)) if _passes(op) == "all" or op.kind == "div" else range(1)
            for k in within:
                cost = self._place(op.args[k], self._deeper(op.args[k], deep))[0]
                if cost < least[0]:
                    least = cost, k
        return least

    def _deeper(self, op: Op, deep: int) -> int:
        """How deep a place may be looked for in an argument: not in one that others read."""
        return deep - 1 if self.count.get(op, 1) == 1 else 0


def entries(op: Op) -> float:
    """How many entries the array is taken to have; none for a number."""
    return prod(assumed_size(dim, {}) for dim in op.shape) if op.rank else 0.0
