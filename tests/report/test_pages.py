"""The pages of a report show what records hold, as text whatever it is, and ask for nothing that is not there."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fabricate
import fabricate_project
import pytest
import yaml

from lrsms.base.files import write_json
from lrsms.record.decoding_times import times_path
from lrsms.record.score import scored, write_scores
from lrsms.record.worst import worst_path, write_worst
from lrsms.report import aggregate, tables
from lrsms.report.pages.chart import Line, chart, nice_ticks
from lrsms.report.pages.markup import Table, escape_rst, page
from lrsms.report.pages.plan_page import ranks_chart, ranks_text
from lrsms.report.pages.write import write
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"&'"


class Elements(HTMLParser):
    """Names of a page's elements, what they refer to, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.text += " "
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def made(folder: Path, project: Project, experiments: list[Experiment]) -> Path:
    """The folder of pages of what is recorded in ``folder``."""
    results = folder / "results" / fabricate_project.NAME
    records, steptimes = folder / "results/records", folder / "results/steptime"
    aggregate.aggregate(experiments, records, steptimes, project.decoding, results)
    write(results, folder / "pages", project, "What?", experiments, records, folder / "figures")
    return folder / "pages"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Project, list[Experiment]]:
    """A study of nine runs, of which the last is not there, the one before diverged, and text is hostile."""
    folder = tmp_path_factory.mktemp("pages")
    project, experiments = fabricate_project.write_project(folder)
    origin = {"commit": HOSTILE, "dirty": True, "python": "3.11", "packages": {"torch": HOSTILE}, "verb": ["x"]}
    said = {"provenance": origin, "seconds": 90.4, "device": HOSTILE, "threads": 2}
    said["sessions"] = [{"start": 0, "graphs": True}] * 2
    fabricate_project.record(folder, experiments[:-3], **said, waited=0.0345)
    took = {"audio_seconds": 50.0, "network_seconds": 1.0, "search_seconds": {"greedy": 0.25, "beam": 4.0}}
    times = {"device": HOSTILE, "threads": 2, "conditions": {"valid": took, "test": took}}
    write_json(folder / "results/records" / experiments[0].name / times_path(Path(project.decoding.scores)).name, times)
    fabricate_project.record(folder, experiments[-3:-2], **said)  # as before it was known
    empty = fabricate.scores(0.1, 1).head(0)
    fabricate.record(folder / "results/records", experiments[-2], empty, status="diverged", diverged_at=7)
    return folder, project, experiments


@pytest.fixture(scope="module")
def pages(recorded: tuple[Path, Project, list[Experiment]]) -> Path:
    return made(*recorded)


def run_page(pages: Path, experiment: Experiment) -> Elements:
    return Elements((pages / "runs" / f"{experiment.name}.html").read_text())


def test_there_is_a_page_for_each_run_and_one_for_each_cell(recorded, pages) -> None:
    names = [experiment.name for experiment in recorded[2]]
    assert {path.stem for path in (pages / "runs").iterdir()} == set(names)
    assert {path.stem for path in (pages / "plans").iterdir()} == {names[0], names[3], names[6]}


def test_nothing_that_a_record_says_becomes_markup_and_nothing_is_loaded(pages) -> None:
    paths = [*pages.rglob("*.html")]
    assert len(paths) == 9 + 3 + 2
    for path in paths:
        elements = Elements(path.read_text())
        assert not {"script", "img", "link", "iframe", "object", "a"} & set(elements.names), path
        assert not {name for name, _ in elements.attributes if name.startswith("on") or name in ("src", "href")}, path
        assert not [value for _, value in elements.attributes if value and "//" in value], path
    assert sum(HOSTILE in Elements(path.read_text()).text for path in (pages / "runs").iterdir()) == 7
    assert HOSTILE in Elements((pages / "provenance.html").read_text()).text


def test_every_page_has_one_heading_a_title_a_language_and_table_headers(pages) -> None:
    for path in pages.rglob("*.html"):
        elements = Elements(path.read_text())
        assert elements.names.count("h1") == elements.names.count("title") == 1
        assert ("lang", "en") in elements.attributes
        assert elements.names.count("table") == 0 or {"row", "col"} & {
            v for n, v in elements.attributes if n == "scope"
        }
        pictures = elements.names.count("svg")
        assert pictures == sum(item == ("role", "img") for item in elements.attributes)
        assert pictures == sum(name == "aria-label" and bool(value) for name, value in elements.attributes)


