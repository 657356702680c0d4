"""Which passes a program goes through before it is written for NumPy.

In: a program, and the declared structure of its inputs. Out: a program of the same value that calls BLAS and
LAPACK for what they do best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.codegen.assemble import low_rank, numbers_inward
from chainrule.codegen.blocks import in_blocks
from chainrule.codegen.factored import with_factors
from chainrule.codegen.facts import Facts
from chainrule.codegen.gram import with_cheap_products
from chainrule.codegen.orient import with_rows_in_order
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.reuse import with_reuse
from chainrule.codegen.rewrite import rewritten
from chainrule.codegen.scales import with_shared_numbers
from chainrule.codegen.signs import with_few_signs

SWAP = (1, 0)


def for_blas(
    program: Program, structures: Mapping[str, Sequence[str]], sizes: Mapping[str, int], block: int
) -> Program:
    """The program in the form that is fast in NumPy, at these sizes, for blocks of so many entries."""
    program = without_transposes(program, Facts(structures))
    program = with_reuse(program)
    program = with_factors(program, Facts(structures))
    program = with_cheap_products(program, Facts(structures))
    program = with_shared_numbers(with_few_signs(program))
    program = low_rank(numbers_inward(program))
    return in_blocks(with_rows_in_order(program), sizes, block)


def without_transposes(program: Program, facts: Facts) -> Program:
    """Symmetric matrices are not transposed."""

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        turned = op.kind == "permute" and op.data[0] == SWAP and args[0].kind != "input"
        return args[0] if turned and facts.is_symmetric(args[0]) else None

    return rewritten(program, change)
