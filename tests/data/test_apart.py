"""Test sets apart: held out from a rendered corpus, prepared by themselves, and refused where anything is shared."""

import json
from pathlib import Path

import fabricate_corpora
import nano
import pytest
import soundfile
from fabricate_corpora import SAMPLE_RATE, sound

from lrsms.base.strict import parse
from lrsms.data.apart import listed, refuse_shared, refuse_shared_prepared
from lrsms.data.corpora import held_out, synthetic
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.data.testsets import prepare_tests
from lrsms.study.corpus import HeldOut, LibriSpeech, Manifest, MostSkipped, Synthetic
from lrsms.study.run import Tokenizer

FEW = parse(Synthetic, {"name": "few", **nano.CORPUS}, "few")
MORE = HeldOut(kind="held_out", name="more", of=FEW, test=12, test_voices=6)
CHARACTERS = Tokenizer(kind="characters")


@pytest.fixture(scope="module")
def tests(tmp_path_factory, prepared) -> Prepared:
    """The test set beside the corpus of ``make_run``."""
    folder = tmp_path_factory.mktemp("tests") / "more"
    assert prepare_tests(MORE, ("audio",), None, folder) == []
    return Prepared(folder, lender=prepared)


def variants(lines, *splits):
    return {line.voice.variant for line in lines if line.split in splits}


def test_what_is_held_out_shares_no_sentence_and_no_variant_of_a_voice():
    beside, lines = synthetic.script(FEW), held_out.script(MORE)
    assert len(lines) == 12 and len({line.voice.name for line in lines}) == 6
    assert len({line.text for line in [*beside, *lines]}) == len(beside) + len(lines)
    assert not variants(lines, "test") & variants(beside, "train", "valid")
    assert [line.voice for line in lines[:4]] == synthetic.voices_by_split(FEW)["test"]
    refuse_shared(FEW, listed(FEW, None), MORE, listed(MORE, None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": 63_990}, "'test' is 63990, with the sentences of 'few' 64044, but 'commands' has 64000 sentences"),
        ({"test_voices": 97}, "'test_voices' is 97, at most 96 are set aside for test"),
    ],
)
def test_more_than_there_is_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"corpus 'more': {message}"):
        held_out.script(MORE.model_copy(update=changes))


def test_a_test_set_takes_tokenizer_and_babble_of_the_runs(tests, prepared):
    assert tests.tokenizer is prepared.tokenizer and tests.babble is prepared.babble
    items = tests.items("test")
    assert [(item.id, item.text) for item in items] == [(line.id, line.text) for line in held_out.script(MORE)]
    assert all(item.tokens == tuple(prepared.tokenizer.encode_known(item.text)) for item in items)
    assert tests.items("train") == tests.items("valid") == []
    assert tests.data_hash == tests.manifest_hash != prepared.manifest_hash


def test_the_test_split_of_a_whole_corpus_is_as_in_that_corpus(prepared, tmp_path):
    """Nothing else of it is rendered."""
    prepare_tests(FEW, ("audio",), None, tmp_path / "few")
    found = Prepared(tmp_path / "few", lender=prepared)
    assert found.items("test") and [i.id for i in found.items("test")] == [i.id for i in prepared.items("test")]
    for one, other in zip(found.items("test"), prepared.items("test"), strict=True):
        assert (found.wave(one) == prepared.wave(other)).all()
    assert json.loads((tmp_path / "few/corpus.json").read_text())["splits"].keys() == {"test"}
    assert not list((tmp_path / "few").glob("rendered/t*n*/*.wav"))


