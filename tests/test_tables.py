"""Tables of scores: spread, columns, and names as they are."""

from pymim import compare


def test_spread_is_shown_for_several_seeds_only():
    table = {"a": {"knn": [0.5, 0.7]}, "pixels": {"knn": [0.25]}}
    assert compare.markdown(table).splitlines()[2:] == ["| a | 60.0 +- 14.1 |", "| pixels | 25.0 |"]


def test_every_measure_has_a_column(tmp_path):
    from pymim.draw.comparison import draw

    table = {"a": {"knn": [0.5]}, "b": {"linear": [0.25], "knn": [0.5]}, "c": {"nmi": [0.1]}}
    lines = ["| % | knn | linear | nmi |", "|---|---|---|---|", "| a | 50.0 | - | - |"]
    lines += ["| b | 50.0 | 25.0 | - |", "| c | - | - | 10.0 |"]
    assert compare.markdown(table).splitlines() == lines
    draw(table, tmp_path / "bars.png")
    assert (tmp_path / "bars.png").exists()


def test_names_are_shown_as_they_are(tmp_path):
    from html import unescape

    from pymim.draw.comparison import draw

    names = [
        "a|b",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert)",
        "`*_",
        "$\\frac$",
        "\x1b[2J",
        "a & b",
    ]
    table = {name: {"k|<n>": [0.5]} for name in names}
    text = compare.markdown(table)
    assert "<" not in text and "\x1b" not in text
    rows = [line.replace("\\|", "&#124;").split("|") for line in text.splitlines()]
    assert all(len(row) == 4 for row in rows)  # two cells a row
    assert unescape(rows[2][1]).strip() == "a|b" and unescape(rows[3][1]).strip() == names[1]
    draw(table, tmp_path / "bars.png")