def test_the_counts_of_a_run_are_those_of_its_scores(recorded, pages) -> None:
    table = fabricate.scores(0.1, 3)  # of the fourth record
    part = table[(table["decoder"] == "beam") & (table["condition"] == "test")]
    edits, words = int(part["substitutions"].sum()), int(part["words"].sum())
    text = " ".join(run_page(pages, recorded[2][3]).text.split())
    assert f"beam test test {len(part)} {words} {edits} 0 0 {100 * edits / words:.2f}" in text
    worst = part.sort_values(["substitutions", "id"], ascending=[False, True]).iloc[0]
    after = text.split("Worst utterances: beam, test")[1]
    assert re.search(r"alignment (\S+) (\S+) 6 (\d+) 0 0 ([SC]+)", after).groups() == (
        worst["id"],
        worst["speaker"],
        str(worst["substitutions"]),
        worst["alignment"],
    )


def test_the_words_of_the_worst_utterances_are_shown_with_their_errors_marked(tmp_path) -> None:
    project, experiments = fabricate_project.write_project(tmp_path)
    fabricate_project.record(tmp_path, experiments[:1])
    scores = tmp_path / "results/records" / experiments[0].name / project.decoding.scores
    rows = [
        {"decoder": name, "condition": condition, "id": id, "speaker": "s", "reference": said, "hypothesis": heard}
        for name in project.decoders
        for condition in ("valid", "test")
        for id, said, heard in (("a", "one two three <b>", f"one {HOSTILE.split()[0]} <b> four"), ("c", "one", "one"))
    ]
    aligned = scored(rows)
    write_scores(scores, aligned)
    write_worst(worst_path(scores), rows, aligned)
    page = (made(tmp_path, project, experiments) / "runs" / f"{experiments[0].name}.html").read_text()
    assert {"script", "b"}.isdisjoint(Elements(page).names)
    after = page.split("Worst utterances: beam, test")[1].split("</table>")[0]
    pairs = re.findall(r'<span class="pair( wrong)?"><span>(.*?)</span> <span>(.*?)</span></span>', after)
    said, heard = ([unescape(pair[side]) for pair in pairs if pair[side] != "***"] for side in (1, 2))
    assert (" ".join(said), " ".join(heard)) == (rows[0]["reference"], rows[0]["hypothesis"])
    letters = aligned[0].alignment.letters
    assert [bool(wrong) for wrong, *_ in pairs] == [letter != "C" for letter in letters]
    assert [(above == "***", below == "***") for _, above, below in pairs] == [(x == "I", x == "D") for x in letters]


def test_a_page_says_how_long_was_waited_for_data_where_that_is_known(recorded, pages) -> None:
    texts = [" ".join(run_page(pages, experiment).text.split()) for experiment in recorded[2][:-2]]
    assert ["of its steps, waiting for data 3.5%" in text for text in texts] == [True] * (len(texts) - 1) + [False]
    assert "waiting for data" not in texts[-1]


def test_a_page_says_how_fast_decoding_was_where_that_is_known(recorded, pages) -> None:
    texts = [" ".join(run_page(pages, experiment).text.split()) for experiment in recorded[2]]
    assert f"real-time factor, greedy 0.025 ({HOSTILE}, 2 threads)" in texts[0]
    assert "real-time factor, beam 0.1 (" in texts[0]
    assert not any("real-time factor" in text for text in texts[1:])


def test_the_configuration_can_be_read_back(recorded, pages) -> None:
    experiment = recorded[2][3]
    text = (pages / "runs" / f"{experiment.name}.html").read_text()
    shown = Elements(re.search(r"<pre[^>]*>(.*?)</pre>", text, flags=re.DOTALL).group(1)).text
    assert yaml.safe_load(shown) == experiment.run.model_dump(mode="json", exclude_none=True)


