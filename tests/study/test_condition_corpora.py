"""Conditions that name a corpus of their own: part of how runs are decoded, and not of what they are."""

import json
import shutil
from pathlib import Path
from typing import Any

import nano
import pytest
import yaml

from lrsms.base.strict import parse
from lrsms.report.results import load_project, save_project
from lrsms.study import expand
from lrsms.study.config_files import load_corpus
from lrsms.study.decoding import Condition, Decoding
from lrsms.study.project import Project
from lrsms.study.run import prepared_tests
from lrsms.study.testsets import with_test_corpora

LARGE = {"large": {"corpus": "more"}, "loud": {"corpus": "more", "noise": "white", "snr": 5}}


def project(**conditions: Any) -> dict[str, Any]:
    own = nano.PROJECT["conditions"]
    return nano.PROJECT | {"conditions": own | {"asr": own["asr"] | conditions}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``workflow/config`` with a corpus held out beside that of nano's project."""
    contents = {
        "presets/nano-asr": nano.PRESET,
        "presets/nano-avsr": nano.AVSR,
        "corpora/few": nano.CORPUS,
        "corpora/more": {"kind": "held_out", "of": "few", "test": 12, "test_voices": 6},
        "studies/sizes": nano.STUDY,
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path


def read(folder: Path, content: dict[str, Any]) -> Project:
    return with_test_corpora(parse(Project, content, "config.yaml"), folder)


def rewrite(folder: Path, corpus: str, **changes: Any) -> None:
    path = folder / f"corpora/{corpus}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_a_run_is_the_same_with_and_without_a_test_set_of_a_condition(folder):
    one, other = (read(folder, content) for content in (project(), project(**LARGE)))
    names = [[experiment.name for experiment in expand.load(asked, folder)] for asked in (one, other)]
    assert names[0] == names[1]
    assert one.decoding.digest == parse(Project, nano.PROJECT, "x").decoding.digest != other.decoding.digest


def test_a_test_set_is_part_of_how_runs_are_decoded(folder):
    """The content of its file, and that of the corpus that it is held out from."""
    digests = [read(folder, project(**LARGE)).decoding.digest]
    for corpus, change in (("more", {"test": 11}), ("few", {"snr": [15, 20]})):
        rewrite(folder, corpus, **change)
        digests.append(read(folder, project(**LARGE)).decoding.digest)
    assert len(set(digests)) == 3


def test_a_test_set_is_prepared_once_for_all_tokenizers_and_once_a_task(folder):
    corpus = read(folder, project(**LARGE)).decoding.corpora["more"]
    names = {prepared_tests(corpus, task) for task in ("asr", "vsr", "avsr")}
    assert len(names) == 3 and all(name.startswith("more-") for name in names)


def test_results_keep_what_their_conditions_were_tested_on(folder, tmp_path):
    """So that they are made again though the file has changed since; old ones are as they were."""
    for content in (project(), project(**LARGE)):
        asked = read(folder, content)
        place = tmp_path / "sizes-asr-nano-few"
        place.mkdir(exist_ok=True)
        save_project(asked, place)
        rewrite(folder, "more", test=11)
        assert load_project(place).decoding == asked.decoding
        assert ("corpora" in json.loads((place / "project.json").read_text())) == (content != project())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"noise": "white", "snr": 3}, "'split' is missing"),
        ({"split": "valid", "corpus": "more"}, "leave 'split' out"),
        ({"corpus": "mroe"}, "'conditions.asr.it.corpus': no corpus 'mroe' in .*; did you mean 'more'?"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(folder, condition, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(folder, project(it=condition))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"kind": "manifest", "unit": "characters"},
            "'conditions.asr.it.corpus' is other, whose 'unit' is not that of",
        ),
        ({"kind": "manifest", "transcripts": {"case": "keep"}}, "whose 'transcripts' is not that of 'few'"),
    ],
)
def test_a_test_set_whose_errors_would_be_counted_otherwise_is_refused(folder, content, message):
    (folder / "corpora/other.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=message):
        expand.load(read(folder, project(it={"corpus": "other"})), folder)


def test_a_test_set_without_video_is_for_what_is_heard(folder):
    settings = {"kind": "librispeech", **{split: [split] for split in ("train", "valid", "test")}}
    (folder / "corpora/heard.yaml").write_text(yaml.safe_dump(settings))
    expand.load(read(folder, project(it={"corpus": "heard"})), folder)
    content = nano.PROJECT | {"task": "avsr", "conditions": {"avsr": {"it": {"corpus": "heard"}}}}
    with pytest.raises(ValueError, match=r"'conditions.avsr.it.corpus' is heard, which has no video"):
        expand.load(read(folder, content), folder)


def test_nothing_is_trained_on_a_test_set(folder):
    with pytest.raises(ValueError, match="corpus 'more' has a test split alone"):
        expand.load(read(folder, project() | {"corpus": "more"}), folder)


def test_a_test_set_that_is_held_out_from_itself_is_refused(folder):
    path = folder / "corpora/more.yaml"
    path.write_text(path.read_text().replace("of: few", "of: more"))
    with pytest.raises(ValueError, match=r"more\.yaml: 'of' is 'more', which is held out itself"):
        load_corpus("more", folder)


def test_a_test_set_is_held_out_from_a_rendered_corpus(folder):
    (folder / "corpora/mine.yaml").write_text("kind: manifest\n")
    rewrite(folder, "more", of="mine")
    with pytest.raises(ValueError, match=r"more.yaml: 'of' is 'mine', which is not rendered"):
        read(folder, project(**LARGE))
    shutil.rmtree(folder / "corpora")


def test_how_runs_are_decoded_needs_the_corpora_that_conditions_name():
    with pytest.raises(ValueError, match="'corpora' must be those of the conditions: more"):
        Decoding(decoders={"greedy": {"kind": "greedy"}}, conditions={"it": Condition(corpus="more")})
