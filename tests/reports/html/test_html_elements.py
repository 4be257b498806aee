"""Elements of HTML: text that is no Markup is escaped in every place."""

from __future__ import annotations

from fxpasses.reports.html.elements import MANY_COLUMNS, Markup, element, facts, folded, joined, row, section, table


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b", element("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"
    assert element("p", "x", cls='"y"', title="<z>") == '<p class="&quot;y&quot;" title="&lt;z&gt;">x</p>'
    assert isinstance(joined(["<", Markup("<br>")]), Markup)
    assert joined(["<", None, Markup("<br>")]) == "&lt;<br>"


def test_tables_say_which_columns_are_text() -> None:
    made = table(("name", "n"), [row("<a>", "1"), row("b", "2", wrap=(1,), cls="x")])
    assert '<th class="left" scope="col">name</th><th scope="col">n</th>' in made
    assert '<tr><td class="left">&lt;a&gt;</td><td>1</td></tr>' in made
    assert '<tr class="x"><td class="left">b</td><td class="wrap">2</td></tr>' in made


def test_facts_without_a_value_are_left_out() -> None:
    assert facts([("a", "1"), ("b", None), ("c", "")]) == "<dl><dt>a</dt><dd>1</dd></dl>"


def test_sections_and_folds() -> None:
    assert section("T", "x", None) == "<section><h2>T</h2>x</section>"
    assert folded("S", element("p", "x")) == "<details><summary>S</summary><p>x</p></details>"


def test_a_table_of_many_columns_is_set_closer() -> None:
    few, many = (table([str(i) for i in range(count)], []) for count in (MANY_COLUMNS, MANY_COLUMNS + 1))
    assert 'class="many"' in many and 'class="many"' not in few