def test_a_run_says_how_it_ended_and_what_it_varies(recorded, pages) -> None:
    experiments = recorded[2]
    first, lowrank, diverged, missing = (run_page(pages, experiments[index]).text for index in (0, 3, 7, 8))
    assert "nothing: the dense baseline" in first and "0:01:30" in first and "2, from steps 0, 0" in first
    assert "CUDA graphs" in first
    assert "lowrank.targets: encoder.attention; lowrank.ratio: 0.5" in lowrank
    assert "diverged at step 7" in diverged and "Worst" not in diverged
    assert "missing" in missing and "Configuration" in missing and "Provenance" not in missing


def test_the_plan_of_a_cell_has_shapes_ranks_and_parameters(recorded, pages) -> None:
    experiment = recorded[2][6]
    text = Elements((pages / "plans" / f"{experiment.name}.html").read_text()).text.replace("\u00a0", " ")
    matrix = fabricate.matrices(experiment)[0]
    assert "96 x 96" in text and f"{matrix['parameters']:,}" in text and f"{matrix['parameters_dense']:,}" in text
    size, dense = fabricate.parameters(experiment)
    assert f"{size:,} parameters; {dense:,} where every matrix is dense ({dense / size:.2f}x fewer)" in text


def test_the_summary_counts_what_is_missing_and_diverged(pages) -> None:
    text = (pages / "summary.rst").read_text().replace("\\", "")
    assert "9 of 3 cells (7 finished, 1 diverged, 1 missing); seeds 1, 2, 3" in text
    assert "commit </script>" in text and "with changes that were not committed (7 runs)" in text


def test_the_table_is_the_readable_one(recorded, pages) -> None:
    folder = recorded[0] / "results" / fabricate_project.NAME
    table = tables.readable(tables.summarise(folder), tables.WIDTH)
    text = Elements((pages / "table.html").read_text()).text
    assert all(column.header in text for column in table.columns)
    assert all(note in text for note in table.notes)


def test_pages_of_an_earlier_choice_of_runs_go(recorded, tmp_path) -> None:
    folder, project, experiments = recorded
    results = folder / "results" / fabricate_project.NAME
    for choice in (experiments, experiments[:3]):
        write(results, tmp_path, project, "", choice, folder / "results/records", folder / "figures")
    assert len([*(tmp_path / "runs").iterdir()]) == 3 and len([*(tmp_path / "plans").iterdir()]) == 1


def test_a_study_that_trains_nothing_has_sizes_and_step_times(tmp_path) -> None:
    project, experiments = fabricate_project.write_project(tmp_path, fabricate_project.STUDY | {"training": False})
    for experiment in experiments:
        fabricate.steptime(tmp_path / "results/steptime", experiment, parameters=123_456)
    pages = made(tmp_path, project, experiments)
    run = run_page(pages, experiments[3]).text
    assert "timed" in run and "123,456" in run and "times as fast" in run
    plan = (pages / "plans" / f"{experiments[3].name}.html").read_text()
    assert "123,456 parameters. This study trains nothing: no plan is recorded." in plan
    assert "nothing\\: training steps are timed" in (pages / "summary.rst").read_text()
    assert "No run is recorded" in (pages / "provenance.html").read_text()


def test_a_study_of_which_nothing_is_recorded_has_pages(tmp_path) -> None:
    pages = made(tmp_path, *fabricate_project.write_project(tmp_path))
    assert "9 missing" in (pages / "summary.rst").read_text()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("plan.json", "[1]", "plan.json: not readable as JSON (not an object)"),
        ("plan.json", "{}", "plan.json: key 'matrices' is missing"),
        ("run.json", "{", "run.json: not readable as JSON"),
        ("curve.csv", "step\n1\n", "curve.csv: not a training curve"),
    ],
)
def test_a_damaged_record_is_named_in_one_line(tmp_path, file, content, said) -> None:
    project, experiments = fabricate_project.write_project(tmp_path)
    fabricate_project.record(tmp_path, experiments[:1])
    made(tmp_path, project, experiments)
    (tmp_path / "results/records" / experiments[0].name / file).write_text(content)
    folder = tmp_path / "results" / fabricate_project.NAME
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        write(folder, tmp_path / "pages", project, "", experiments, tmp_path / "results/records", tmp_path / "figures")
    assert "\n" not in str(raised.value)


