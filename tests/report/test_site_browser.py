"""The site opened in a browser, as files: nothing goes wrong, tables sort, and it can be read in light and in dark.

Only with LRSMS_SYSTEM_TESTS=1 and a Chromium. A script is added to a copy of each page, which goes through it as a
reader would and leaves what it saw.
"""

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from browser import MARKS, chromium

from lrsms.report.results import committed
from lrsms.report.site.content import Sources
from lrsms.report.site.write import write

pytestmark = MARKS

ROOT = Path(__file__).parents[2]
STUDY = "studies/lrsms-vsr-tiny-grid_s1.html"
RUN = next((ROOT / "results/records").glob("tiny-asr-grid_s1-dense-s1-*")).name
PAGES = [
    "index.html",
    "findings.html",
    "provenance.html",
    "runs/index.html",
    "bench/index.html",
    STUDY,
    f"runs/{RUN}.html",
]
LIGHT, DARK = ("--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0")
LEAST_CONTRAST = 4.5
"""Of text on its background (WCAG 2.2, level AA)."""
PROBE = """
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const light = color => {
  const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const [r, g, b] = numbers(color).slice(0, 3).map(c => linear(c / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = element => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (numbers(color)[3] !== 0) return color;
  }
};
const contrast = element => {
  const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
};
addEventListener("load", () => {
  const seen = {contrast: [], sorted: [], paper: getComputedStyle(document.body).backgroundColor};
  for (const kind of ["p", "h1", "a", ".badge", ".note", ".where", "th", "td", "summary", "dt", "nav a", "footer p"]) {
    const elements = [...document.querySelectorAll(kind)].slice(0, 40);
    seen.contrast.push(...elements.map(element => [contrast(element), kind]));
  }
  seen.text = document.querySelector("main").innerText;
  seen.buttons = document.querySelectorAll("button").length;
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  seen.paths = [...document.querySelectorAll("svg.figure path, svg.figure use")].map(e => getComputedStyle(e).fill);
  for (const table of document.querySelectorAll("table.sortable")) {
    const texts = column => [...table.tBodies[0].rows].map(row => row.cells[column].textContent.trim());
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const before = texts(column);
      const button = header.querySelector("button");
      if (!button) return;
      button.click();
      const up = [header.getAttribute("aria-sort"), texts(column)];
      button.click();
      seen.sorted.push([header.textContent, before, up, [header.getAttribute("aria-sort"), texts(column)]]);
    });
  }
  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed results."""
    folder = tmp_path_factory.mktemp("browser") / "site"
    results = ROOT / "results"
    places = results, results / "records", results / "steptime", ROOT / "figures", ROOT / "workflow/config"
    write(folder, committed(results), Sources(*places))
    return folder


def seen(site: Path, page: str, *options: str, scripts: bool = True) -> dict[str, Any]:
    """What the probe saw on a page, with or without the site's own script, and what the page said to the console."""
    copy = site.parent / "probed"
    if not copy.exists():
        shutil.copytree(site, copy)
        (copy / "probe.js").write_text(PROBE)
    text = (site / page).read_text(encoding="utf-8")
    if not scripts:
        text = re.sub("<script.*?</script>", "", text)
    script = f'<script src="{"../" * page.count("/")}probe.js"></script>'
    (copy / page).write_text(text.replace("</head>", f"{script}</head>"), encoding="utf-8")
    dom, console = chromium(copy / page, *options)
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found, f"the script did not come to its end; console: {console}"
    return json.loads(html.unescape(found[1])) | {"console": console}


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_goes_wrong_and_all_text_can_be_read(site: Path, page: str, scheme: str) -> None:
    found = seen(site, page, scheme)
    assert found["console"] == []
    assert (sum(map(int, re.findall(r"\d+", found["paper"])[:3])) > 384) == (scheme == LIGHT)
    assert [one for one in found["contrast"] if one[0] < LEAST_CONTRAST] == []
    if scheme == DARK:
        assert not {"rgb(0, 0, 0)", "rgb(255, 255, 255)"} & set(found["paths"]), "black on dark, or white"


@pytest.mark.parametrize("page", ["index.html", "findings.html", STUDY, f"runs/{RUN}.html"])
def test_a_narrow_window_scrolls_down_only(site: Path, page: str) -> None:
    assert seen(site, page, "--window-size=500,800")["wide"] <= 0


@pytest.mark.parametrize("page", ["index.html", "runs/index.html", STUDY])
def test_every_column_sorts_up_and_down_and_loses_no_row(site: Path, page: str) -> None:
    tables = seen(site, page)["sorted"]
    assert tables
    for header, before, (up_said, up), (down_said, down) in tables:
        assert (up_said, down_said) == ("ascending", "descending"), header
        assert sorted(up) == sorted(down) == sorted(before), header
        known = [text for text in up if text not in ("", "-")]
        assert all(text in ("", "-") for text in [*up[len(known) :], *down[len(known) :]]), header
        numbers = [float(found[0]) for text in known if (found := re.match(r"[-+]?\d+(\.\d+)?", text.replace(",", "")))]
        if len(numbers) == len(known):
            assert numbers == sorted(numbers), header
            assert down[: len(known)] == [*reversed(known)] or len(set(numbers)) < len(numbers), header


@pytest.mark.parametrize("page", ["index.html", STUDY])
def test_without_its_script_a_page_says_the_same(site: Path, page: str) -> None:
    found, bare = seen(site, page), seen(site, page, scripts=False)
    assert found["buttons"] > 0 == bare["buttons"]
    assert len(bare["text"]) > 1000 and bare["text"] == found["text"]
