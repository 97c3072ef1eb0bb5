from itertools import pairwise
from random import Random

import pytest

from lrsms.data.synthetic import grammar


def draw(name: str, count: int, seed: int = 1) -> list[str]:
    return grammar.sample(grammar.grammar(name), Random(seed), count)


def vocabulary(given: grammar.Grammar) -> set[str]:
    """The words that the start symbol can lead to."""
    seen: set[str] = set()
    waiting = [grammar.START]
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            waiting.extend(inner for alternative in given.rules.get(part, ()) for inner in alternative)
    words = seen - set(given.rules)
    return words - {"a/an"} | {"a", "an"} if "a/an" in words else words


def test_commands_are_the_published_grammar_of_grid() -> None:
    commands = grammar.grammar("commands")
    assert len(vocabulary(commands)) == 51
    assert commands.num_derivations == 64_000
    assert "w" not in vocabulary(commands)


def test_every_command_can_be_drawn_once_and_no_more() -> None:
    tiny = grammar.Grammar(grammar.parse("SENTENCE = A A\nA : x y z"), shortest=1, longest=9)
    assert sorted(grammar.sample(tiny, Random(0), 9)) == [f"{a} {b}" for a in "xyz" for b in "xyz"]
    with pytest.raises(ValueError, match="2 sentences asked, but the grammar has only 1 more"):
        grammar.sample(tiny, Random(0), 2, exclude={f"{a} {b}" for a in "xyz" for b in "xyz"} - {"x x"})


def test_only_the_letter_a_is_spelt_for_the_synthesizer() -> None:
    commands = grammar.grammar("commands")
    assert commands.spoken("bin blue at a two now") == "bin blue at [['eI]] two now"
    assert commands.spoken("bin blue at b two again") == "bin blue at b two again"
    assert grammar.grammar("sentences").spoken("a cat sang again") == "a cat sang again"


def test_sentences_reach_their_whole_vocabulary_in_the_promised_lengths() -> None:
    sentences = grammar.grammar("sentences")
    drawn = draw("sentences", 20_000)
    words = {word for sentence in drawn for word in sentence.split()}
    assert words <= vocabulary(sentences)
    assert len(words) > 1_000
    assert len(vocabulary(sentences) - words) < 20
    assert {len(sentence.split()) for sentence in drawn} == set(range(4, 15))
    assert set("".join(drawn)) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_sentences_agree() -> None:
    rules = grammar.grammar("sentences").rules
    singular, plural = ({words[0] for words in rules[f"THING{form}"]} for form in ("_SG", "_PL"))
    third, base = ({words[0] for words in rules[f"HANDLE{form}"]} for form in ("_SG", "_BASE"))
    assert singular.isdisjoint(plural) and third.isdisjoint(base)
    for sentence in draw("sentences", 5_000):
        words = sentence.split()
        if words[0] in ("she", "he"):
            assert words[1] not in base, sentence
        for word, after in pairwise(words):
            if word == "an":
                assert after[0] in "aeiou" or after in ("honest", "hour"), sentence
            if word == "a":
                assert after[0] not in "aeiou" or after in ("useful", "uniform"), sentence
            if word in ("a", "an", "this", "every", "another"):
                assert after not in plural, sentence
            if word in ("these", "those", "several", "many", "two"):
                assert after not in singular, sentence
            if word in ("they", "we", "i", "didn't", "doesn't", "will", "to"):
                assert after not in third, sentence


@pytest.mark.parametrize(
    ("symbol", "line", "forms"),
    [
        ("N", "N noun : baby box toy knife/knives", {"_SG": "baby box toy knife", "_PL": "babies boxes toys knives"}),
        (
            "V",
            "V verb : carry bake play wash go/goes/went",
            {
                "_BASE": "carry bake play wash go",
                "_SG": "carries bakes plays washes goes",
                "_PAST": "carried baked played washed went",
            },
        ),
    ],
)
def test_words_inflect(symbol: str, line: str, forms: dict[str, str]) -> None:
    rules = grammar.parse(f"{line}\nSENTENCE = " + " | ".join(symbol + form for form in forms))
    for form, words in forms.items():
        assert [word for (word,) in rules[symbol + form]] == words.split()


def test_drawing_is_a_function_of_the_seed() -> None:
    # Pinned: a change of these sentences changes every synthetic corpus, and calls for a new RESULTS_VERSION.
    assert draw("commands", 3) == draw("commands", 3) == COMMANDS_OF_SEED_1
    assert draw("commands", 20, seed=1) != draw("commands", 20, seed=2)
    assert draw("sentences", 100) == draw("sentences", 100)


COMMANDS_OF_SEED_1 = ["bin red at p seven soon", "lay blue with a six soon", "set red by s one please"]


def test_drawn_sentences_are_distinct_and_not_excluded() -> None:
    first = draw("commands", 3_000)
    second = grammar.sample(grammar.grammar("commands"), Random(1), 3_000, exclude=first)
    assert len({*first, *second}) == 6_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SENTENCE = A\nA : x\nA : y", "'A' is defined twice"),
        ("SENTENCE = A B\nA : x", "'B' is used but not defined"),
        ("SENTENCE = A\nA = x A", "'A' leads back to itself"),
        ("SENTENCE = A\nthe cat", "'the cat' is not a rule"),
        ("A : x", "'SENTENCE' is used but not defined"),
    ],
)
def test_broken_grammars_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grammar.parse(text)


def test_unknown_grammar_names_the_known() -> None:
    with pytest.raises(ValueError, match="unknown grammar 'lyrics'; known: commands, sentences"):
        grammar.grammar("lyrics")
