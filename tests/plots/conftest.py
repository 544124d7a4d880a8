import pytest


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, instead of displaying it."""
    monkeypatch.delenv("WORKBOOK_FIGURES", raising=False)
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: calls.append((a, k)))
    return calls