def refusal(*arguments):
    with pytest.raises(ValueError, match=r"a test set: shares .* on which the runs are trained; give") as caught:
        refuse_shared(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_test_set_of_another_seed_shares_voices():
    many = FEW.model_copy(update={"train_voices": 37})
    other = MORE.model_copy(update={"of": many.model_copy(update={"seed": 2})})
    assert "shares voice '" in refusal(many, listed(many, None), other, listed(other, None))


def test_a_test_set_of_a_smaller_corpus_shares_sentences_with_a_larger_one():
    larger = FEW.model_copy(update={"name": "larger", "train": 4000})
    held = MORE.model_copy(update={"test": 60})
    said = refusal(larger, listed(larger, None), held, listed(held, None))
    assert "shares sentence '" in said and "with the train split of 'larger'" in said


def write_manifest(root: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    """Recordings: id, split, speaker, and what is heard."""
    root.mkdir()
    lines = ["id\tsplit\taudio\tvideo\tspeaker\ttext"]
    for name, split, speaker, heard in rows:
        soundfile.write(root / f"{name}.flac", sound(heard), SAMPLE_RATE)
        lines.append(f"{name}\t{split}\t{name}.flac\t\t{speaker}\tbin blue")
    (root / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return root


OURS = [("a", "train", "ann", "1"), ("b", "valid", "bob", "2"), ("c", "test", "cat", "3")]


@pytest.mark.parametrize(
    ("theirs", "shared"),
    [
        ([("x", "test", "dan", "4"), ("y", "test", "", "5"), ("z", "train", "ann", "1")], ""),
        ([("x", "test", "cat", "3")], ""),
        ([("x", "test", "ann", "4")], "speaker 'ann' with the train split of 'ours'"),
        ([("x", "test", "bob", "4")], "speaker 'bob' with the valid split of 'ours'"),
        ([("x", "test", "dan", "4"), ("y", "test", "", "2")], "the recording 'y', which is 'b', with the valid split"),
    ],
)
def test_recorded_test_sets_are_apart_by_speaker_and_by_what_is_heard(tmp_path, theirs, shared):
    """Sentences may be the same; what the test set's own corpus trains on does not matter."""
    corpora = []
    for name, rows in (("ours", OURS), ("theirs", theirs)):
        root = write_manifest(tmp_path / name, rows)
        only = None if name == "ours" else "test"
        corpora.append((Manifest(kind="manifest", name=name, only=only), root))
    (ours, root), (tested, tests_root) = corpora
    prepare(ours, CHARACTERS, ("audio",), root, tmp_path / "prepared")
    prepare_tests(tested, ("audio",), tests_root, tmp_path / "tests")
    seen = Prepared(tmp_path / "prepared")
    both = ours, seen, tested, Prepared(tmp_path / "tests", lender=seen)
    if not shared:
        refuse_shared_prepared(*both)
        return
    with pytest.raises(ValueError, match=f"corpus 'theirs', a test set: shares {shared}"):
        refuse_shared_prepared(*both)
    if "speaker" in shared:
        assert shared in refusal(ours, listed(ours, root), tested, listed(tested, tests_root))


def test_a_recording_is_found_in_a_corpus_that_is_read_in_place(tmp_path):
    texts = {name: {f"{name}-1-0000": "BIN BLUE"} for name in "123"}
    fabricate_corpora.write_librispeech(tmp_path / "ours", texts)
    ours = LibriSpeech(kind="librispeech", name="ours", train=("1",), valid=("2",), test=("3",))
    prepare(ours, CHARACTERS, ("audio",), tmp_path / "ours", tmp_path / "prepared")
    seen = Prepared(tmp_path / "prepared")
    root = write_manifest(tmp_path / "theirs", [("x", "test", "", "4")])
    tested = Manifest(kind="manifest", name="theirs", only="test")
    for heard, name in (("4", "free"), ("1-1-0000", "shared")):
        soundfile.write(root / "x.flac", sound(heard), SAMPLE_RATE)
        prepare_tests(tested, ("audio",), root, tmp_path / name)
    refuse_shared_prepared(ours, seen, tested, Prepared(tmp_path / "free", lender=seen))
    with pytest.raises(ValueError, match="the recording 'x', which is '1-1-0000', with the train split of 'ours'"):
        refuse_shared_prepared(ours, seen, tested, Prepared(tmp_path / "shared", lender=seen))


def test_a_corpus_without_a_usable_test_utterance_is_refused(tmp_path):
    root = write_manifest(tmp_path / "root", OURS[:2])
    with pytest.raises(
        ValueError, match=r"manifest.tsv: no utterance of split 'test'; 'only' of corpus 'ours' is test"
    ):
        prepare_tests(Manifest(kind="manifest", name="ours", only="test"), ("audio",), root, tmp_path / "tests")
    (root / "manifest.tsv").write_text("id\tsplit\taudio\tvideo\tspeaker\ttext\na\ttest\ta.flac\t\t\t \n")
    settings = Manifest(kind="manifest", name="ours", only="test", most_skipped=MostSkipped(test=1.0))
    with pytest.raises(ValueError, match="corpus 'ours': no usable utterance is in its split 'test'"):
        prepare_tests(settings, ("audio",), root, tmp_path / "tests")
