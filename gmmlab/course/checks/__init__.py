"""What the tests in a problem set say: laws of EM, held against a student's own functions.

    calling     calling a student's function; what an exception means in words
    problems    problems to try it on, and the right answers
    em          the two steps, the loop, what one draws of them
    practice    the bound, restarts, choosing k, digits, scores

A check returns nothing if the work is right, in whatever style it is written, and else raises
`Wrong`, which names the mistake. Students have these checks too; a test of a problem set that is
hidden keeps to itself only the cases it tries. Nothing here knows of notebooks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["em", "practice", "problems"],
    submod_attrs={"calling": ["Wrong"]},
)
