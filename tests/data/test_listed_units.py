"""Facts about tokenizers of others: their tokens are the numbers of the list, whatever SentencePiece numbers them."""

import io

import pytest
import sentencepiece

from lrsms.base.strict import parse
from lrsms.data.corpora.auto_avsr import read_units
from lrsms.data.listed_units import ListedUnits
from lrsms.data.spelling import normalise
from lrsms.data.text import given_tokenizer, load_tokenizer, units_of
from lrsms.data.transcripts import refuse_other_spelling
from lrsms.study import run
from lrsms.study.corpus import Manifest

WORDS = [
    *("BIN", "LAY", "PLACE", "SET", "BLUE", "GREEN", "RED", "WHITE", "AT", "BY", "IN", "WITH"),
    *("AGAIN", "NOW", "PLEASE", "SOON", "ONE", "TWO", "THREE", "FOUR", "FIVE"),
]
TEXTS = [f"{one} {two} {three} 3" for one in WORDS for two in WORDS[::3] for three in WORDS[::5]]


@pytest.fixture(scope="module")
def model():
    """As Auto-AVSR trains it: with SentencePiece's defaults, whose first three pieces spell nothing."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=written, model_type="unigram", vocab_size=40, minloglevel=3
    )
    return written.getvalue()


@pytest.fixture(scope="module")
def listing(model, tmp_path_factory):
    """As it makes its list: the pieces that occur, in order, behind ``<unk>``; runs of what is unknown among them."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    occur = {piece for text in [*TEXTS, "BIN 7"] for piece in pieces.encode(text, out_type=str)}
    path = tmp_path_factory.mktemp("units") / "units.txt"
    lines = [f"{unit} {number}\n" for number, unit in enumerate(["<unk>", *sorted(occur)], start=1)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(model, listing):
    return ListedUnits(list(read_units(listing).values()), model)


def by_their_rule(text, model, listing):
    """The number of each piece in the list, or that of ``<unk>``."""
    numbers = dict(line.split() for line in listing.read_text(encoding="utf-8").splitlines())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model).encode(text.upper(), out_type=str)
    return [int(numbers.get(piece, numbers["<unk>"])) for piece in pieces]


def test_capitals_for_a_corpus_that_keeps_small_letters_are_refused(tokenizer):
    kept = parse(Manifest, {"kind": "manifest", "name": "own", "transcripts": {"case": "keep"}}, "test")
    small = kept.model_copy(update={"transcripts": None})
    refuse_other_spelling(["place red at two 3"], tokenizer, small)
    refuse_other_spelling(["PLACE RED"], tokenizer, kept)
    with pytest.raises(ValueError, match=r"^corpus 'own': the given tokenizer writes 'PLACE RED' where .* 'Place red'"):
        refuse_other_spelling(["Place red"], tokenizer, kept)


@pytest.mark.parametrize("text", ["place red at two 3", "BIN BLUE", "bin 7 soon", "lay white with green again"])
def test_tokens_are_the_numbers_of_the_list(text, tokenizer, model, listing):
    tokens = tokenizer.encode(text)
    assert tokens == tokenizer.encode_known(text) == by_their_rule(text, model, listing)
    assert normalise(tokenizer.decode(tokens)) == normalise(text)


def test_the_vocabulary_is_the_list_and_blank_and_end(tokenizer, listing):
    assert tokenizer.size == len(listing.read_text(encoding="utf-8").splitlines()) + 2


def test_what_the_list_lacks_is_named(tokenizer, model, listing):
    with pytest.raises(ValueError, match=r"^character 'é' \(latin small letter e with acute, U\+00E9\)"):
        tokenizer.encode("place café")
    with pytest.raises(ValueError, match=r"^'777' is not in the tokenizer$"):
        tokenizer.encode("bin 777")
    with pytest.raises(ValueError, match=r"U\+FFFD"):
        tokenizer.encode("bin \ufffd")
    known = [token for token in by_their_rule("bin 777 soon", model, listing) if token != 1]
    assert tokenizer.encode_known("bin 777 soon") == known
    assert tokenizer.decode([1]) == "\ufffd"


def test_a_list_with_small_letters_leaves_the_case(model):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokenizer = ListedUnits(["a", *sorted(set(pieces.encode("BIN BLUE", out_type=str)))], model)
    assert tokenizer.decode(tokenizer.encode("BIN BLUE")) == "BIN BLUE"
    with pytest.raises(ValueError, match="character 'b'"):
        tokenizer.encode("bin blue")


def test_a_saved_tokenizer_spells_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    read = load_tokenizer(tmp_path)
    assert isinstance(read, ListedUnits) and units_of(read) == units_of(tokenizer)
    assert all(read.encode(text) == tokenizer.encode(text) for text in TEXTS[:20])


@pytest.mark.parametrize("content", ["{", "[]", '{"units": ["a"], "sentencepiece": "!"}', '{"units": ["a"]}'])
def test_a_torn_one_is_refused(content, tmp_path):
    (tmp_path / ListedUnits.FILE).write_text(content)
    with pytest.raises(ValueError, match="is not a tokenizer"):
        load_tokenizer(tmp_path)


def test_one_that_is_to_be_trained_is_not_looked_for(tmp_path):
    assert given_tokenizer(run.Tokenizer(kind="characters"), tmp_path) is None
