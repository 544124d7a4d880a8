"""Checks that the tests of a problem set apply to a student's functions.

calling             calling a student's function; explanations of exceptions and wrong results
problems            small problems to apply the functions to, with the right answers
em                  E-step, M-step, the loop, plots, reading a trace
practice            the ELBO, restarts, the number of components, digits, scores

A check returns nothing if the work is right, in whatever style it is written. Otherwise it raises
`Wrong`, which names the mistake. Students have the checks too; only the problems of hidden tests
are not shown to them. The checks do not depend on notebooks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["em", "practice", "problems"],
    submod_attrs={"calling": ["Wrong"]},
)
