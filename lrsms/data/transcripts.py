"""Checks of a corpus's transcripts: impossible characters are refused, probable mistakes are noted."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lrsms.data.spelling import APOSTROPHES, DASHES, compatible, is_invisible, is_punctuation, normalise
from lrsms.data.text import Tokenizer
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Corpus, Transcripts

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters except white space."""
_RESERVED = re.compile("[\u2581\u2585]")
"""SentencePiece's marks for the beginning of a word and for unknown characters."""
_SHORT_WORDS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Letters of Chinese and Japanese."""
_LONG_WORDS = re.compile("[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf]")
"""Letters of Thai, Lao, Tibetan, Burmese, Khmer and Tai languages."""
_LONGEST_MEAN = 15
"""Mean number of characters in a word: no language with spaces between words has such long words."""
_MIXED_SCRIPTS = re.compile(
    "[A-Za-z\u00c0-\u024f][\\w'-]*[\u0370-\u03ff\u0400-\u052f]|[\u0370-\u03ff\u0400-\u052f][\\w'-]*[A-Za-z\u00c0-\u024f]"
)
_LOST = "\ufffd"
_MOST_LETTERS = 12
"""Characters that a note shows."""


def checked(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    """Yields the same utterances, one by one.

    Raises:
        ValueError: one line: a transcript or a speaker holds a control character, or a transcript one that
            SentencePiece keeps for itself.
    """
    for utterance in utterances:
        for what, text in (("transcript", utterance.text), ("speaker", utterance.speaker)):
            if found := _CONTROL.search(text):
                raise ValueError(
                    f"'{utterance.id}': its {what} has a control character, U+{ord(found[0]):04X}; remove it"
                )
        if found := _RESERVED.search(utterance.text):
            raise ValueError(
                f"'{utterance.id}': its transcript holds '{found[0]}' (U+{ord(found[0]):04X}), by which SentencePiece "
                "marks the pieces of a text that it has cut; give the text itself, with spaces between words"
            )
        yield utterance


def refuse_other_spelling(texts: Iterable[str], tokenizer: Tokenizer, corpus: Corpus) -> None:
    """Refuses a tokenizer of others that cannot write a transcript as it is scored, such as in capitals alone.

    Raises:
        ValueError: one line: even a perfect network would make errors.
    """
    for text in texts:
        written = normalise(tokenizer.decode(tokenizer.encode(text)), corpus)
        if written != text:
            raise ValueError(
                f"corpus '{corpus.name}': the given tokenizer writes '{written[:60]}' where the transcript is"
                f" '{text[:60]}', which counts as an error; set 'transcripts' so that both are alike (case: lower)"
            )


def refuse_without_blanks(texts: Sequence[str], corpus: Corpus) -> None:
    """Refuses normalised transcripts in which a word is a whole sentence, unless the corpus says what to count.

    Raises:
        ValueError: one line: the text of a script without blanks between words hardly has any.
    """
    words = [word for text in texts for word in text.split()]
    if corpus.unit is not None or not words:
        return
    total = sum(map(len, words))
    for script, longest in ((_SHORT_WORDS, 3), (_LONG_WORDS, 9)):
        own = sum(len(script.findall(word)) for word in words)
        if own > total / 2 and total > longest * len(words):
            raise ValueError(
                f"corpus '{corpus.name}': 'unit' is not set, and its transcripts have almost no spaces "
                f"({total / len(words):.1f} characters from one to the next). A word error rate would count "
                "whole sentences; set 'unit: characters', or 'unit: words' if spaces do separate words"
            )


def notes_on(raw: str) -> tuple[str, ...]:
    """A note on invisible characters that were removed from a transcript."""
    if raw.isascii():
        return ()
    found = sorted({character for character in raw if is_invisible(character)} - set(normalise(raw)))
    return tuple(f"invisible characters were removed from transcripts: {_named(one)}" for one in found)


def notes(texts: Mapping[str, str], corpus: Corpus) -> list[dict[str, Any]]:
    """Notes for the user on the normalised transcripts of a corpus, given by utterance.

    Returns:
        For each note its text, the number of utterances that it is about, and the first of them.
    """
    everything = set().union(*texts.values()) - {" "}
    asked = corpus.transcripts or Transcripts()
    found = []
    for note, holds in _findings(everything, texts.values(), corpus, asked):
        names = [name for name, text in texts.items() if holds(text)]
        found.append({"note": note, "utterances": len(names), "first": names[0]})
    return found


def _findings(
    letters: set[str], texts: Iterable[str], corpus: Corpus, asked: Transcripts
) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Each note, and which texts it is about; there is at least one."""
    marks = {one for one in letters if is_punctuation(one) or unicodedata.category(one)[0] == "S"}
    shown = marks - set(APOSTROPHES) - {"-", _LOST}
    if shown:
        field = " ('transcripts.punctuation: remove' removes punctuation)" if asked.punctuation == "keep" else ""
        what = f"{len(shown)} of the {len(letters)} letters of the transcripts are punctuation or symbols"
        yield f"{what}, {_listed(shown)}{field}", lambda text: not shown.isdisjoint(text)
    for name, kinds in (("apostrophes: straight", APOSTROPHES), ("dashes: hyphen", DASHES)):
        several = letters & set(kinds)
        if len(several) > 1:
            common, *_ = sorted(several, key=lambda one: (-sum(text.count(one) for text in texts), one))
            others = several - {common}
            yield (
                f"marks look alike but differ, {_listed(several)} ('transcripts.{name}' unifies them)",
                lambda text, others=others: not others.isdisjoint(text),  # type: ignore[misc]
            )
    capitals = {one for one in letters if one != one.lower()}
    if capitals:
        yield "capital letters stay, because 'transcripts.case' is keep", lambda t: not capitals.isdisjoint(t)
    variants = {one for one in letters if compatible(one) != one}
    if variants:
        what = f"variants of letters, such as ligatures or full width, {_listed(variants)}"
        yield f"{what} ('transcripts.form: NFKC' makes them plain)", lambda text: not variants.isdisjoint(text)
    if asked.arabic == "keep" and "\u0640" in letters:
        yield "tatweel, which only stretches a word ('transcripts.arabic: bare' removes it)", lambda t: "\u0640" in t
    if corpus.language is None and asked.case == "lower" and any("\u0131" in t or "i\u0307" in t for t in texts):
        what = "an i without a dot, or with two: capitals were read as English ones"
        yield f"{what} ('language: tr' or az reads them as Turkish)", lambda text: "\u0131" in text or "i\u0307" in text
    if any(map(_MIXED_SCRIPTS.search, texts)):
        what = "words that mix Latin with Greek or Cyrillic letters, which look alike"
        yield what, lambda text: bool(_MIXED_SCRIPTS.search(text))
    lost = {one for one in letters if one == _LOST or unicodedata.category(one) in ("Co", "Cn")}
    if lost:
        yield f"characters that were lost or have no meaning, {_listed(lost)}", lambda text: not lost.isdisjoint(text)
    words = [word for text in texts for word in text.split()]
    if corpus.unit is None and sum(map(len, words)) > _LONGEST_MEAN * len(words):
        what = f"transcripts have almost no spaces ({sum(map(len, words)) / len(words):.1f} characters a word)"
        yield f"{what}: 'unit: characters' counts those", lambda text: len(text) > _LONGEST_MEAN


def _listed(letters: Iterable[str]) -> str:
    shown = sorted(letters)
    text = " ".join(one if _is_plain(one) else f"U+{ord(one):04X}" for one in shown[:_MOST_LETTERS])
    return f"{text} and {len(shown) - _MOST_LETTERS} more" if shown[_MOST_LETTERS:] else text


def _is_plain(character: str) -> bool:
    """Whether it shows as it is, whatever stands before it."""
    return unicodedata.category(character)[0] not in "CMZ"


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'unnamed').lower()}"
