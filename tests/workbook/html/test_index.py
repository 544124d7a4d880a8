"""The index of a reports folder."""

from pages import cards, soup

from gmmlab.workbook.html import index_page


def test_the_index_has_a_card_for_each_run():
    page = soup(index_page(cards()))
    first, second, third = page.find_all(class_="card")
    assert first.a["href"] == "first.html"
    assert [(e.dt.text, e.dd.text) for e in first.dl.find_all("div")] == [("score", "1.23457")]
    assert first.dd["title"] == "1.23456789"
    assert second.img["alt"] == "A square"
    assert "k = 3" in second.text
    assert "failed" in third["class"]
    assert "it <broke>" in third.text
    assert third.dl is None
    assert soup(index_page([{"title": "Bare"}])).h2.text == "Bare"
