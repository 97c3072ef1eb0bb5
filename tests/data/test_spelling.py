"""Facts about the spelling of transcripts: what looks alike is alike, and doing it twice changes nothing."""

import itertools
import unicodedata

import pytest
from pydantic import ValidationError

from lrsms.base.strict import canonical_json
from lrsms.data.spelling import normalise
from lrsms.study.corpus import Manifest, Transcripts


def corpus(language: str | None = None, **transcripts: str) -> Manifest:
    asked = Transcripts.model_validate(transcripts) if transcripts else None
    return Manifest(kind="manifest", name="mine", language=language, transcripts=asked)


CORPORA = [
    corpus(),
    corpus("tr"),
    corpus("lt"),
    corpus(case="keep", apostrophes="remove", form="NFKC"),
    corpus(apostrophes="straight", dashes="hyphen", punctuation="remove", form="NFKC", arabic="bare"),
]


@pytest.mark.parametrize(
    ("language", "text", "spelt"),
    [
        (None, "IĞDIR", "iğdir"),
        ("tr", "IĞDIR", "ığdır"),
        ("tr", "İSTANBUL I\u0307zmir ıI", "istanbul izmir ıı"),
        ("tr", "i\u0307stanbul", "istanbul"),  # a capital that was made small by English rules
        ("az-Latn", "QIZIL", "qızıl"),
        (
            "lt",
            "\u00cc I\u0301 J\u0303 \u012e\u0301 I",
            "i\u0307\u0300 i\u0307\u0301 j\u0307\u0303 \u012f\u0307\u0301 i",
        ),
        ("lt", "\u00ec", "i\u0307\u0300"),  # small and capital letters are one spelling
        ("de", "STRASSE Straße STRAẞE", "strasse straße straße"),
        ("el", "ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
    ],
)
def test_capitals_become_small_by_the_rules_of_the_language(language, text, spelt):
    assert normalise(text, corpus(language)) == unicodedata.normalize("NFC", spelt)


@pytest.mark.parametrize("language", ["turkish", "tr_TR", "", "t"])
def test_a_language_is_a_tag(language):
    with pytest.raises(ValidationError, match="is not the tag of a language"):
        corpus(language)


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("soft\u00adhy\u00adphen", "softhyphen"),
        ("\u202bleft\u202c \u200eand\u200f \u2066right\u2069", "left and right"),
        ("\ufeffmark zero\u200bwidth word\u2060joiner", "mark zerowidth wordjoiner"),
        ("heart \u2764\ufe0f 葛\U000e0100", "heart \u2764 葛"),
        ("latin\u200djoiner \u200cedge\u200c", "latinjoiner edge"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian is spelt with it
        ("क\u094d\u200dष", "क\u094d\u200dष"),
        ("می\u200c خواهم", "می خواهم"),
        ("no\u00a0break\u202fthin\u3000wide\u2028line", "no break thin wide line"),
        ("empty\u2800cell\u3164filler", "empty cell filler"),
        ("\u0664\u0600\u0665", "\u0664\u0600\u0665"),  # a sign that is seen
    ],
)
def test_what_nobody_sees_is_taken_out_and_every_blank_is_one(text, spelt):
    assert normalise(text) == spelt


@pytest.mark.parametrize(
    ("fields", "text", "spelt"),
    [
        ({"case": "keep"}, "Der  Hund", "Der Hund"),
        ({"apostrophes": "straight"}, "don\u2019t don\u02bct don`t don\u00b4t", "don't don't don't don't"),
        ({"apostrophes": "remove"}, "don\u2019t don't", "dont dont"),
        ({"dashes": "hyphen"}, "a\u2010b\u2011c\u2013d\u2014e\u2212f", "a-b-c-d-e-f"),
        ({"punctuation": "remove"}, "\u201eJa,\u201c sagte er \u2013 well-known!", "ja sagte er well known"),
        ({"punctuation": "remove"}, "'quoted' don't l\u2019eau dogs'", "quoted don't l\u2019eau dogs"),
        ({"punctuation": "remove"}, "3.5 1,000 at 10:30. 50 % of $5 (R&D)", "3.5 1,000 at 10:30 50 % of $5 r&d"),
        ({"punctuation": "remove"}, "\u060cنعم\u061f ¿qué?", "نعم qué"),
        ({"form": "NFKC"}, "\ufb01n \uff21\uff11 \u00bd\u00b4", "fin a1 1\u20442\u00b4"),
        ({"arabic": "bare"}, "كـــتابٌ مُحَمَّد", "كتاب محمد"),
    ],
)
def test_a_field_of_the_corpus_says_what_is_done(fields, text, spelt):
    assert normalise(text, corpus(**fields)) == spelt


def test_nothing_is_asked_for_but_small_letters_where_no_field_is_given():
    text = "Don\u2019t \u2013 \u201cstop\u201d, 3 x! كـتابٌ \ufb01n"
    assert normalise(text, corpus()) == normalise(text) == text.lower()
    assert normalise(text, corpus(case="lower")) == normalise(text)


@pytest.mark.parametrize("asked", CORPORA, ids=lambda asked: asked.language or str(asked.transcripts))
def test_normalising_twice_changes_nothing(asked):
    looked_at = itertools.chain(range(0x20, 0x600), range(0x1E00, 0x2100), range(0xFB00, 0xFB10), range(0xFF00, 0xFF70))
    for character in map(chr, looked_at):
        for text in (f"a{character}b", f"I{character}\u0301", f"1{character}2", f"{character}'{character}"):
            once = normalise(text, asked)
            assert normalise(once, asked) == once, ascii(text)
            assert unicodedata.is_normalized("NFC", once)


def test_a_new_field_leaves_the_names_of_corpora_as_they_were():
    plain = Manifest(kind="manifest", name="mine")
    assert canonical_json(plain) == '{"kind":"manifest","name":"mine"}'
    assert canonical_json(corpus("tr")) != canonical_json(plain)
