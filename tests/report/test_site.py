"""The site: every claim and every run of the results is on a page, all links lead somewhere, and texts stay texts."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fabricate
import fabricate_project
import pandas as pd
import pytest

from lrsms.__main__ import main
from lrsms.report import aggregate, findings
from lrsms.report import claims as hypotheses
from lrsms.report.finding import Verdict
from lrsms.report.results import committed, save_project
from lrsms.report.site import front
from lrsms.report.site.content import Sources, read
from lrsms.report.site.front import ORDER
from lrsms.report.site.write import write
from lrsms.study import expand

ROOT = Path(__file__).parents[2]
MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"&'"
HOSTILE, SHOWN = f"{MARKUP}\x1b[31m\u202e", f"{MARKUP}\\x1b[31m\\u202e"
"""What a record can hold, and how a page writes it."""
MOST_BYTES_A_STUDY = 500_000
STUDIES = [folder for folder in committed(ROOT / "results") if "-demo-" not in folder.name]
"""Committed ones, without that of ``make study``."""


class Page(HTMLParser):
    """Elements of a page, the places that it has and refers to, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: list[dict[str, str]] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.text += "" if tag == "wbr" else " "
        self.names.append(tag)
        self.elements.append({"": tag} | {name: value or "" for name, value in attrs})
        for name, value in attrs:
            self.attributes.append((name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "xlink:href"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(root: Path) -> dict[str, Page]:
    """All pages of a site, by their path."""
    return {str(path.relative_to(root)): Page(path) for path in sorted(root.rglob("*.html"))}


def sources(folder: Path, config: Path | None = None) -> Sources:
    results = folder / "results"
    places = results, results / "records", results / "steptime", folder / "figures"
    return Sources(*places, config or folder / "workflow/config")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed results."""
    folder = tmp_path_factory.mktemp("committed") / "site"
    write(folder, STUDIES, sources(ROOT))
    return folder


@pytest.fixture(scope="module")
def made(site: Path) -> dict[str, Page]:
    return pages(site)


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a study of nine runs, of which one diverged and one is missing; its texts are hostile."""
    folder = tmp_path_factory.mktemp("fabricated")
    content = fabricate_project.STUDY | {"question": MARKUP}
    claims = {"F1": fabricate_project.CLAIMS["F1"] | {"finding": MARKUP}}
    project, experiments = fabricate_project.write_project(folder, content, claims)
    said = {"device": HOSTILE, "provenance": {"commit": HOSTILE, "dirty": True, "packages": {"torch": HOSTILE}}}
    fabricate_project.record(folder, experiments[:-2], **said)
    empty = fabricate.scores(0.1, 1).head(0)
    fabricate.record(folder / "results/records", experiments[-2], empty, status="diverged", diverged_at=7)
    results = folder / "results" / fabricate_project.NAME
    aggregate.aggregate(experiments, folder / "results/records", folder / "results/steptime", project.decoding, results)
    save_project(project, results)
    figures = folder / "figures" / fabricate_project.NAME
    figures.mkdir(parents=True)
    drawn = ROOT / "figures/attention-asr-tiny-commands/valid_wer_by_step.svg"
    shutil.copy(drawn, figures / "wer_by_parameters.svg")
    (figures / "wer_by_parameters.rst").write_text(f"{MARKUP}. More of it.\n", encoding="utf-8")
    (folder / "results/FINDINGS.md").write_text(f"{findings.MARK}\n\n## By hand\n{MARKUP}\n", encoding="utf-8")
    return folder


def fabricated_site(folder: Path, output: Path) -> dict[str, Page]:
    write(output, [folder / "results" / fabricate_project.NAME], sources(folder))
    return pages(output)


def test_every_run_that_is_recorded_has_a_page_with_its_configuration_and_its_curve(made) -> None:
    names = {path.name for path in (ROOT / "results/records").iterdir() if not path.name.startswith("demo-")}
    tables = (pd.read_csv(path) for path in (ROOT / "results").glob("*/runs.csv") if "-demo-" not in path.parent.name)
    timed = {name for table in tables for name in table["run"][table["status"] == "timed"]}
    assert names and {Path(path).stem for path in made if path.startswith("runs/")} - {"index"} == names | timed
    for name in names:
        page = made[f"runs/{name}.html"]
        assert name in page.text and "Configuration" in page.text and "Error rates" in page.text
        assert page.names.count("svg") >= 1 + 2, f"{name}: no curve"
        assert any(name in link for link in map(unquote, made["runs/index.html"].links))


def test_every_claim_and_every_verdict_is_there(made) -> None:
    claims = hypotheses.load(ROOT / expand.CONFIG_FOLDER / hypotheses.FILE)
    page = made["findings.html"]
    assert [name for name in claims if name not in page.ids or claims[name].finding not in page.text] == []
    front = made["index.html"]
    assert {f"findings.html#{name}" for name in claims} <= set(front.links)
    header, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (ROOT / "results/FINDINGS.md").read_text().splitlines()
        if re.match(r"\| ([FA]\d|claim)", line)
    ]
    shown = ("tested on", "verdict", "effect", "beyond margin", "test loss (nats per token)", "converged", "p (Holm)")
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        if row["verdict"] != "not run":
            said = " ".join(row[column] for column in shown if column in row)
            assert said in " ".join(page.text.split()), said
    counts = {word: sum(row[3] == word for row in rows) for word in ORDER}
    text = " ".join(front.text.split())
    assert f"supported {counts['supported']} contradicted {counts['contradicted']}" in text
    assert f"undecided {counts['undecided']} not run {counts['not run']}" in text


def test_every_study_has_a_page_with_its_table_its_figures_and_its_notes(made) -> None:
    for folder in STUDIES:
        page = made[f"studies/{folder.name}.html"]
        text = " ".join(page.text.split())
        drawn = {path.stem for path in (ROOT / "figures" / folder.name).glob("*.svg")}
        assert drawn and drawn <= set(page.ids)
        table = (folder / "table.md").read_text()
        cells = [cell.strip() for line in table.splitlines() if line.startswith("| ") for cell in line.split("|")]
        assert [cell for cell in cells if cell.strip("-:") and cell not in text] == []
        notes = [line.removeprefix("- ") for line in table.splitlines() if line.startswith("- ")]
        assert [note for note in notes if not note.startswith(("Also in", "WER change")) and note not in text] == []


def test_all_links_lead_to_a_place_of_the_site(site, made) -> None:
    for path, page in made.items():
        for link_ in set(page.links):
            parts = urlsplit(link_)
            if parts.scheme:
                assert parts.scheme == "https" and path == "findings.html", (path, link_)
                continue
            target = (site / path).parent / unquote(parts.path) if parts.path else site / path
            assert target.is_file(), (path, link_)
            if parts.fragment:
                key = str(target.resolve().relative_to(site.resolve()))
                assert parts.fragment in made[key].ids, (path, link_)


def test_a_page_refers_to_shapes_that_it_has_once(made) -> None:
    for path, page in made.items():
        assert len(page.ids) == len(set(page.ids)), path
        used = {name for _, value in page.attributes for name in re.findall(r"url\(#(.*?)\)", value)}
        assert used <= set(page.ids), path


def test_every_page_can_be_read_by_a_machine(made) -> None:
    for path, page in made.items():
        assert page.names.count("h1") == page.names.count("title") == page.names.count("main") == 1, path
        assert ("lang", "en") in page.attributes and ("name", "viewport") in page.attributes
        roles = [one for one in page.elements if one.get("role") in ("img", "region", "table")]
        assert all(one.get("aria-label") for one in roles), path
        seen = [one for one in page.elements if one[""] == "svg" and one.get("aria-hidden") != "true"]
        assert all(one.get("role") == "img" for one in seen), path
        assert "style" not in {name for name, _ in page.attributes}, f"{path}: the look is in the style sheet"


def test_it_is_small_without_the_pages_of_runs(site) -> None:
    paths = [path for path in site.rglob("*") if path.is_file()]
    runs = [path for path in paths if path.parent.name == "runs" and path.name != "index.html"]
    num_studies = len(list((site / "studies").glob("*.html")))
    assert sum(path.stat().st_size for path in paths if path not in runs) < num_studies * MOST_BYTES_A_STUDY


def test_nothing_of_this_machine_is_on_a_page(site) -> None:
    for path in site.rglob("*.html"):
        assert str(ROOT) not in path.read_text(encoding="utf-8"), path


def test_texts_of_records_and_of_people_stay_texts(fabricated, tmp_path) -> None:
    for path, page in fabricated_site(fabricated, tmp_path / "site").items():
        assert page.names.count("script") == 1 and not {"img", "iframe", "object"} & set(page.names), path
        assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"], path
        raw = page.path.read_bytes().decode("utf-8")
        assert "\x1b" not in raw and "\u202e" not in raw, path
    text = pages(tmp_path / "site")
    assert (
        sum(SHOWN in page.text for path, page in text.items() if path.startswith("runs/tiny") or "runs/demo" in path)
        == 7
    )
    assert SHOWN in text["provenance.html"].text
    for path in ("index.html", "findings.html", f"studies/{fabricate_project.NAME}.html"):
        assert MARKUP in text[path].text, path


def test_the_same_results_give_the_same_bytes(fabricated, tmp_path) -> None:
    for name in ("one", "two"):
        fabricated_site(fabricated, tmp_path / name)
    first, second = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert first == second


def test_runs_that_diverged_or_are_missing_are_listed_as_such(fabricated, tmp_path) -> None:
    made = fabricated_site(fabricated, tmp_path / "site")
    text = " ".join(made[f"studies/{fabricate_project.NAME}.html"].text.split())
    assert "2 diverged - 0.00" in text or "2 diverged -" in text
    assert "3 missing - -" in text
    assert len([path for path in made if path.startswith("runs/")]) == 8 + 1


def test_an_earlier_site_stays_until_a_new_one_is_whole(fabricated, tmp_path, monkeypatch) -> None:
    output = tmp_path / "site"
    fabricated_site(fabricated, output)
    (output / "of-before.html").write_text("x")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lrsms.report.site.front.claims_table", fail)
        with pytest.raises(OSError, match="No space"):
            fabricated_site(fabricated, output)
    assert (output / "of-before.html").is_file() and (output / "index.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    fabricated_site(fabricated, output)
    assert not (output / "of-before.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("name", ["precious.txt", "index.html"])
def test_a_folder_of_something_else_is_not_replaced(fabricated, tmp_path, name) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="is there and is no site of lrsms"):
        fabricated_site(fabricated, tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_the_demo_is_shown_only_where_it_is_named(fabricated, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(fabricated)
    assert main(["site", str(tmp_path / "site")]) == 1
    assert "results: has no results but perhaps the demo's" in capsys.readouterr().err
    assert main(["site", str(tmp_path / "site"), f"results/{fabricate_project.NAME}"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^wrote 1 study and 8 runs, \d\.\d MiB without the pages of runs: open .*/index\.html$", said, re.M
    )


def test_a_study_that_trains_nothing_has_its_pages(tmp_path) -> None:
    content = fabricate_project.STUDY | {"training": False}
    claims = {"F6": fabricate_project.CLAIMS["F1"] | {"rules": ["faster"], "speedup": {"asr": 1.3}}}
    del claims["F6"]["times_fewer"]
    project, experiments = fabricate_project.write_project(tmp_path, content, claims)
    for experiment in experiments:
        fabricate.steptime(tmp_path / "results/steptime", experiment, parameters=123_456)
    results = tmp_path / "results" / fabricate_project.NAME
    aggregate.aggregate(
        experiments, tmp_path / "results/records", tmp_path / "results/steptime", project.decoding, results
    )
    save_project(project, results)
    made = fabricated_site(tmp_path, tmp_path / "site")
    assert "times as fast" in made["index.html"].text
    assert sum("timed" in page.text for path, page in made.items() if path.startswith("runs/")) == 9 + 1


def test_the_answer_is_that_of_the_claim_that_asks_for_no_loss_at_fewer_parameters(fabricated) -> None:
    config = fabricated / "workflow/config"
    claims = hypotheses.load(config / hypotheses.FILE)
    outcome = read(fabricated / "results" / fabricate_project.NAME, claims, config).outcomes[0]

    def tested(*verdicts: Verdict) -> list[front.Tested]:
        return [front.Tested("F1", claims["F1"], [[replace(outcome, verdict=verdict)] for verdict in verdicts])]

    said = [front.verdict_in_words(tested(verdict)) for verdict in ORDER[:3]]
    assert said == ["Yes, wherever it was tested.", "No, wherever it was tested.", "It is not decided yet."]
    assert front.verdict_in_words(tested("supported", "undecided")) == "Yes, wherever it is decided so far."
    assert front.verdict_in_words(tested("undecided", "contradicted")) == "No, wherever it is decided so far."
    for verdicts in (("supported", "contradicted"), ("undecided", "contradicted", "supported")):
        assert front.verdict_in_words(tested(*verdicts)) == "It depends on where it was tested."
    assert front.verdict_in_words(tested()) == "It is not tested yet." and front.answer(tested()) == []
    first, second = front.answer(tested("supported", "undecided"))
    assert first.endswith(": supported in 1 of 2 tests, undecided in 1 of 2 tests.")
    fewer = outcome.findings[1].value
    assert second == f"Counted: {fewer:.2f} times fewer parameters."
    assert front.tally(tested("supported", "undecided")) == {
        "supported": 1,
        "contradicted": 0,
        "undecided": 1,
        "not run": 0,
    }


def test_the_first_page_says_the_effect_that_is_in_the_verdicts_file(made) -> None:
    said = json.loads((ROOT / "results/lrsms-asr-tiny-grid_s1/claims.json").read_text())["claims"]
    row = next(row for row in said if row["rule"] == "parity" and row["kind"] == "verdict")
    text = f"{row['value']:+.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    assert made["index.html"].text.count(text) >= 2
