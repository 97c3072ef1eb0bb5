"""The report opened in a browser: the question, the verdicts and the pictures are there, and nothing goes wrong.

Only with LRSMS_SYSTEM_TESTS=1 and a Chromium. The report is one page that draws itself; scripts are added
to a copy, which go through it as a reader would and leave what they saw.
"""

import base64
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import fabricate_project
import pytest
from browser import MARKS, chromium

pytestmark = MARKS

LARGEST = 2 * 2**20
"""Characters of an embedded page that Chromium still shows."""
EXPECTED = ("cdn.tailwindcss.com should not be used in production",)
"""What Snakemake's own page says to the console, from its copy of that library: nothing is loaded."""
FIRST = """<script>
const faults = [];
addEventListener("error", event => faults.push(event.message || event.target.outerHTML), true);
addEventListener("unhandledrejection", event => faults.push(String(event.reason)));
console.error = (...words) => faults.push(words.join(" "));
</script>"""
LAST = """<script>
async function read() {
  const pause = () => new Promise(resolve => setTimeout(resolve, 200));
  await pause();
  const seen = {landing: document.querySelector("#app").innerText, menus: {}, pictures: {}, frames: {}};
  seen.main = document.querySelector("#app .document img")?.naturalWidth ?? 0;
  for (const category of Object.keys(categories).sort()) {
    app.setView({navbarMode: "menu"});
    await pause();
    app.showCategory(category);
    await pause();
    seen.menus[category] = document.querySelector("#app table")?.innerText ?? "";
  }
  for (const [path, result] of Object.entries(results)) {
    const content = result.mime_type == "text/html" ? "html" : result.mime_type == "image/png" ? "img" : null;
    if (!content) continue;
    app.setView({content: content, contentPath: result.data_uri, resultPath: path});
    await pause();
    const shown = [...document.querySelectorAll("#app img")].find(image => image.src == result.data_uri);
    if (content == "img") seen.pictures[path] = shown?.naturalWidth ?? 0;
    else seen.frames[path] = [document.querySelector("#app iframe").src.length, result.data_uri];
  }
  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = JSON.stringify({...seen, faults: faults});
  document.body.append(note);
}
read();
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fabricated study with its report."""
    folder = tmp_path_factory.mktemp("report")
    fabricate_project.record(folder, fabricate_project.write_project(folder)[1])
    for arguments in (["all"], ["pages", "--force"], ["all", "pages", "--report", "report.html"]):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Any]:
    """What a reader of the report sees, and ``console``."""
    report = (folder / "report.html").read_text(encoding="utf-8")
    page = folder / "read.html"
    page.write_text(report.replace("<head>", f"<head>{FIRST}", 1) + LAST, encoding="utf-8")
    dom, console = chromium(page)
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found, f"the script did not come to its end; console: {console}"
    return json.loads(html.unescape(found.group(1))) | {"console": console}


def test_nothing_goes_wrong(seen: dict[str, Any]) -> None:
    assert seen["faults"] == []
    assert [line for line in seen["console"] if not any(words in line for words in EXPECTED)] == []


def test_it_opens_with_the_question_and_the_verdicts(seen: dict[str, Any]) -> None:
    landing = seen["landing"]
    assert fabricate_project.STUDY["question"] in landing
    assert re.search(r"F1 (supported|contradicted|undecided): Attention does not need its ranks", landing)
    order = [
        fabricate_project.STUDY["question"],
        "Attention does not need its ranks",
        "targets",
        "How it was made",
        "9 of 3 cells",
    ]
    assert sorted(order, key=landing.index) == order
    assert seen["main"] > 100


def test_verdicts_come_first_and_runs_are_found_by_cell_and_seed(seen: dict[str, Any]) -> None:
    assert [*seen["menus"]] == ["1 Verdicts", "2 Tables", "3 Figures", "4 Plan", "5 Provenance", "6 Runs"]
    assert all(seen["menus"].values())
    rows = [line.split() for line in seen["menus"]["6 Runs"].splitlines()]
    assert [row for row in rows if row[:2] == ["encoder.attention-0.12", "3"]]


def test_every_picture_is_drawn(folder: Path, seen: dict[str, Any]) -> None:
    assert {Path(path).name for path in seen["pictures"]} == {path.name for path in folder.glob("figures/*/*.png")}
    assert len(seen["pictures"]) >= 5 and all(width > 100 for width in seen["pictures"].values())


def test_every_page_is_shown_and_small_enough_to_be(seen: dict[str, Any]) -> None:
    assert len(seen["frames"]) == 1 + 1 + 3 + 1 + 9  # verdicts, table, plans, provenance, runs
    for path, (length, uri) in seen["frames"].items():
        assert length == len(uri) < LARGEST, path


def test_the_verdicts_are_on_their_page(folder: Path, seen: dict[str, Any]) -> None:
    uri = next(uri for path, (_, uri) in seen["frames"].items() if path.endswith("claims.html"))
    (folder / "verdicts.html").write_bytes(base64.b64decode(uri.partition("base64,")[2]))
    dom, console = chromium(folder / "verdicts.html")
    assert "Attention does not need its ranks" in dom and "<th>verdict</th>" in dom
    assert console == []
