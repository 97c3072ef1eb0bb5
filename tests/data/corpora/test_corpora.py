"""Facts about every kind of corpus: it is found by its kind, and its shipped descriptions are valid."""

from pathlib import Path
from typing import get_args

import fabricate_corpora
import nano
import pytest

from lrsms.base.strict import Frozen, canonical_json, parse
from lrsms.data import corpora
from lrsms.data.corpora.folder import unique_id
from lrsms.study import corpus
from lrsms.study.config_files import load_corpus


class Holder(Frozen):
    corpus: corpus.Corpus


KINDS = [model.model_fields["kind"].annotation for model in get_args(get_args(corpus.Corpus)[0])]
SHIPPED = Path(__file__).parents[3] / "workflow/config"


@pytest.mark.parametrize("kind", [get_args(kind)[0] for kind in KINDS])
def test_every_kind_has_its_file(kind):
    assert (Path(corpora.__file__).parent / f"{kind}.py").is_file()


@pytest.mark.parametrize("path", sorted((SHIPPED / "corpora").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_corpora_are_valid_and_without_a_root_say_how_to_give_it(path, tmp_path):
    settings = load_corpus(path.stem, SHIPPED)
    if settings.rendered:
        return
    with pytest.raises(ValueError, match=rf"^roots\.{path.stem}: not set; give .* --config roots='{{{path.stem}: "):
        corpora.utterances(settings, None, tmp_path)
    assert f"roots='{{{path.stem}: /" in path.read_text()


def test_a_corpus_is_found_by_its_kind(tmp_path):
    fabricate_corpora.write_librispeech(tmp_path, {name: {f"{name}-1-0000": "HI"} for name in "123"})
    settings = corpus.LibriSpeech(kind="librispeech", name="x", train=("1",), valid=("2",), test=("3",))
    assert [row.id for row in corpora.utterances(settings, tmp_path, tmp_path)] == ["1-1-0000", "2-1-0000", "3-1-0000"]


def test_ids_are_numbered_past_those_that_are_taken():
    taken = {"a.2"}
    assert [unique_id("a", taken) for _ in range(3)] == ["a", "a.3", "a.4"]
    assert unique_id("b c/\u00e9\n", taken) == "b_c___"
    assert taken == {"a", "a.2", "a.3", "a.4", "b_c___"}


@pytest.mark.parametrize("kind", [kind for kind in get_args(get_args(corpus.Corpus)[0]) if not kind.rendered])
def test_every_corpus_of_recordings_may_say_how_short_they_may_be(kind):
    assert kind.model_fields["min_duration"].default is None


def test_a_least_duration_that_is_not_given_renames_nothing():
    assert canonical_json(corpus.Manifest(kind="manifest", name="digits")) == '{"kind":"manifest","name":"digits"}'


def test_a_least_duration_that_makes_no_sense_is_refused():
    digits = {"kind": "manifest", "name": "digits"}
    for data, message in (
        ({**digits, "min_duration": -0.1}, "min_duration' is -0.1"),
        ({**digits, "min_duration": 61.0}, "min_duration' is 61.0"),
        ({**nano.CORPUS, "name": "few", "min_duration": 0.1}, "unknown key 'corpus.min_duration'"),
    ):
        with pytest.raises(ValueError, match=message):
            parse(Holder, {"corpus": data}, "corpus.yaml")
