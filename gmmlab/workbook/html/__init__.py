"""HTML pages, each a single file that needs no other file and no network.

    notebook    the page of a run: the executed notebook, parameters, results, provenance
    index       the index of a reports folder, with a card for each run
    sweep       the page of a sweep: table, failures and charts
    charts      the charts of a sweep
    formulas    Markdown with LaTeX formulas, as HTML with MathML
    layout      shared by all pages: the frame, the style, and how values are written
    pdf         printing a page to PDF

Pages are readable on a phone, in dark mode, in print and without scripts. A policy in the head
of each page forbids requests to any host, whatever the notebook contains.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "formulas": ["to_mathml"],
        "index": ["index_page"],
        "notebook": ["to_html"],
        "pdf": ["print_pdf"],
        "sweep": ["sweep_page"],
    },
)
