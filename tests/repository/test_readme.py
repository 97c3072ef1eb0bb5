"""README and docs/ show what the code made, and name only what exists."""

import re
from pathlib import Path

import pytest
import yaml

from lrsms.base.strict import parse
from lrsms.study.corpus import Manifest, Transcripts
from lrsms.study.expand import CONFIG_FOLDER

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = (ROOT / "figures/demo/table.md").read_text()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def rows(text: str) -> list[dict[str, str]]:
    """The rows of the first table whose first column is ``targets``, by header."""
    lines = re.search(r"^\| targets.*\n(?:\|.*\n)+", text, re.MULTILINE)
    assert lines is not None
    header, _, *body = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[0].splitlines())
    return [dict(zip(header, cells, strict=True)) for cells in body]


def test_the_whole_table_is_the_one_that_the_demo_study_made() -> None:
    assert MADE in (ROOT / "docs/reading.md").read_text()


def test_the_short_table_has_four_of_its_columns_in_the_rows_of_the_default_initialisation_and_mapping() -> None:
    shown = rows(README)
    columns = list(shown[0])
    usual = [row for row in rows(MADE) if row["init"] in ("", "spectral") and row["mapping"] in ("", "uniform")]
    assert len(columns) == 4 and len(shown) >= 4
    assert shown == [{column: row[column] for column in columns} for row in usual]


def test_the_first_screen_has_two_commands_a_figure_a_table_and_where_to_go() -> None:
    first = README[: README.index("\n## ")]
    commands = re.findall(r"```sh\n(.*?)```", first, re.DOTALL)
    assert [command.split("#")[0].strip() for command in commands[0].splitlines()] == ["make study", "make test"]
    places = ["```sh", "](figures/ratios-asr-tiny-commands/wer_by_ratio.png)", "| targets", "| you want to | go to |"]
    assert sorted(places, key=first.index) == places and len(commands) == 1


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    assert [page.name for page in PAGES[2:] if f"docs/{page.name}" not in README] == []


@each_page
def test_every_file_that_is_linked_or_shown_exists(page: Path) -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [path for path in linked if not (page.parent / path).exists()] == []


@each_page
def test_every_make_target_and_verb_exists(page: Path) -> None:
    text = page.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^([a-z-]+ )*{target}[ a-z-]*:", makefile, re.MULTILINE), target
    verbs = "".join(path.read_text() for path in (ROOT / "lrsms/verbs").glob("*.py"))
    for verb in re.findall(r"(?:\.venv/bin/|python -m |`)lrsms ([a-z]+)", text):
        assert re.search(rf"def {verb}_?\(", verbs), verb


@each_page
def test_every_preset_and_corpus_exists(page: Path) -> None:
    for key, folder in (("scale", "presets"), ("corpus", "corpora")):
        for name in re.findall(rf"\b{key}=([a-z0-9_]+)", page.read_text()):
            shipped = list((ROOT / CONFIG_FOLDER / folder).glob(f"{name}*.yaml"))
            written = re.search(rf"^# {CONFIG_FOLDER / folder / name}(-[a-z]+)?\.yaml$", page.read_text(), re.MULTILINE)
            assert shipped or written, name


@each_page
def test_lr_sms_is_spelt_out_where_a_page_first_names_it(page: Path) -> None:
    prose = " ".join(re.sub(r"!\[[^\]]*\]|```.*?```", "", page.read_text(), flags=re.DOTALL).split())
    _, named, after = prose.partition("LR-SMS")
    assert not named or after.startswith(" (Low-Rank Speech Model from Scratch")


def test_the_fields_of_transcripts_are_those_that_there_are() -> None:
    shown = re.search(r"### Transcripts\n.*?```yaml\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL)
    assert shown is not None
    content = yaml.safe_load(shown[1])
    corpus = parse(Manifest, content | {"name": "shown"}, "docs/data.md")
    assert set(content["transcripts"]) == set(Transcripts.model_fields)
    assert corpus.language == "tr" and corpus.unit == "characters"
