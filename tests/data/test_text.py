"""Facts about transcripts and tokenizers."""

import itertools
import json
import pickle
import unicodedata

import pytest

from lrsms.data.spelling import normalise
from lrsms.data.text import Tokenizer, ctc_length, load_tokenizer, train_tokenizer
from lrsms.data.tokens import BLANK
from lrsms.study import run

TEXTS = [
    f"{command} {colour} {preposition} {digit} {adverb}"
    for command in ("bin", "lay", "place", "set")
    for colour in ("blue", "green", "red", "white")
    for preposition in ("at", "by", "in", "with")
    for digit in ("one", "two", "three", "four", "five", "six", "seven", "eight")
    for adverb in ("again", "now", "please", "soon")
]
CHARACTERS = run.Tokenizer(kind="characters")
UNIGRAM = run.Tokenizer(kind="unigram", pieces=30)
BOTH = pytest.mark.parametrize("settings", [CHARACTERS, UNIGRAM], ids=["characters", "unigram"])


def test_normalised_text_is_lower_case_composed_and_single_spaced():
    assert normalise("  BIN\u00a0 Blue\tat\n") == "bin blue at"
    assert normalise("CAFE\u0301") == "caf\u00e9"
    assert normalise(" \t ") == ""


def test_normalising_twice_changes_nothing():
    for code in range(0x20, 0x3000):
        once = normalise(f"a{chr(code)}b")
        assert normalise(once) == once
        assert unicodedata.is_normalized("NFC", once)


def shortest_path(tokens: tuple[int, ...]) -> int:
    """Frames of the shortest CTC path, by trying them all."""
    for frames in itertools.count(len(tokens)):
        for path in itertools.product({BLANK, *tokens}, repeat=frames):
            if tuple(token for token, _ in itertools.groupby(path) if token != BLANK) == tokens:
                return frames
    raise AssertionError


@pytest.mark.parametrize("tokens", [(), (1,), (1, 2), (1, 1), (1, 1, 1), (1, 2, 2, 1), (2, 2, 1, 1)])
def test_ctc_length_is_that_of_the_shortest_path(tokens):
    assert ctc_length(tokens) == shortest_path(tokens)


@BOTH
def test_decoding_inverts_encoding_with_units_alone(settings):
    tokenizer = train_tokenizer(settings, TEXTS)
    for text in TEXTS:
        tokens = tokenizer.encode(text)
        assert all(0 < token < tokenizer.size - 1 for token in tokens)
        assert tokenizer.decode(tokens) == text
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@BOTH
def test_a_saved_or_pickled_tokenizer_spells_the_same(settings, tmp_path):
    tokenizer = train_tokenizer(settings, TEXTS)
    tokenizer.save(tmp_path)
    for other in (load_tokenizer(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert other.size == tokenizer.size
        assert [other.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]


@BOTH
def test_training_is_deterministic_to_the_byte(settings, tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tokenizer: Tokenizer = train_tokenizer(settings, TEXTS)
        tokenizer.save(tmp_path / name)
        contents.append((tmp_path / name / tokenizer.FILE).read_bytes())
    assert contents[0] == contents[1]


def test_characters_are_sorted_and_counted():
    tokenizer = train_tokenizer(CHARACTERS, ["bad cab"])
    assert tokenizer.size == 5 + 2
    assert tokenizer.encode(" abcd") == [1, 2, 3, 4, 5]


def test_unigram_has_exactly_the_pieces_asked_for():
    for pieces in (26, 30):
        assert train_tokenizer(run.Tokenizer(kind="unigram", pieces=pieces), TEXTS).size == pieces + 2


@BOTH
def test_a_character_outside_is_named(settings):
    tokenizer = train_tokenizer(settings, TEXTS)
    with pytest.raises(ValueError, match=r"^character 'é' \(latin small letter e with acute, U\+00E9\)"):
        tokenizer.encode("blué gréen now")


def test_pieces_beyond_what_the_transcripts_give_are_refused_with_the_limit():
    with pytest.raises(
        ValueError, match=r"^'tokenizer.pieces' is 5047: the train transcripts give at most (\d+)$"
    ) as caught:
        train_tokenizer(run.Tokenizer(kind="unigram", pieces=5047), TEXTS)
    most = int(str(caught.value).split()[-1])
    assert train_tokenizer(run.Tokenizer(kind="unigram", pieces=most), TEXTS).size == most + 2


def test_fewer_pieces_than_characters_are_refused_with_the_limit():
    least = len(set("".join(TEXTS)))
    with pytest.raises(ValueError, match=rf"^'tokenizer.pieces' is 3: the train transcripts have {least} characters"):
        train_tokenizer(run.Tokenizer(kind="unigram", pieces=3), TEXTS)
    assert train_tokenizer(run.Tokenizer(kind="unigram", pieces=least), TEXTS).size == least + 2


@BOTH
def test_no_transcripts_are_refused(settings):
    with pytest.raises(ValueError, match="no transcript"):
        train_tokenizer(settings, ["", ""])


@pytest.mark.parametrize(
    ("name", "content"),
    [("tokenizer.json", '{"characters": ["a"'), ("tokenizer.json", json.dumps([1])), ("tokenizer.model", "torn")],
)
def test_a_torn_tokenizer_is_refused(tmp_path, name, content):
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}: is not a tokenizer"):
        load_tokenizer(tmp_path)
