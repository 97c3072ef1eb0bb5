"""Facts about how transcripts are written."""

import itertools
import json
import re

from lrsms.use.transcript import Segment, Token, Transcript, as_json, as_srt, words


def spelt(text: str, begin: float = 0.0, step: float = 0.1) -> tuple[Token, ...]:
    """A character a token, each ``step`` seconds long."""
    return tuple(Token(c, begin + n * step, begin + (n + 1) * step, 0.5) for n, c in enumerate(text))


def segment(text: str, begin: float = 0.0, step: float = 0.1) -> Segment:
    return Segment(begin, begin + len(text) * step, text, spelt(text, begin, step))


def test_words_begin_and_end_with_their_tokens():
    found = words(segment("go  on", step=1.0), blanks=True)
    assert [(word.text, word.begin, word.end) for word in found] == [("go", 0.0, 2.0), ("on", 4.0, 6.0)]


def test_pieces_that_begin_with_a_blank_begin_a_word():
    tokens = [Token(text, n, n + 1, 0.5) for n, text in enumerate(["the", " c", "at", " sat"])]
    assert [word.text for word in words(Segment(0, 4, "", tuple(tokens)), True)] == ["the", "cat", "sat"]


def test_without_blanks_each_token_is_shown_by_itself():
    assert [word.text for word in words(segment("天地"), blanks=False)] == ["天", "地"]


def test_words_without_times_have_those_of_their_piece():
    tokens = tuple(Token(c, None, None, None) for c in "a b")
    assert {(word.begin, word.end) for word in words(Segment(2, 5, "a b", tokens), True)} == {(2, 5)}


def test_subtitles_break_at_pauses_and_before_they_are_long():
    text = " ".join(["word"] * 60)
    subtitles = as_srt(Transcript("f", 40, (segment(text), segment("after a pause", 38))))
    blocks = subtitles.split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == [str(n) for n in range(1, len(blocks) + 1)]
    said = [block.rstrip("\n").split("\n")[2] for block in blocks]
    assert " ".join(said) == f"{text} after a pause"
    assert said[-1] == "after a pause"
    assert all(len(line) <= 84 for line in said)
    times = [re.findall(r"\d\d:\d\d:\d\d,\d\d\d", block) for block in blocks]
    assert all(begin < end for begin, end in times)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_hours_are_written_as_subtitles_have_them():
    assert "01:02:03,400 --> 01:02:03,600" in as_srt(Transcript("f", 4000, (segment("ab", 3723.4),)))


def test_json_has_times_of_words_and_tokens():
    content = json.loads(as_json(Transcript("f.wav", 0.4, (segment("a bc"),)), {"run": "x"}))
    assert content["file"] == "f.wav" and content["run"] == "x" and content["text"] == "a bc"
    (only,) = content["segments"]
    assert [word["text"] for word in only["words"]] == ["a", "bc"]
    assert "".join(token["text"] for token in only["tokens"]) == "a bc"


def test_a_file_in_which_nothing_was_said_has_no_subtitle():
    assert as_srt(Transcript("f", 1, (Segment(0, 1, "", ()),))) == ""
