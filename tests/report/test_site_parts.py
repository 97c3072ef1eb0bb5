"""The parts of the site's pages: figures, effects on one scale, texts that people wrote."""

import re
from pathlib import Path

import pytest

from lrsms.report.site.figure import Sheet
from lrsms.report.site.intervals import Scale, picture
from lrsms.report.site.markdown import as_html
from lrsms.report.site.render import breaks, link
from lrsms.statistics.stats import UNKNOWN, Interval

ROOT = Path(__file__).parents[2]


def svg(inner: str) -> str:
    start = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'
    return f"{start}{inner}</svg>"


def taken(tmp_path: Path, inner: str) -> tuple[str, str]:
    path = tmp_path / "figure.svg"
    path.write_text(svg(inner))
    sheet = Sheet()
    return str(sheet.take(path, "<label>")), str(sheet.shapes)


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"/>',
        '<image href="x.png"/>',
        '<use xlink:href="https://example.org/x.svg#a"/>',
        '<path style="fill: url(https://example.org/x)"/>',
        "<g><foreignObject/></g>",
    ],
)
def test_a_figure_that_holds_what_ours_do_not_is_refused_in_one_line(tmp_path, inner) -> None:
    with pytest.raises(ValueError, match=r"figure\.svg: .* make it again with 'lrsms regenerate'") as raised:
        taken(tmp_path, inner)
    assert "\n" not in str(raised.value)


def test_a_figure_is_the_same_picture_in_fewer_bytes(tmp_path) -> None:
    shape = '<defs><path id="a" d="M 0 0 \nL 1.23456 2 \nz\n" style="stroke: #262626; stroke-width: 0.8"/></defs>'
    figure, shapes = taken(tmp_path, f'<g id="g_1">{shape}<g id="g_2"><use xlink:href="#a" x="3.14159" y="2"/></g></g>')
    assert 'aria-label="&lt;label&gt;"' in figure and figure.endswith('><use x="3.1" y="2" href="#s0"/></svg>')
    assert '<path id="s0" d="M0 0L1.23 2z" stroke="#262626" stroke-width="0.8"/>' in shapes


def test_equal_shapes_of_two_figures_are_there_once(tmp_path) -> None:
    sheet = Sheet()
    for number, name in enumerate("ab"):
        path = tmp_path / f"{name}.svg"
        path.write_text(svg(f'<defs><path id="{name}" d="M 0 0"/></defs><use xlink:href="#{name}"/>'))
        assert 'href="#s0"' in sheet.take(path, f"{number}")
    assert str(sheet.shapes).count("<path") == 1


def test_a_circle_of_eight_curves_is_two_arcs(tmp_path) -> None:
    drawn = (ROOT / "figures/lrsms-asr-tiny-grid_s1/ranks_by_depth.svg").read_text()
    circle = re.search(r'd="(M 0 [\d.]+ \n(?:C [-\d. \n]*){8}z\n)"', drawn)
    assert circle is not None
    figure, _ = taken(tmp_path, f'<path d="{circle[1]}"/>')
    radius = float(circle[1].split()[2])
    found = re.search(r'd="M(-[\d.]+) 0a([\d.]+) \2 0 1 0 ([\d.]+) 0a\2 \2 0 1 0 -\3 0z"', figure)
    assert found is not None, figure
    assert [-float(found[1]), float(found[2]), float(found[3])] == pytest.approx([radius, radius, 2 * radius], abs=0.1)
    other, _ = taken(tmp_path, f'<path d="{circle[1].replace("C", "C", 1).replace("0 -", "7 -", 1)}"/>')
    assert "a" not in re.search(r' d="(.*?)"', other)[1], "what is no circle stays as it is"


def test_effects_are_in_their_places_on_one_scale() -> None:
    scale = Scale.of([(-30.0, Interval(-80.0, 20.0)), (5.0, UNKNOWN)])
    assert (scale.low, scale.high, 0.0 in scale.ticks) == (-80.0, 20.0, True)
    assert [scale.place(x) for x in (-80, -30, 20)] == ["0.00%", "50.00%", "100.00%"]
    drawn = str(picture(scale, -30.0, Interval(-80.0, 20.0), "undecided", "a < b"))
    assert 'class="interval" x1="0.00%" x2="100.00%"' in drawn and 'cx="50.00%"' in drawn and "a &lt; b" in drawn
    assert "interval" not in str(picture(scale, 5.0, UNKNOWN, "undecided", "x"))
    assert Scale.of([]).low < Scale.of([]).high


def test_one_effect_that_reaches_much_further_does_not_hide_the_others() -> None:
    usual = [(-1.0, Interval(-3.0, 1.0)), (0.5, Interval(-2.0, 3.0)), (1.0, UNKNOWN)]
    far = (-34.0, Interval(-112.0, 2.0))
    scale = Scale.of([*usual, far])
    assert (scale.low, scale.high) == (-10.0, 4.0) and far[0] not in scale and far[1].high in scale
    drawn = str(picture(scale, *far, "undecided", "x"))
    assert "circle" not in drawn and drawn.count("\u25c2") == 1 and drawn.count('class="end"') == 1
    assert 'class="interval" x1="0.00%"' in drawn
    assert "beyond" not in str(picture(scale, *usual[0], "undecided", "x"))


def test_markdown_keeps_links_to_the_web_and_to_files_beside_it() -> None:
    text = "[a](x.json) [b](y.json) [c](https://example.org) [d](javascript:alert(1)) ![e](p.png) <b>f</b>"
    made = str(as_html(f"{text}\n\n| g |\n| ---: |\n| 1 |", {"x.json"}))
    assert re.findall(r'href="(.*?)"', made) == ["x.json", "https://example.org"]
    assert "&lt;b&gt;f&lt;/b&gt;" in made and "<img" not in made and "style=" not in made
    assert '<td class="number">1</td>' in made


def test_a_line_may_end_within_a_name_and_an_address_is_quoted() -> None:
    assert breaks("encoder.attention+encoder.feedforward-0.5") == "encoder.attention+<wbr>encoder.feedforward-0.5"
    assert breaks("+1.7 <b>") == "+1.7 &lt;b&gt;"
    assert link('a b"c.html#x', "<") == '<a href="a%20b%22c.html#x">&lt;</a>'
