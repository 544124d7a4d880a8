"""Formulas become MathML."""

import re

from pages import page_of, text

from gmmlab.workbook.html import to_mathml


def test_formulas_become_mathml():
    page = page_of(
        text(
            r"Inline $\pi_k < 1$."
            "\n\n$$\\sum_k \\pi_k = 1$$\n\n"
            r"\begin{align} a &= b \\ c &= d \end{align}"
            "\n\n"
            r"$$\begin{aligned} a &= b \\ c &= d \end{aligned}$$"
        )
    )
    assert page.count("<math") == 4
    assert page.count('display="block"') == 3
    assert page.count("<mtr>") == 4
    assert "$" not in re.sub(r"(?s)<style.*?</style>", "", page)


def test_a_formula_that_cannot_be_converted_is_shown_as_code():
    assert to_mathml(r"\left( x_ <b>") == r"<code>\left( x_ &lt;b&gt;</code>"
