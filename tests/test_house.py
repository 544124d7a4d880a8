"""How the package is laid out: what may import what, and how much an import costs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gmmlab", "numpy"),
        ("from gmmlab import fit, Mixture, start, datasets", "sklearn"),
        ("from gmmlab import fit, Mixture, start, datasets", "matplotlib"),
        ("from gmmlab import record; import gmmlab.workbook", "scipy"),
        ("from gmmlab import GaussianMixture, plots, diagnostics, load_mnist", "keras"),
        ("from gmmlab import plots; from gmmlab.plots import interactive", "plotly"),
        ("import gmmlab.__main__", "nbgrader"),
        ("import gmmlab.__main__", "numpy"),
        ("from gmmlab.course.checks import em, practice", "nbgrader"),
    ],
)
def test_imports_are_light(statement, absent):
    code = f"{statement}; import sys; assert {absent!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported_and_is_documented():
    import gmmlab

    for name in gmmlab.__all__:
        assert getattr(gmmlab, name).__doc__, name


@pytest.mark.parametrize(
    "statement",
    [
        "import gmmlab.many_starts; from gmmlab import search; assert callable(search)",
        "import gmmlab.search; from gmmlab import search; assert callable(search)",
        "from gmmlab import player, space; player.film, player.stills, space.ellipsoids",
        "from gmmlab.player import film; import gmmlab.plots.animation as new; new.film is film",
        "from gmmlab import likelihood_ratio; likelihood_ratio.bootstrap_test",
        "from gmmlab.intervals import uncertainty; from gmmlab.families import Covariance",
        "from gmmlab.sums import natural_parameters; from gmmlab.coordinates import Coordinates",
        "from gmmlab.samples import Samples; from gmmlab.information import information",
    ],
)
def test_old_names_still_import(statement):
    subprocess.run([sys.executable, "-W", "error", "-c", statement], check=True)
