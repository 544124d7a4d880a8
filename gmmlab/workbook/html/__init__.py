"""Pages: one HTML file each that needs nothing else, no network either.

    notebook    an executed notebook, with its parameters, results and provenance
    cards       the index of the runs in a reports folder
    sweeps      a sweep: its table, its failures, its pictures
    panels      the pictures of a sweep
    formulas    LaTeX as MathML, in Markdown
    layout      what all pages share: the frame, the look, how values are written
    paper       a page as PDF

A page may be read on a phone, in the dark, on paper, without scripts. A policy in its head
forbids every request to a host, whatever a notebook has put into it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "index": ["index"],
        "formulas": ["to_mathml"],
        "notebook": ["to_html"],
        "pdf": ["pdf"],
        "sweep": ["sweep"],
    },
)
