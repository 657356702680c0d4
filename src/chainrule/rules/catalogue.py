"""The rules of matrix calculus as data: what each says, an example, where it stands.

Formulas are texts in the notation that is read (⊙ for the element-wise product). A rule about functions that
are left open states its derivative, which is compared with the derived one; every other derivative, and that
of every example, is what is derived when it is printed. Section numbers and R numbers are those of the source
notes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A formula to be differentiated; `latex` where its order or its grouping is the point.

    `style` is that of its derivation, where the rule does not show in the style that is chosen by itself.
    """

    formula: str
    wrt: str
    shapes: str
    latex: str = ""
    style: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    says       one plain sentence
    formula    what is differentiated, and `wrt` by what; several variables give one derivative each
    functions  the functions in it that are left open: "f: scalar"
    states     its derivative, where functions are left open; du/dx and the like are derivatives of the parts
    reads      the same as it is typed, which is compared with what is derived
    written    how the formula is written, where that is not how it is typed
    latex      formula and derivative, where functions are left open
    entry      entry i of the formula, with its shapes: what the rule is assembled from
    expanded   the same formula with its scalar written as a vector
    when       when it applies
    sizes      the sizes of the factors, where it multiplies Jacobians
    section    of the notes, and `numbers` there; else `source`
    words      other names of it
    """

    name: str
    says: str
    formula: str
    wrt: tuple[str, ...]
    shapes: str
    functions: str = ""
    states: str = ""
    reads: str = ""
    written: str = ""
    latex: tuple[str, str] = ("", "")
    example: Example | None = None
    entry: tuple[str, str] = ("", "")
    expanded: str = ""
    when: str = ""
    sizes: str = ""
    section: str = ""
    numbers: str = ""
    source: str = ""
    words: str = ""

    @property
    def where(self) -> str:
        """Where it stands."""
        return f"notes, section {self.section} ({self.numbers})" if self.section else self.source


@dataclass(frozen=True, slots=True)
class Identity:
    """An equality that derivations use; the right side is found by simplification."""

    name: str
    says: str
    formula: str
    shapes: str
    section: str
    numbers: str
    words: str = ""

    @property
    def where(self) -> str:
        """Where it stands."""
        return f"notes, section {self.section} ({self.numbers})"


COOKBOOK = "Matrix Cookbook (2012), eq. "
MAGNUS = "Magnus and Neudecker 2019, "
CALCULUS = "any calculus text"

# Derivatives of functions that are left open, in LaTeX.
DF_DX, DG_DX = r"\frac{\mathrm{d}f}{\mathrm{d}x}", r"\frac{\mathrm{d}g}{\mathrm{d}x}"
DF_DU, DU_DX = r"\frac{\mathrm{d}f}{\mathrm{d}u}", r"\frac{\mathrm{d}u}{\mathrm{d}x}"
DUI_DX = r"\frac{\mathrm{d}u_i}{\mathrm{d}x}"

SCALAR = (
    Rule(
        name="constant rule",
        says="A constant never changes, so its slope is 0: a flat line.",
        formula="c",
        wrt=("x",),
        shapes="c x",
        example=Example("99", "x", "x"),
        section="2",
        numbers="R9",
    ),
    Rule(
        name="constant multiple rule",
        says="Scaling a function scales its slope by the same constant.",
        formula="c f(x)",
        wrt=("x",),
        shapes="c x",
        functions="f: scalar",
        states="c df/dx",
        reads="c f′(x)",
        latex=(r"c \, f(x)", f"c {DF_DX}"),
        example=Example("3x", "x", "x"),
        section="2",
        numbers="R10",
        words="multiplication by a constant, scaling",
    ),
    Rule(
        name="power rule",
        says="The exponent comes down as a factor, and the power is one lower.",
        formula="xⁿ",
        wrt=("x",),
        shapes="x n",
        example=Example("x³", "x", "x"),
        section="2",
        numbers="R11",
        words="exponent",
    ),
    Rule(
        name="sum rule",
        says="The rates of change of the parts add up.",
        formula="f(x) + g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="df/dx + dg/dx",
        reads="f′(x) + g′(x)",
        latex=("f(x) + g(x)", f"{DF_DX} + {DG_DX}"),
        example=Example("x² + 3x", "x", "x"),
        section="2",
        numbers="R12",
        words="addition",
    ),
    Rule(
        name="difference rule",
        says="The rates of change of the parts are subtracted as the parts are.",
        formula="f(x) − g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="df/dx − dg/dx",
        reads="f′(x) − g′(x)",
        latex=("f(x) - g(x)", f"{DF_DX} - {DG_DX}"),
        example=Example("x² − 3x", "x", "x"),
        section="2",
        numbers="R13",
        words="subtraction",
    ),
    Rule(
        name="product rule",
        says="A product changes through both factors, each change weighted by the other factor.",
        formula="f(x) g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="f(x) dg/dx + df/dx g(x)",
        reads="f(x) g′(x) + f′(x) g(x)",
        latex=(r"f(x) \, g(x)", f"f(x) {DG_DX} + {DF_DX} g(x)"),
        example=Example("x² · x", "x", "x", r"x^{2} \cdot x"),
        section="2",
        numbers="R14",
        words="Leibniz",
    ),
    Rule(
        name="chain rule",
        says="Rates multiply along a chain: how fast f moves with u, times how fast u moves with x.",
        formula="f(g(x))",
        written="f(u), u = g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="df/du · du/dx",
        reads="f′(g(x)) · g′(x)",
        latex=(r"f(u),\ u = g(x)", f"{DF_DU} {DU_DX}"),
        example=Example("ln(x²)", "x", "x"),
        section="2",
        numbers="R15",
        words="composition, nested functions",
    ),
    Rule(
        name="quotient rule",
        says="The numerator pushes the quotient up, the denominator pulls it down.",
        formula="f(x)/g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="(df/dx g(x) − f(x) dg/dx)/g(x)²",
        reads="(f′(x) g(x) − f(x) g′(x))/g(x)²",
        latex=(r"\frac{f(x)}{g(x)}", rf"\frac{{{DF_DX} g(x) - f(x) {DG_DX}}}{{g(x)^2}}"),
        example=Example("sin(x)/x", "x", "x"),
        source=CALCULUS,
        words="division, ratio",
    ),
    Rule(
        name="linearity",
        says="d/dx is an operator: it distributes over sums, and constants pull out of it.",
        formula="a f(x) + b g(x)",
        wrt=("x",),
        shapes="a b x",
        functions="f: scalar, g: scalar",
        states="a df/dx + b dg/dx",
        reads="a f′(x) + b g′(x)",
        latex=(r"a \, f(x) + b \, g(x)", f"a {DF_DX} + b {DG_DX}"),
        example=Example("9(x + x²)", "x", "x", "9(x + x^{2})"),
        section="2",
        numbers="R17",
        words="operator, distributive, d/dx",
    ),
    Rule(
        name="variable by itself",
        says="x moves one to one with itself.",
        formula="x",
        wrt=("x",),
        shapes="x",
        example=Example("x", "x", "x"),
        section="2",
        numbers="R10",
        words="dx/dx = 1",
    ),
)


def _operator(name: str, sign: str, says: str, numbers: str, *words: str) -> Rule:
    return Rule(
        name=name,
        says=says,
        formula=f"w {sign} x",
        wrt=("w", "x"),
        shapes="w[n] x[n]",
        entry=(f"w_i {sign} x_i", "w_i x_i"),
        section="4.2",
        numbers=numbers,
        words=", ".join(words),
    )


ELEMENTWISE = (
    _operator(
        "element-wise sum", "+", "Wiggle wᵢ or xᵢ by Δ and yᵢ moves by Δ; nothing else moves.",
        "R45, R46",
    ),
    _operator(
        "element-wise difference", "−", "Wiggle wᵢ by Δ and yᵢ moves by Δ; wiggle xᵢ and it moves by −Δ.",
        "R47, R48",
    ),
    _operator(
        "element-wise product", "⊙",
        "Wiggle wᵢ by Δ and yᵢ moves by xᵢΔ: each factor is the weight of the other.", "R49, R50",
        "Hadamard",
    ),
    _operator(
        "element-wise quotient", "⊘",
        "Wiggle wᵢ by Δ and yᵢ moves by Δ/xᵢ; a larger xᵢ pulls the quotient down.", "R51, R52",
        "division",
    ),
    Rule(
        name="element-wise maximum",
        says="The larger entry passes its change on, the smaller one has no effect.",
        formula="max(w, x)",
        wrt=("w", "x"),
        shapes="w[n] x[n]",
        entry=("max(w_i, x_i)", "w_i x_i"),
        source="Parr and Howard 2018, section 4.2",
    ),
    Rule(
        name="element-wise comparison",
        says="A comparison is 0 or 1, and constant off its jumps.",
        formula="1[w > x]",
        wrt=("w", "x"),
        shapes="w[n] x[n]",
        entry=("1[w_i > x_i]", "w_i x_i"),
        source="Parr and Howard 2018, section 4.2",
    ),
)  # fmt: skip


def _expansion(name: str, formula: str, expanded: str, entry: str, says: str, numbers: str) -> Rule:
    return Rule(
        name=name,
        says=says,
        formula=formula,
        wrt=("x", "z"),
        shapes="x[n] z",
        expanded=expanded,
        entry=(entry, "x_i z"),
        section="4.3",
        numbers=numbers,
        words="scalar expansion, broadcast",
    )


EXPANSION = (
    _expansion(
        "vector plus scalar", "x + z", "x + 𝟏z", "x_i + z",
        "By the vector the Jacobian is I; by the scalar it is a column of ones, for one z moves every entry.",
        "R59, R60",
    ),
    _expansion(
        "vector minus scalar", "x − z", "x − 𝟏z", "x_i − z",
        "As for the sum, and moving z up moves every entry down.", "R58",
    ),
    _expansion(
        "vector times scalar", "x z", "x ⊙ 𝟏z", "x_i z",
        "By the vector every entry is scaled by z (diag(𝟏z) = zI); by the scalar entry i moves by xᵢΔ.",
        "R61, R62",
    ),
    _expansion(
        "vector over scalar", "x/z", "x ⊘ 𝟏z", "x_i/z",
        "By the vector every entry is scaled by 1/z; by the scalar entry i moves by −xᵢΔ/z².", "R58",
    ),
)  # fmt: skip

REDUCTION = (
    Rule(
        name="sum of a vector function",
        says="The derivative moves inside the sum: the rows of ∂f/∂x are added up.",
        formula="sum(f(x))",
        wrt=("x",),
        shapes="x[n]",
        functions="f: n->p",
        states="𝟏ᵀ ∂f/∂x",
        reads="𝟏ᵀ f′(x)",
        latex=(r"\sum_i f_i(x)", r"\mathbf{1}^\top \frac{\partial f}{\partial x}"),
        example=Example("sum(sin(Ax))", "x", "A[p,n] x[n]"),
        section="4.4",
        numbers="R65, R66",
        words="sum reduction, the derivative of a sum is the sum of the derivatives",
    ),
    Rule(
        name="sum",
        says="Every entry moves the sum one to one.",
        formula="sum(x)",
        wrt=("x",),
        shapes="x[n]",
        section="4.4",
        numbers="R68",
    ),
    Rule(
        name="sum of a scaled vector",
        says="By the vector every entry counts z times; by the scalar the factor is the sum of all entries.",
        formula="sum(x z)",
        wrt=("x", "z"),
        shapes="x[n] z",
        section="4.4",
        numbers="R69, R70",
    ),
    Rule(
        name="sum of a sum",
        says="The sum passes 𝟏ᵀ back, and both terms pass it on unchanged.",
        formula="sum(w + x)",
        wrt=("w", "x"),
        shapes="w[n] x[n]",
        source="Parr and Howard 2018, section 4.5",
    ),
    Rule(
        name="dot product",
        says="The sensitivity to wⱼ is xⱼ, and the other way round: wᵀx = sum(w ⊙ x), and 𝟏ᵀdiag(x) = xᵀ.",
        formula="w · x",
        wrt=("w", "x"),
        shapes="w[n] x[n]",
        section="5",
        numbers="R98, R101",
        words="inner product, affine",
    ),
    Rule(
        name="mean",
        says="Every entry moves the mean by 1/n of its own change.",
        formula="mean(x)",
        wrt=("x",),
        shapes="x[n]",
        section="4.4",
        numbers="R72",
        words="average",
    ),
    Rule(
        name="sum of squares",
        says="Twice the entries themselves: large entries pull hardest.",
        formula="sum(x²)",
        wrt=("x",),
        shapes="x[n]",
        section="4.1",
        numbers="R38",
        words="squared norm, sum of element-wise squares, sum of element-wise powers",
    ),
)

CHAIN = (
    Rule(
        name="single-variable chain rule",
        says="One path: multiply the rates along it.",
        formula="f(g(x))",
        written="f(u), u = g(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar",
        states="df/du · du/dx",
        reads="f′(g(x)) · g′(x)",
        latex=(r"f(u),\ u = g(x)", f"{DF_DU} {DU_DX}"),
        example=Example("sin(x²)", "x", "x", style="variables"),
        when="one path leads from x to y, through functions of one number",
        sizes="1 × 1 · 1 × 1",
        section="4.5.1",
        numbers="R75",
    ),
    Rule(
        name="single-variable total-derivative chain rule",
        says="Several paths: add up what each carries; ∂f/∂x is the direct one, with every uᵢ held fixed.",
        formula="f(x, g(x), h(x))",
        written="f(x, u₁, …, uₙ), uᵢ = gᵢ(x)",
        wrt=("x",),
        shapes="x",
        functions="f: scalar, g: scalar, h: scalar",
        states="∂f/∂x + Σᵢ ∂f/∂uᵢ · duᵢ/dx",
        reads="∂₁f(x, g(x), h(x)) + ∂₂f(x, g(x), h(x)) · g′(x) + ∂₃f(x, g(x), h(x)) · h′(x)",
        latex=(
            r"f(x, u_1, \ldots, u_n),\ u_i = g_i(x)",
            rf"\frac{{\partial f}}{{\partial x}} + \sum_i \frac{{\partial f}}{{\partial u_i}} {DUI_DX}",
        ),
        example=Example("x + x²", "x", "x", "x + x^{2}", style="variables"),
        when="several paths lead from the number x to the number y",
        sizes="1 × 1 + 1 × n · n × 1",
        section="4.5.2",
        numbers="R85, R86",
        words="multivariable chain rule, law of total derivatives, total derivative",
    ),
    Rule(
        name="vector chain rule",
        says="Multiply the Jacobians, the outer one on the left; the product sums over all paths.",
        formula="f(g(x))",
        written="f(u), u = g(x)",
        wrt=("x",),
        shapes="x[n]",
        functions="f: k->m, g: n->k",
        states="∂f/∂u ∂u/∂x",
        reads="f′(g(x)) g′(x)",
        latex=(
            r"f(u),\ u = g(x)",
            r"\frac{\partial f}{\partial u} \frac{\partial u}{\partial x}",
        ),
        example=Example("sin(B(Ax))", "x", "A[k,n] B[m,k] x[n]", style="variables"),
        when="x, u or y is a vector",
        sizes="m × k · k × n = m × n",
        section="4.5.3",
        numbers="R90",
        words="Jacobian product, backpropagation, scalar case of the vector chain rule",
    ),
    Rule(
        name="vector total-derivative chain rule",
        says="Several paths from a vector: add up the products of Jacobians along them.",
        formula="f(x, g(x))",
        written="f(x, u), u = g(x)",
        wrt=("x",),
        shapes="x[n]",
        functions="f: n,k->m, g: n->k",
        states="∂f/∂x + ∂f/∂u ∂u/∂x",
        reads="∂₁f(x, g(x)) + ∂₂f(x, g(x)) g′(x)",
        latex=(
            r"f(x, u),\ u = g(x)",
            r"\frac{\partial f}{\partial x} + \frac{\partial f}{\partial u} \frac{\partial u}{\partial x}",
        ),
        example=Example("xᵀAx", "x", "A[n,n] x[n]", style="variables"),
        when="several paths lead from the vector x to y",
        sizes="m × n + m × k · k × n = m × n",
        section="4.5.3",
        numbers="R92",
        words="total derivative of a vector",
    ),
    Rule(
        name="element-wise chain rule",
        says="Both Jacobians are diagonal, so the single-variable rule holds entry by entry.",
        formula="f(g(x))",
        written="f(u), u = g(x) entry by entry",
        wrt=("x",),
        shapes="x[n]",
        functions="f: elementwise, g: elementwise",
        states="diag(df/du ⊙ du/dx)",
        reads="diag(f′(g(x)) ⊙ g′(x))",
        latex=(
            r"f(u),\ u = g(x) \text{ entry by entry}",
            rf"\operatorname{{diag}}\left({DF_DU} \odot {DU_DX}\right)",
        ),
        example=Example("sin(x²)", "x", "x[n]", style="variables"),
        when="entry i of y reads only entry i of u, and that only entry i of x",
        sizes="n × n · n × n = n × n",
        section="4.5.3",
        numbers="R94",
        words="element-wise diagonal condition, element-wise, so diagonal",
    ),
)

DEGENERATE = (
    "The vector rule contains the others. With m = k = n = 1 it is the single-variable rule. With m = n = 1 "
    "the row ∂y/∂u times the column du/dx is the sum of the total-derivative rule, once x itself counts as "
    "one of the parts."
)


def _matrix(
    name: str, says: str, formula: str, wrt: str, shapes: str, source: str = "", words: str = "", **notes: str
) -> Rule:
    return Rule(
        name=name,
        says=says,
        formula=formula,
        wrt=tuple(wrt.split(",")),
        shapes=shapes,
        source=source,
        words=words,
        section=notes.get("section", ""),
        numbers=notes.get("numbers", ""),
    )


MATRIX = (
    _matrix(
        "identity function", "Only the entry that is wiggled moves.", "x", "x", "x[n]", section="4.1",
        numbers="R39",
    ),
    _matrix(
        "matrix-vector product",
        "By the vector it is the matrix itself; by the matrix, row i of A moves only entry i.", "Ax",
        "x,A", "A[m,n] x[n]", section="7", numbers="R129",
        words="linear map, the derivative of a linear map is that map",
    ),
    _matrix(
        "affine layer", "By the input it is W; by the bias each entry moves its own output.", "Wx + b",
        "x,b", "W[m,n] x[n] b[m]", section="4.3", numbers="R64", words="linear layer, dense layer",
    ),
    _matrix(
        "bilinear form", "Linear in each of its three parts.", "xᵀAy", "x,A,y", "x[m] A[m,n] y[n]",
        COOKBOOK + "70",
    ),
    _matrix(
        "quadratic form", "x stands in it twice, and each place contributes.", "xᵀAx", "x,A",
        "A[n,n] x[n]", COOKBOOK + "81",
    ),
    _matrix(
        "symmetric quadratic form", "Both places contribute the same, hence the factor 2.", "xᵀAx", "x",
        "A[n,n]:symmetric x[n]", COOKBOOK + "81",
    ),
    _matrix(
        "least squares", "Twice the residual, sent back through Aᵀ.", "‖Ax − b‖²", "x",
        "A[m,n] x[n] b[m]", COOKBOOK + "84", "residual",
    ),
    _matrix(
        "norm", "The unit vector along x: the norm grows fastest outwards, at rate 1.", "‖x‖", "x",
        "x[n]", COOKBOOK + "129", "Euclidean",
    ),
    _matrix(
        "trace", "Only the diagonal counts, and each entry of it once.", "tr(X)", "X", "X[n,n]",
        COOKBOOK + "99",
    ),
    _matrix(
        "trace of a product", "tr(AX) is the sum of the entries of Aᵀ ⊙ X, so the weight of X is Aᵀ.",
        "tr(AX)", "X", "A[n,m] X[m,n]", COOKBOOK + "100",
    ),
    _matrix(
        "trace of a quadratic form", "X stands in it twice, and each place contributes.", "tr(XᵀAX)", "X",
        "A[m,m] X[m,n]", COOKBOOK + "108",
    ),
    _matrix(
        "squared Frobenius norm", "Twice the matrix itself, as for a vector.", "‖X‖_F²", "X", "X[m,n]",
        COOKBOOK + "132", "Frobenius",
    ),
    _matrix(
        "determinant", "Jacobi's formula: d det X = det X · tr(X⁻¹ dX).", "det(X)", "X", "X[n,n]",
        COOKBOOK + "49", "det",
    ),
    _matrix(
        "log-determinant", "d log |det X| = tr(X⁻¹ dX).", "logdet(X)", "X", "X[n,n]", COOKBOOK + "57",
        "logdet",
    ),
    _matrix("inverse", "d(X⁻¹) = −X⁻¹ dX X⁻¹.", "X⁻¹", "X", "X[n,n]", COOKBOOK + "59, 60", "inv"),
    _matrix(
        "inverse in a bilinear form", "The inverse stands on both sides of the change, with a minus.",
        "aᵀX⁻¹b", "X", "X[n,n] a[n] b[n]", COOKBOOK + "61",
    ),
    _matrix(
        "matrix product",
        "By X it is linear with Y on the right, by Y with X on the left: d(XY) = dX Y + X dY.", "XY",
        "X,Y", "X[m,n] Y[n,p]", MAGNUS + "chapter 8",
    ),
    _matrix(
        "two-sided product", "vec(AXB) = kron(Bᵀ, A) vec(X), so the Kronecker product is the Jacobian.",
        "AXB", "X", "A[m,n] X[n,k] B[k,p]", MAGNUS + "chapter 2", "Kronecker, vec",
    ),
    _matrix(
        "Kronecker product",
        "tr(kron(A, X)) = tr(A) tr(X), so each diagonal entry of X counts tr(A) times.", "tr(kron(A, X))",
        "X", "A[m,m] X[n,n]", MAGNUS + "chapter 2",
    ),
    _matrix(
        "Hadamard product", "Entry by entry: as a matrix, a diagonal with the entries of A.", "A ⊙ X",
        "X", "A[m,n] X[m,n]", MAGNUS + "chapter 3", "element-wise product of matrices",
    ),
    _matrix(
        "transpose", "Entry i, j moves to j, i: the commutation matrix K.", "Xᵀ", "X", "X[m,n]",
        MAGNUS + "chapter 3", "commutation matrix",
    ),
    _matrix(
        "matrix least squares",
        "Twice the residual, sent back through Xᵀ: the same as for a vector, column by column.",
        "‖XW − Y‖_F²", "W", "X[N,n] W[n,k] Y[N,k]", section="7", numbers="R129",
        words="linear regression, XW",
    ),
)  # fmt: skip

IDENTITIES = (
    Identity(
        "dot product as a sum", "A dot product is a sum of products.", "sum(w ⊙ x)", "w[n] x[n]", "5",
        "R98",
    ),
    Identity(
        "ones times a diagonal", "Column sums of a diagonal matrix.", "𝟏ᵀ diag(x)", "x[n]", "5", "R98",
        "diag",
    ),
    Identity(
        "diagonal of ones", "The diagonal matrix of ones.", "diag(𝟏ₙ)", "x[n]", "4.2", "R45", "identity",
    ),
    Identity(
        "diagonal of an expanded scalar", "A scalar on the diagonal.", "diag(𝟏z)", "x[n] z", "4.3", "R61",
    ),
    Identity(
        "product of diagonals", "Diagonal matrices multiply entry by entry.", "diag(a) diag(c)",
        "a[n] c[n]", "4.5.3", "R94", "diag",
    ),
    Identity(
        "scaling by a diagonal", "A row times a diagonal matrix scales its entries: no matrix is built.",
        "gᵀ diag(d)", "g[n] d[n]", "4.2", "R55", "backpropagation",
    ),
    Identity(
        "a factor leaves the sum", "What every term shares is taken out.", "sum(x z)", "x[n] z", "4.4",
        "R70",
    ),
    Identity("a zero row", "Adding zeros changes nothing.", "xᵀ + 𝟎ᵀ", "x[n]", "5", "R99"),
    Identity("cancelling", "What stands above and below the line goes.", "2x/x²", "x", "2", "R15", "cancel"),
    Identity("expand", "A factor is multiplied into every term.", "9(1 + 2x)", "x", "2", "R17", "multiply"),
    Identity("collect terms", "Terms that differ by a number add up.", "x² + 2x²", "x", "2", "R14"),
    Identity("relu and max", "Two spellings of one function.", "max(0, z)", "z", "1", "R6", "relu"),
)  # fmt: skip

# Where functions stand in the notes: section, numbers.
FUNCTIONS_IN_NOTES = {
    "power": ("2", "R11"),
    "log": ("2", "R15"),
    "sin": ("4.5.1", "R76"),
    "cos": ("4.5.1", "R76"),
    "maximum": ("5", "R102"),
    "relu": ("5", "R102, R103"),
}
