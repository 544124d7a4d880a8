import matplotlib.pyplot as plt
import pytest


@pytest.fixture
def shown(monkeypatch):
    """Collect what is displayed instead of displaying it."""
    monkeypatch.delenv("WORKBOOK_FIGURES", raising=False)
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: calls.append((a, k)))
    return calls


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def axes():
    return plt.figure().add_subplot()


@pytest.fixture
def axes_3d():
    return plt.figure().add_subplot(projection="3d")
