"""The README shows what the code made, and names only what there is."""

import re
from pathlib import Path

import yaml

from lrsms.base.strict import parse
from lrsms.study.corpus import Manifest, Transcripts
from lrsms.study.expand import CONFIG_FOLDER

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_table_is_the_one_that_the_demo_study_made() -> None:
    assert (ROOT / "figures/demo/table.md").read_text() in README


def test_every_file_that_is_linked_or_shown_exists() -> None:
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert "figures/demo/wer_by_ratio.png" in linked
    assert all((ROOT / path).exists() for path in linked)


def test_every_make_target_and_verb_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", README):
        assert re.search(rf"^([a-z-]+ )*{target}[ a-z-]*:", makefile, re.MULTILINE), target
    verbs = "".join(path.read_text() for path in (ROOT / "lrsms/verbs").glob("*.py"))
    for verb in re.findall(r"python -m lrsms ([a-z]+)", README):
        assert f"def {verb}(" in verbs, verb


def test_every_preset_study_and_corpus_exists() -> None:
    for key, folder in (("scale", "presets"), ("corpus", "corpora")):
        for name in re.findall(rf"\b{key}=([a-z0-9_]+)", README):
            assert list((ROOT / CONFIG_FOLDER / folder).glob(f"{name}*.yaml")), name


def test_the_fields_of_transcripts_are_those_that_there_are() -> None:
    shown = re.search(r"### Transcripts\n.*?```yaml\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    content = yaml.safe_load(shown[1])
    corpus = parse(Manifest, content | {"name": "shown"}, "README.md")
    assert set(content["transcripts"]) == set(Transcripts.model_fields)
    assert corpus.language == "tr" and corpus.unit == "characters"
