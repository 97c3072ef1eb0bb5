"""Facts about transcripts as a corpus is prepared: what is scored, what may be left out, what is refused or told."""

import json

import numpy as np
import pytest
import soundfile
import torch
from talking import AUDIO, CHARACTERS, CORPUS, make, prepared_from, samples_of

from lrsms.cost.check import check_corpus
from lrsms.data.batch import condition_batch
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.data.skipping import left_out
from lrsms.methods.build import build_model
from lrsms.models.recognizer import ctc_loss
from lrsms.record import leftout
from lrsms.study.corpus import Manifest, MostSkipped, Transcripts
from lrsms.study.decoding import Condition
from lrsms.study.run import Tokenizer
from lrsms.training import validation

UNIGRAM = Tokenizer(kind="unigram", pieces=6)


def asking(**fields) -> Manifest:
    return CORPUS.model_copy(update=fields)


def findings(tmp_path, texts, corpus=CORPUS, number=20, **options) -> list[str]:
    return prepare(corpus, CHARACTERS, AUDIO, make(tmp_path / "root", number, **texts), tmp_path / "out", **options)


@pytest.mark.parametrize("tokenizer", [CHARACTERS, UNIGRAM], ids=["characters", "unigram"])
def test_a_test_utterance_that_cannot_be_spelt_or_aligned_is_kept_and_its_text_is_as_it_was(tmp_path, tokenizer):
    texts = {"u9": "ab xd \u00e9", "u19": "aaabbbcccddd"}
    prepared = prepared_from(make(tmp_path / "root", 20, **texts), tmp_path / "out", tokenizer)
    items = {item.id: item for item in prepared.items("test")}
    assert {name: item.text for name, item in items.items()} == texts
    assert prepared.tokenizer.decode(items["u9"].tokens).split() == ["ab", "d"]  # without what nobody was taught
    assert prepared.left_out == {} and prepared.summary["skipped"] == []
    batch = condition_batch(prepared, list(items.values()), Condition(split="test"))
    log_probs = torch.zeros(2, 8, prepared.tokenizer.size).log_softmax(-1)
    assert not ctc_loss(log_probs, batch.lengths, batch.tokens, batch.token_lengths).isnan()


def test_it_is_told_that_they_are_scored_as_they_are(tmp_path):
    assert findings(tmp_path, {"u9": "ab xd", "u19": "aaabbbcccddd"}) == [
        "test transcripts have letters that the train split does not have; they are scored as they are: 1 utterances, "
        "first 'u9'",
        "test transcripts are too long for CTC; they are scored as they are: 1 utterances, first 'u19'",
    ]


def test_what_is_left_out_is_counted_by_split_and_reason(tmp_path):
    root = make(tmp_path / "root", 100, u8="ab xd", u9="  ", u0="aaabbbccc", u10="...")
    (root / "u19.wav").unlink()
    corpus = asking(
        most_skipped=MostSkipped(train=0.1, valid=0.1, test=0.2), transcripts=Transcripts(punctuation="remove")
    )
    said = prepare(corpus, CHARACTERS, AUDIO, root, tmp_path / "out")
    found = Prepared(tmp_path / "out").left_out
    assert found == {
        "train": {"of": 80, "length": 1, "transcript": 1},
        "valid": {"of": 10, "spelling": 1},
        "test": {"of": 10, "recording": 1, "transcript": 1},
    }
    assert said[-1] == f"left out: {leftout.describe(found)}"
    assert leftout.describe(found).startswith(
        "train 2 of 80 (1 too long for CTC, 1 of which the transcript is empty); valid 1 of 10 (1 with letters that"
    )
    assert any("nothing is left of '...'" in line for line in said)


def test_nothing_left_out_is_nothing_said():
    assert left_out([], {"train": 3}) == {}
    assert leftout.describe({}) == leftout.describe(None) == ""
    assert leftout.summarise(["", ""]) == []
    assert leftout.summarise(["test 1 of 9 (x)"] * 2) == ["Left out of the corpus: test 1 of 9 (x)."]
    assert leftout.summarise(["a", "", "a"]) == ["Left out of the corpus of 2 of 3 runs: a."]
    for wrong in ([], {"test": 3}, {"test": {"of": 3, "else": 1}}):
        if wrong:
            with pytest.raises(ValueError, match="'left_out' must have"):
                leftout.describe(wrong)


