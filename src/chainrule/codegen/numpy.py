"""NumPy source: np. and special. in front, assignments to parts of arrays, helper functions above."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from chainrule.codegen.helpers import BEHIND
from chainrule.codegen.program import Op
from chainrule.codegen.vocabulary import (
    ATOM,
    COMPARE,
    LETTERS,
    PLUS,
    POWER,
    REDUCTIONS,
    SIGN,
    TIMES,
    Text,
    Vocabulary,
    as_float,
    axis_option,
)
from chainrule.expr.dims import Dim


class NumPy(Vocabulary):
    """NumPy source."""

    assigns = True

    def _named(self, op: Op) -> Text:
        return Text(op.data[0].code)

    def _number(self, op: Op) -> Text:
        value: Fraction = op.data[0]
        if max(abs(value.numerator), value.denominator) < 2**63:
            return super()._number(op)
        # Beyond 64 bits NumPy has no integer for it.
        text = repr(as_float(value))
        return Text({"inf": "np.inf", "-inf": "-np.inf"}.get(text, text), ATOM if value >= 0 else SIGN)

    def _cast(self, op: Op, a: Text) -> Text:
        return Text(f"1.0 * {a.at(TIMES + 1)}", TIMES)

    def _neg(self, op: Op, a: Text) -> Text:
        first = op.args[0]
        while first.kind in ("mul", "div", "matmul", "cast"):
            first = first.args[0]
        # The sign binds to the first factor, and NumPy has no minus for bool.
        return Text(f"-({a.text})", SIGN) if first.boolean else super()._neg(op, a)

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"np.sqrt({a.text})")

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        if order == tuple(reversed(range(len(order)))):
            return Text(f"{a.at(ATOM)}.T")
        return Text(f"np.transpose({a.text}, {order})")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            return Text(f"np.sum({a.text})")
        return Text(f"np.sum({a.text}, axis={axes[0] if len(axes) == 1 else axes})")

    def _einsum(self, op: Op, *args: Text) -> Text:
        spec = self.spec(op)
        if spec == "ii->i":
            return Text(f"np.diagonal({args[0].text})")
        return Text(f"np.einsum('{spec}', {', '.join(a.text for a in args)})")

    def _outer(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.outer({a.text}, {b.text})")

    def _kron(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.kron({a.text}, {b.text})")

    def _trace(self, op: Op, a: Text) -> Text:
        return Text(f"np.trace({a.text})")

    def _tensordot(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.tensordot({a.text}, {b.text}, {op.data[0]})")

    def _reshape(self, op: Op, a: Text) -> Text:
        dims = ", ".join(self.dim(d).text for d in op.shape)
        return Text(f"{a.at(ATOM)}.reshape({dims})")

    def _fill(self, op: Op, a: Text) -> Text:
        axes, shape = op.data
        source = op.args[0]
        if not axes:
            if source.kind == "number" and source.data[0] in (0, 1):
                return Text(f"np.{'ones' if source.data[0] else 'zeros'}({self.full(shape)})")
            whole = ", float" if _is_number(source) else ""  # NumPy would make integers of it
            return Text(f"np.full({self.full(shape)}, {a.text}{whole})")
        first = axes[0]
        pattern = [":" if k in axes else "None" for k in range(first, len(shape))]
        view = a.text if all(p == ":" for p in pattern) else f"{a.at(ATOM)}[{', '.join(pattern)}]"
        return Text(f"np.broadcast_to({view}, {self.full(shape)}).copy()")

    def _solve(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.linalg.solve({a.text}, {b.text})")

    def _adjugate(self, op: Op, a: Text) -> Text:
        self.helpers["adjugate"] = None
        return Text(f"adjugate({a.text})")

    def _constant(self, op: Op) -> Text:
        row, *parameters = op.data
        if row.name == "merge":
            sizes = ", ".join(self.dim(d).text for d in parameters)
            return Text(
                f"np.eye({' * '.join(self.dim(d).at(TIMES + 1) for d in parameters)}).reshape(-1, {sizes})"
            )
        return self.fill_template(row.code, (), parameters)

    def _scatter_rows(self, op: Op, rows: Text, ids: Text) -> Text:
        self.helpers["scatter_rows"] = None
        return Text(f"scatter_rows({rows.text}, {ids.text}, {self.dim(op.data[0]).text})")

    def _windows(self, op: Op, a: Text) -> Text:
        return self.helped("windows", op, a, 1)

    def _overlap_add(self, op: Op, a: Text) -> Text:
        return self.helped("overlap_add", op, a, 5)

    def helped(self, name: str, op: Op, a: Text, first: int) -> Text:
        """A call of a helper with a tuple for each parameter of the windows, one entry for each axis."""
        self.helpers[name] = None
        rows = [self.shape([Dim.of(spec[k]) for spec in op.data]) for k in (first, 2, 3, 4)]
        return Text(f"{name}({a.text}, {', '.join(rows)})")

    def _stack(self, op: Op, *args: Text) -> Text:
        entries = [
            a.text[len("np.array(") : -1]
            if inner.kind == "stack" and a.text.startswith("np.array(")
            else a.text
            for inner, a in zip(op.args, args, strict=True)
        ]
        return Text(f"np.array([{', '.join(entries)}])")

    def _call(self, op: Op, *args: Text) -> Text:
        row, *parameters = op.data
        if row.name == "norm":
            return self._norm(op, args[0])
        if row.name in REDUCTIONS:
            return Text(f"np.{REDUCTIONS[row.name]}({args[0].text}{axis_option(op, op.data[1])})")
        if row.name in BEHIND:
            self.helpers[row.name] = None
        if getattr(row, "indicator", False) and row.text.startswith("(#1 "):
            operator = row.text[1:-1].split(" ")[1]
            return Text(f"{args[0].at(PLUS)} {operator} {args[1].at(PLUS)}", COMPARE)
        if row.name == "power":
            return Text(f"{args[0].at(ATOM)}**{args[1].at(SIGN)}", POWER)
        return self.fill_template(row.code, args, parameters)

    def _norm(self, op: Op, a: Text) -> Text:
        core, rank = op.data[1], op.args[0].rank
        if core == rank:
            return Text(f"np.linalg.norm({a.text})")
        axes = tuple(range(rank - core, rank))
        if core < 3:
            return Text(f"np.linalg.norm({a.text}, axis={axes[0] if core == 1 else axes})")
        return Text(f"np.sqrt(np.sum({a.at(ATOM)}**2, axis={axes}))")

    def _scatter(self, op: Op, a: Text) -> Text:
        """np.diag(v) or c * np.eye(n); others are assignments."""
        labels, _, shape = op.data
        if labels:
            return Text(f"np.diag({a.text})")
        source = op.args[0]
        eye = f"np.eye({self.dim(shape[0]).text})"
        return (
            Text(eye)
            if source.kind == "number" and source.data[0] == 1
            else Text(f"{a.at(TIMES)} * {eye}", TIMES)
        )

    def assignments(self, op: Op, args: Sequence[Text], target: str, shared: bool) -> list[str]:
        lines: list[str] = []
        if op.kind == "scatter":
            labels, places, shape = op.data
            value, sign = args[0], 0
            lines.append(f"{target} = np.zeros({self.full(shape)})")
        else:
            labels, places, shape, sign = op.data
            value = args[1]
            base = op.args[0]
            copied = shared or base.kind in ("input", "permute", "slice", "reshape", "einsum")
            if args[0].text != target:
                lines.append(f"{target} = {args[0].at(ATOM) + '.copy()' if copied else args[0].text}")
        view = target + self.index([place.index for place in places], shape)
        order = [place.label for place in places if place.label is not None]
        every = list(dict.fromkeys(order))
        pattern = ["None" if label not in labels else ":" for label in every]
        first = pattern.index(":") if ":" in pattern else len(pattern)
        text = value.text
        if labels and "None" in pattern[first:]:
            text = f"{value.at(ATOM)}[{', '.join(pattern[first:])}]"
        if len(every) < len(order):
            letters = {label: LETTERS[k] for k, label in enumerate(every)}
            spec = f"{''.join(letters[k] for k in order)}->{''.join(letters[k] for k in every)}"
            view = f"np.einsum('{spec}', {view})[...]"
        elif view == target:
            view += "[...]"
        lines.append(f"{view} {('=', '+=', '-=')[sign]} {text}")
        return lines


def _is_number(op: Op) -> bool:
    """Whether no array goes into an operation."""
    pending = [op]
    while pending:
        op = pending.pop()
        if op.kind == "input":
            return False
        pending.extend(op.args)
    return True