def test_damaged_claims_are_named_in_one_line(recorded, tmp_path) -> None:
    folder, project, experiments = recorded
    path = folder / "results" / fabricate_project.NAME / "claims.json"
    path.write_text(json.dumps({"claims": [{"claim": "F1"}]}))
    try:
        with pytest.raises(ValueError, match=r"claims\.json: not readable \('verdict'\)"):
            write(path.parent, tmp_path, project, "", experiments, folder / "results/records", folder / "figures")
    finally:
        path.unlink()


def test_the_summary_has_the_verdict_whatever_other_endpoints_say(recorded, tmp_path) -> None:
    folder, project, experiments = recorded
    path = folder / "results" / fabricate_project.NAME / "claims.json"
    row = {"claim": "F1", "finding": "It does not hurt"}
    path.write_text(json.dumps({"claims": [row | {"verdict": "undecided"}, row | {"verdict": ""}]}))
    try:
        write(path.parent, tmp_path, project, "", experiments, folder / "results/records", folder / "figures")
    finally:
        path.unlink()
    assert "- **F1 undecided**: It does not hurt" in (tmp_path / "summary.rst").read_text()


def test_pages_need_no_torch() -> None:
    check = "import sys, lrsms.report.pages.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ([24, 24, 24], "24"),
        ([None, None], "dense"),
        ([12, 18, 18, 24], "12, 18 (x2), 24"),
        ([8, 12, 8], "8, 12, 8"),
        ([None, 8], "dense, 8"),
    ],
)
def test_ranks_in_words_keep_their_order(ranks: list[int | None], said: str) -> None:
    assert ranks_text(ranks) == said


def test_matrices_with_the_same_ranks_share_a_line() -> None:
    def entry(role: str, ranks: list[int | None]) -> dict[str, Any]:
        return {"role": role, "layers": [0, 1], "ranks": ranks}

    drawn = ET.fromstring(ranks_chart([entry("a", [4, 8]), entry("b", [4, 8]), entry("c", [None, None])]))
    assert [text.text for text in drawn.iter("text")][-1] == "a, b"
    assert ranks_chart([entry("c", [None, 8])]) == "", "one rank is no course over depth"


@pytest.mark.parametrize(
    ("top", "ticks"),
    [(0.0, [0, 1]), (5.0, [0, 1, 2, 3, 4, 5]), (11.0, [0, 2.5, 5, 7.5, 10, 12.5]), (0.07, [0, 0.02, 0.04, 0.06, 0.08])],
)
def test_ticks_are_round_and_reach_the_top(top: float, ticks: list[float]) -> None:
    assert nice_ticks(top) == pytest.approx(ticks)


def test_a_chart_puts_points_where_they_belong_and_leaves_out_what_is_no_number() -> None:
    lines = [Line("a<b", [(0, 0), (5, float("nan")), (10, 5)]), Line("none", [(0, float("inf"))])]
    drawn = ET.fromstring(chart("T", "x", "y", lines))
    curves = [path.get("d") for path in drawn.iter("path") if path.get("stroke-width") and "," in (path.get("d") or "")]
    assert curves == ["M62.0,220.0 408.0,26.0"], "from the origin to the upper right corner"
    texts = [text.text for text in drawn.iter("text")]
    assert "a<b" in texts and "none" not in texts
    assert chart("T", "x", "y", lines[1:]) == ""


def test_text_is_escaped_and_markup_of_tables_is_not() -> None:
    content = page(
        HOSTILE, "{{ show(table) }}", table=Table((HOSTILE,), [(HOSTILE,)], frozenset({0}), HOSTILE)
    ).decode()
    assert Elements(content).text.count(HOSTILE) == 5  # in the title, the heading, the caption, the header and the cell
    assert '<th scope="col" class="number">' in content


@pytest.mark.parametrize(
    "text", [HOSTILE, "a_ `b` |c| *d*", ".. raw:: html\n\n   <b>x</b>", "1. x", "{{ 7 * 7 }}", "a\\b"]
)
def test_restructured_text_means_itself(text: str) -> None:
    from docutils.core import publish_doctree

    tree = publish_doctree(escape_rst(text), settings_overrides={"report_level": 1, "halt_level": 1})
    assert [node.tagname for node in tree.children] == ["paragraph"]
    assert tree.astext() == " ".join(text.split())
    assert [child.tagname for child in tree.children[0].children] == ["#text"]