@pytest.mark.parametrize(
    ("most", "texts", "message"),
    [
        (
            None,
            {"u8": "x", "u18": "x"},
            r"2 of 100 utterances cannot be used, more than 1%; .*'most_skipped' of the corpus",
        ),
        (
            {"valid": 0.1},
            {"u8": "x", "u18": "x"},
            r"2 of 10 utterances of split 'valid' .* than 10.00%; .*'most_skipped.valid'",
        ),
        (
            {"valid": 0.5},
            {"u9": " "},
            r"1 of 10 utterances of split 'test' .* than 1.00%; .* raise 'most_skipped.test'",
        ),
        ({"train": 0.0}, {"u0": "aaaabbbb"}, r"1 of 80 utterances of split 'train' .* than 0.00%"),
    ],
)
def test_more_than_a_split_may_lose_is_refused_by_the_name_of_the_field(tmp_path, most, texts, message):
    corpus = asking(most_skipped=MostSkipped(**most) if most is not None else None)
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        findings(tmp_path, texts, corpus, 100)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_letters_of_a_test_set_never_count_against_a_threshold(tmp_path):
    corpus = asking(most_skipped=MostSkipped(train=0.0, valid=0.0, test=0.0))
    findings(tmp_path, {f"u{number}9": "xyz" for number in range(1, 10)}, corpus, 100)
    assert len(Prepared(tmp_path / "out").items("test")) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab\x1b[31m cd", r"'u3': its transcript has a control character, U\+001B"),
        ("ab\x00cd", r"'u3': its transcript has a control character, U\+0000"),
        ("\u2581ab \u2581cd", r"'u3': its transcript holds '\u2581' \(U\+2581\), by which SentencePiece marks"),
        ("ab\u2585cd", r"'u3': its transcript holds '\u2585' \(U\+2585\)"),
    ],
)
def test_what_no_text_holds_is_refused_before_anything_is_read(tmp_path, text, message):
    root = make(tmp_path / "root", u3=text)
    for refuses in (
        lambda: prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out"),
        lambda: check_corpus(CORPUS, root, tmp_path / "out"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            refuses()


CHINESE = "今天天气很好我们去公园"
THAI = "วันนี้อากาศดีมากเราไปสวนสาธารณะกัน"


@pytest.mark.parametrize("text", [CHINESE, THAI])
def test_text_without_blanks_needs_a_unit(tmp_path, text):
    root = make(tmp_path / "root", **{f"u{number}": text for number in range(20)})
    for number in range(20):
        soundfile.write(root / f"u{number}.wav", samples_of(number, 60 * 640), 16_000)
    for refuses in (prepare, None):
        with pytest.raises(
            ValueError, match=r"^corpus 'mine': 'unit' is not set, .*almost no spaces .*unit: characters"
        ):
            if refuses is None:
                check_corpus(CORPUS, root, tmp_path / "out")
            else:
                prepare(CORPUS, CHARACTERS, AUDIO, root, tmp_path / "out")
    for unit in ("characters", "words"):
        assert prepare(asking(unit=unit), CHARACTERS, AUDIO, root, tmp_path / "out") == []


@pytest.mark.parametrize(
    "text", ["今天 天气 很 好", "วัน นี้ อากาศ ดี มาก", "고양이가 앉아 있다", "donaudampfschiff fährt"]
)
def test_text_with_blanks_needs_none(tmp_path, text):
    root = make(tmp_path / "root", **{f"u{number}": text for number in range(20)})
    check_corpus(CORPUS, root, tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "text", "note"),
    [
        (
            {},
            "ab, cd!",
            "2 of the 8 letters of the transcripts are punctuation or symbols, ! , ('transcripts.punctuation",
        ),
        ({}, "a'b c-d", None),
        ({}, "a\u2019b c", "marks look alike but differ, ' \u2019 ('transcripts.apostrophes: straight'"),
        ({}, "a\u2013b-c", "marks look alike but differ, - \u2013 ('transcripts.dashes: hyphen'"),
        (
            {"transcripts": Transcripts(case="keep")},
            "Ab cd",
            "capital letters stay, because 'transcripts.case'",
        ),
        ({}, "\ufb01 cd", "variants of letters, such as ligatures or full width, \ufb01 ('transcripts.form: NFKC'"),
        ({}, "كـتاب", "tatweel, which only stretches a word ('transcripts.arabic: bare'"),
        ({}, "\u0130ab", "an i without a dot, or with two: capitals were read as English ones ('language: tr'"),
        ({"language": "tr"}, "\u0130ab", None),
        ({}, "m\u0430ma", "words that mix Latin with Greek or Cyrillic letters"),
        ({}, "ab\ufffd", "characters that were lost or have no meaning, \ufffd"),
        ({}, "a\u00adb", "invisible characters were removed from transcripts: U+00AD soft hyphen"),
    ],
)
def test_a_likely_slip_is_told_with_the_field_that_mends_it(tmp_path, fields, text, note):
    lines = findings(tmp_path, {"u3": text, "u4": "a'b c-d"}, asking(**fields))
    assert sum(line.startswith(note or "?") for line in lines) == (note is not None)
    assert all(line.endswith(": 1 utterances, first 'u3'") for line in lines)
    assert note is not None or lines == []
    notes = json.loads((tmp_path / "out" / "corpus.json").read_text())["notes"]
    assert [f"{one['note']}: 1 utterances, first 'u3'" for one in notes] == lines


def test_the_fields_of_a_corpus_reach_its_transcripts_and_its_tokenizer(tmp_path):
    root = make(tmp_path / "root", u0="\u201cDON\u2019T\u201d go, IZMIR\u2026")
    soundfile.write(root / "u0.wav", np.tile(samples_of(0), 8), 16_000)
    asked = Transcripts(punctuation="remove", apostrophes="straight")
    prepare(asking(language="tr", transcripts=asked), CHARACTERS, AUDIO, root, tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    assert prepared.items("train")[0].text == "don't go \u0131zm\u0131r"
    assert prepared.tokenizer.size == len(set("don't go \u0131zm\u0131r ab cd")) + 2


@pytest.mark.parametrize(("unit", "rate"), [("characters", 1 / 11), ("words", 1.0)])
def test_validation_counts_the_unit_of_the_corpus(tmp_path, monkeypatch, make_run, unit, rate):
    root = make(tmp_path / "root", **{f"u{number}": CHINESE for number in range(20)})
    for number in range(20):
        soundfile.write(root / f"u{number}.wav", samples_of(number, 40 * 640), 16_000)
    prepare(asking(unit=unit), CHARACTERS, AUDIO, root, tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    run = make_run(corpus={**CORPUS.model_dump(), "unit": unit})
    items = prepared.items("valid")
    monkeypatch.setattr(validation, "greedy", lambda *_: [item.tokens[:-1] for item in items])
    model, _ = build_model(run, prepared.tokenizer.size)
    found = validation.validate(model, run, prepared, items, torch.device("cpu"))
    assert found["valid_wer"] == pytest.approx(rate)
