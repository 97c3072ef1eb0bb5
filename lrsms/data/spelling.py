"""One spelling for equal texts: for references before training and scoring, and for hypotheses before scoring.

Without any field of its corpus, a text becomes lower case, Unicode NFC, with single spaces. It loses invisible
characters (Unicode's format characters: soft hyphens, direction marks, byte order marks, variation selectors).
Joiners stay between letters of scripts that are spelt with them, such as Persian and Hindi. Doing it twice changes
nothing.
"""

import re
import unicodedata
from itertools import pairwise

from lrsms.study.corpus import Corpus, Transcripts

APOSTROPHES = "'\u2019\u2018\u02bc\u201b\u2032\uff07`\u00b4"
"""The straight one first, then what is typed in its place."""
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""The hyphen of keyboards first."""

_DOTLESS = {"tr", "tur", "az", "aze", "azj", "crh", "gag"}
"""Languages of a dotless i: Turkish, Azerbaijani, Crimean Tatar, Gagauz."""
_LITHUANIAN = {"lt", "lit"}
_SOFT_DOTTED = re.compile("([ij]\u0328?)(?=[\u0300\u0301\u0303])")
_BLANK_LETTERS = str.maketrans(dict.fromkeys("\u2800\u3164\uffa0", " "))
"""An empty Braille cell and fillers of Hangul: letters to Unicode, blanks to the eye."""
_VISIBLE_FORMATS = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2]")
"""Arabic and Syriac signs that Unicode counts among the format characters."""
_SELECTORS = re.compile("[\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS = "\u200c\u200d"
_JOINED = "[\u0600-\u10ff\u1780-\u19ff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc]"
"""Blocks of Arabic, the scripts of India and their neighbours."""
_STRAY_JOINER = re.compile(f"(?<!{_JOINED})[{_JOINERS}]|[{_JOINERS}](?!{_JOINED})")
_SPOKEN = set("%\u2030&@#\u00a7\u066a\uff05\uff06\uff20\uff03")
_WITHIN_NUMBERS = set(".,:\u066b\u066c")
_ARABIC_MARKS = re.compile(
    "[\u0640\u064b-\u0652\u0656-\u065f\u0670\u0610-\u061a\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
_TO_STRAIGHT = str.maketrans(dict.fromkeys(APOSTROPHES, APOSTROPHES[0]))
_TO_NOTHING = str.maketrans(dict.fromkeys(APOSTROPHES, ""))
_TO_HYPHEN = str.maketrans(dict.fromkeys(DASHES, DASHES[0]))
_PLAIN = Transcripts()


def normalise(text: str, corpus: Corpus | None = None) -> str:
    """The spelling that is trained on and scored.

    Args:
        text: a transcript or a hypothesis.
        corpus: whose ``language`` and ``transcripts`` say how; None: as where neither is given.
    """
    asked = corpus.transcripts if corpus is not None and corpus.transcripts is not None else _PLAIN
    text = without_invisible(text).translate(_BLANK_LETTERS)
    if asked != _PLAIN:
        text = _marks(unicodedata.normalize("NFC", text), asked)
    return " ".join(unicodedata.normalize("NFC", in_case(text, corpus)).split())


def in_case(text: str, corpus: Corpus | None) -> str:
    """The text in small letters, unless its corpus keeps capitals."""
    if corpus is None:
        return lowered(text, None)
    return text if (corpus.transcripts or _PLAIN).case == "keep" else lowered(text, corpus.language)


def without_invisible(text: str) -> str:
    """The text without format characters and variation selectors, with joiners only where they join."""
    if text.isascii():
        return text
    kept = "".join(character for character in text if character in _JOINERS or not is_invisible(character))
    if not any(joiner in kept for joiner in _JOINERS):
        return kept
    return _STRAY_JOINER.sub("", re.sub(f"([{_JOINERS}])[{_JOINERS}]+", r"\1", kept))


def is_invisible(character: str) -> bool:
    """Whether it is a format character that nobody sees, or selects a variant of the letter before it."""
    if unicodedata.category(character) == "Cf":
        return not _VISIBLE_FORMATS.match(character)
    return bool(_SELECTORS.match(character))


def lowered(text: str, language: str | None) -> str:
    """Small letters, by Unicode's rules and its exceptions for a language (SpecialCasing.txt).

    In languages of a dotless i, an i that carries a second dot is what other software made of a capital: it becomes i.
    """
    tag = (language or "").split("-")[0].lower()
    if tag in _DOTLESS:
        composed = unicodedata.normalize("NFC", text)
        return composed.replace("\u0130", "i").replace("I", "\u0131").lower().replace("i\u0307", "i")
    if tag in _LITHUANIAN:
        return _SOFT_DOTTED.sub("\\1\u0307", unicodedata.normalize("NFD", text.lower()))
    return text.lower()


def compatible(text: str) -> str:
    """NFKC, but accents that stand alone stay: it would make a blank and a combining accent of each."""
    return unicodedata.normalize("NFC", "".join(map(_decomposed, text)))


def _decomposed(character: str) -> str:
    return character if unicodedata.category(character) == "Sk" else unicodedata.normalize("NFKD", character)


def _marks(text: str, asked: Transcripts) -> str:
    """Apostrophes, dashes, variants of letters, Arabic marks and punctuation, as a corpus asks for them."""
    text = _same_marks(text, asked)
    if asked.form == "NFKC":
        text = _same_marks(compatible(text), asked)
    if asked.arabic == "bare":
        text = _ARABIC_MARKS.sub("", text)
    return _without_punctuation(text) if asked.punctuation == "remove" else text


def _same_marks(text: str, asked: Transcripts) -> str:
    if asked.apostrophes != "keep":
        text = text.translate(_TO_STRAIGHT if asked.apostrophes == "straight" else _TO_NOTHING)
    return text.translate(_TO_HYPHEN) if asked.dashes == "hyphen" else text


def _without_punctuation(text: str) -> str:
    """Blanks for punctuation and free accents, but for apostrophes in words, marks in numbers, and what is spoken."""
    around = list(pairwise(f" {text} "))
    kept = []
    for (before, character), (_, after) in pairwise(around):
        if character in APOSTROPHES:
            stays = _is_of_word(before) and _is_of_word(after)
        elif character in _WITHIN_NUMBERS:
            stays = before.isdecimal() and after.isdecimal()
        else:
            stays = character in _SPOKEN or not is_punctuation(character)
        kept.append(character if stays else " ")
    return "".join(kept)


def is_punctuation(character: str) -> bool:
    """Whether it is punctuation, or an accent that stands alone."""
    category = unicodedata.category(character)
    return category[0] == "P" or category == "Sk"


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
