"""A program as statements: what is used once and is short is written where it is used, the rest gets a name.

In: a Program and a Vocabulary. Out: lines, and the text of each output. A name is the one that a person gave
where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.codegen.blocks import Body
from chainrule.codegen.chains import LONG, constants, cut
from chainrule.codegen.fusion import Loop
from chainrule.codegen.in_place import place_for, written
from chainrule.codegen.into import into
from chainrule.codegen.names import OWN
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Op, Place
from chainrule.codegen.rewrite import live
from chainrule.codegen.vocabulary import ATOM, CHOICE, Text, Vocabulary

INLINE = 68  # characters of text that may stand inside a larger expression
WRITES_INTO_FIRST = frozenset({"add_outer"})  # its first argument must be an array that nothing else reads
OF_PARTS = frozenset({"blocks", "chain"})
PARTS = frozenset({"part", "item"})
FREE = frozenset(
    {"input", "number", "size", "named", "permute", "expand"}
)  # as cheap to write again as to name


@dataclass(slots=True)
class Writer:
    """Goes through a program once, in order, and decides what is written inline and what gets a name."""

    program: Program
    vocabulary: Vocabulary
    taken: set[str]
    spell: Callable[[str], str]
    targets: Mapping[Any, str] = field(default_factory=dict)  # where results are written to
    in_place: bool = False  # whether arrays are large enough for that to matter
    lines: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    calls: dict[Op, Text] = field(default_factory=dict)

    def run(self, known: Mapping[Op, Text] | None = None) -> dict[Any, Text]:
        """The text of each output; `lines` are the statements before; `known` texts are not written again."""
        program = self.program
        ops = live(program)
        results = set(program.outputs.values())
        uses = self._uses(ops)
        texts: dict[Op, Text] = dict(known or {})
        counter = 0
        for op in ops:
            args = [texts[a] for a in op.args]
            if op.kind in OF_PARTS:
                write = self._blocks if op.kind == "blocks" else self._chain
                texts |= write(op, args, [part for part in ops if part.kind in PARTS and part.args == (op,)])
            if op in texts:
                continue
            given = program.names.get(op)
            if self.vocabulary.assigns and _is_written_into(op):
                target = texts[op.args[0]].text if self._continues(op, texts, uses, given) else ""
                if not target:
                    target = self._fresh(given or ("H" if op in results else ""), counter)
                    counter += 1
                self.lines += self.vocabulary.assignments(op, args, target, _is_shared(op.args[0], uses))
                texts[op] = Text(target)
                continue
            if op.kind in WRITES_INTO_FIRST and uses[op.args[0]] > 1:
                args = [Text(f"{args[0].at(ATOM)}.copy()"), *args[1:]]
            place = self._place(op, texts, uses) if given is None else None
            if place is not None:
                texts[op] = self._into(op, list(args), place, counter)
                counter += texts[op] != args[place]
                continue
            text = self.calls[op] if op in self.calls else self.vocabulary.write(op, args)
            free = op.kind in FREE or (op.kind == "cast" and text == args[0])
            last = op in results and uses[op] == 1
            short = len(text.text) <= INLINE
            if given is not None and op.kind not in ("input", "number") and not last:
                pass
            elif last or (free and short) or (uses[op] == 1 and short):
                texts[op] = text
                continue
            target = self._fresh(given or "", counter)
            counter += 1
            self.lines.append(f"{target} = {text.text}")
            texts[op] = Text(target)
        return {name: texts[op] for name, op in program.outputs.items()}

    def _uses(self, ops: Sequence[Op]) -> dict[Op, int]:
        """How often the text of each operation stands in the program; transposes are written each time."""
        uses: dict[Op, int] = {}
        for op in self.program.outputs.values():
            uses[op] = uses.get(op, 0) + 1
        for op in reversed(ops):
            again = op.kind in FREE or (op.kind == "cast" and self.vocabulary.casts_freely)
            for a in op.args:
                # What a block or a part needs is made once, before them.
                uses[a] = uses.get(a, 0) + (uses[op] if again else 2 if op.kind in OF_PARTS else 1)
        return uses

    def _blocks(self, op: Op, args: Sequence[Text], parts: Sequence[Op]) -> dict[Op, Text]:
        """A function of some rows, and its sums over all blocks of them."""
        body: Body = op.data[0]
        vocabulary = self.vocabulary
        sources = [text.text for text in args[: len(body.inputs)]]
        factors = {
            k: None if body.joined else vocabulary.factor(result) for k, result in enumerate(body.results)
        }
        outputs = {k: factors[k] or result for k, result in enumerate(body.results)}
        rows_of = Program(list(body.ops), outputs, dict(body.names))
        inner = Writer(rows_of, vocabulary, self.taken, self.spell, in_place=vocabulary.assigns)
        dims = vocabulary.dims
        matrix = far = ""
        reading: list[str] = []
        if body.products:
            matrix = dict(zip(body.inputs, sources, strict=False))[body.matrix]
            far = self._fresh("far", 0)
            reading = vocabulary.reading(body, matrix, far, self._fresh("times", 0))
        # A shape in the block has as many rows as the block.
        vocabulary.dims = {**dims, str(body.length): f"len({sources[0]})"}
        vocabulary.sums_are_long = False
        results = inner.run(dict(zip((*body.inputs, *body.outer), args, strict=True)))
        vocabulary.dims, vocabulary.sums_are_long = dims, True
        function, rows = self._fresh("of_rows", 0), self._fresh("rows", 0)
        texts: dict[Op, Text] = {}
        targets: dict[int, str] = {}
        for part in parts:
            k = part.data[0]
            letter = "r" if k in body.joined else "s"
            for key, output in self.program.outputs.items():
                if output is part and k in body.joined and key in self.targets:
                    targets.setdefault(k, self.targets[key])
            name = targets.get(k) or self._fresh(self.program.names.get(part) or f"{letter}{k + 1}", 0)
            texts[part] = Text(name)
        names = {part.data[0]: text.text for part, text in texts.items()}
        self.lines += [
            *reading,
            "",
            f"def {function}({', '.join(sources)}):",
            *("    " + line for line in inner.lines),
            f"    return {_tuple([results[k].text for k in outputs])}",
            "",
        ]
        left = f"{_tuple([names.get(k, '_') if k not in targets else '_' for k in outputs])} = "
        if body.joined:
            self.lines.append(left + vocabulary.joined(body, function, sources, targets))
        else:
            self.lines += [
                f"{rows} = {vocabulary.rows(body, matrix, far)}",
                left + vocabulary.sums(function, rows, sources, [k for k in factors if factors[k]]),
            ]
        return {op: Text(function), **texts}

    def _chain(self, op: Op, args: Sequence[Text], items: Sequence[Op]) -> dict[Op, Text]:
        """A function of a part of the arrays, called for all of them at once or part by part."""
        loop: Loop = op.data[0]
        items = items or [op]
        targets = self._targets(items, loop)
        given = {read: text.text for read, text in zip(loop.reads, args, strict=True)}
        parts, whole = cut(loop)
        function = self._part_of(loop, parts, whole, list(targets))
        behind = [given[read] for read in whole]
        arrays = [*(given[read] for read in parts), *targets.values()]
        call = (
            f"{function}({', '.join([*arrays, *behind])}) if {arrays[0]}.size <= 2**{LONG} "
            f"else {self.vocabulary.in_parts(function, arrays, behind)}"
        )
        if items == [op] and not targets:
            self.calls[op] = Text(call, CHOICE)
            return {}
        made = {items[k]: Text(target) for k, target in targets.items()}
        for k, item in enumerate(items):
            if k not in targets:
                wish = self.program.names.get(item) or f"{'r' if item.rank else 's'}{k + 1}"
                made[item] = Text(self._fresh(wish, 0))
        left = [made[item].text for k, item in enumerate(items) if k not in targets]
        self.lines.append(f"{', '.join(left)} = {call}" if left else call)
        return {op: Text(function), **made}

    def _part_of(self, loop: Loop, parts: Sequence[Op], whole: Sequence[Op], written: Sequence[int]) -> str:
        """The name of a function for a part: it writes those of the results, and returns the others."""
        function = self._fresh("entries", 0)
        taken = {*OWN, function}
        params = {read: unused(self._wish(read), taken) for read in (*parts, *whole)}
        outs = {k: unused("out", taken) for k in written}
        results = dict(enumerate(loop.results))
        program = Program([*constants(loop), *loop.members, *loop.results], results, dict(loop.names))
        inner = Writer(program, self.vocabulary, taken, self.spell)
        texts = inner.run({read: Text(name) for read, name in params.items()})
        lines = into(inner.lines, {k: texts[k].text for k in outs}, outs)
        answer = ", ".join(text.text for k, text in texts.items() if k not in outs) or "()"
        order = [*(params[read] for read in parts), *outs.values(), *(params[read] for read in whole)]
        self.vocabulary.define(function, order, [*lines, f"return {answer}"])
        return function

    def _wish(self, read: Op) -> str:
        """What a value is called where it is handed over: by its name, if it has one."""
        if read.kind == "input":
            return self.vocabulary.names[read.data[0]]
        if read.kind == "size" and read.data[0].name is not None:
            return self.vocabulary.dim(read.data[0]).text
        return self.spell(self.program.names.get(read) or "a")

    def _targets(self, items: Sequence[Op], loop: Loop) -> dict[int, str]:
        """Where the arrays that a chain makes are written to, if all of them are results."""
        arrays = [k for k, result in enumerate(loop.results) if result.rank]
        keys = {k: [key for key, op in self.program.outputs.items() if op is items[k]] for k in arrays}
        found = {k: self.targets[mine[0]] for k, mine in keys.items() if mine and mine[0] in self.targets}
        return found if len(found) == len(arrays) else {}

    def _place(self, op: Op, texts: Mapping[Op, Text], uses: Mapping[Op, int]) -> int | None:
        """The argument into which the result is written, if there is one."""
        if not self.in_place:
            return None
        return place_for(op, uses, {a: texts[a].text in self.made for a in op.args})

    def _into(self, op: Op, args: list[Text], place: int, counter: int) -> Text:
        """The name of the argument, once the result is in it."""
        if args[place].text not in self.made:
            name = self._fresh("", counter)
            self.lines.append(f"{name} = {args[place].text}")
            args[place] = Text(name)
        value = self.vocabulary.write(op, args).text
        self.lines.append(written(op, place, tuple(a.text for a in args), value))
        return args[place]

    def _continues(self, op: Op, texts: Mapping[Op, Text], uses: Mapping[Op, int], given: str | None) -> bool:
        """Whether an array that only this operation uses, and that has a name, is written into further."""
        base = op.args[0]
        return op.kind == "add_at" and given is None and uses[base] == 1 and texts[base].text in self.made

    def _fresh(self, wish: str, counter: int) -> str:
        name = unused(self.spell(wish) if wish else f"t{counter + 1}", self.taken)
        self.made.add(name)
        return name


def unused(wish: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken; taken from now on."""
    name, k = wish, 1
    while name in taken:
        k += 1
        name = f"{wish}{k}"
    taken.add(name)
    return name


def _tuple(texts: Sequence[str]) -> str:
    return ", ".join(texts) if len(texts) > 1 else f"({texts[0]},)"


def _is_shared(op: Op, uses: Mapping[Op, int]) -> bool:
    """Whether anything else reads the array, or the one that it is a view of."""
    while uses.get(op) == 1 and op.kind in ("permute", "reshape"):
        op = op.args[0]
    return uses.get(op) != 1


def _is_written_into(op: Op) -> bool:
    """Whether parts of an array are assigned to for it: not for diag(v) and c * np.eye(n)."""
    return op.kind == "add_at" or (op.kind == "scatter" and not is_diagonal(op))


def is_diagonal(op: Op) -> bool:
    """Whether a scatter writes a diagonal matrix."""
    return on_diagonal(op.data[1])


def on_diagonal(places: Sequence[Place]) -> bool:
    """Whether they are the whole diagonal of a matrix."""
    target = [place.label for place in places]
    whole = all(place.index == ("all",) for place in places)
    return whole and len(target) == 2 and target[0] is not None and target[0] == target[1]
