"""Context-free grammars that write the sentences of the synthetic corpus, and the drawing of distinct sentences.

A grammar is a text of rules. Symbols are upper case, words lower case; the start symbol is ``SENTENCE``.

- ``SYMBOL = one | two three | OTHER four``: alternatives, drawn with equal chances.
- ``SYMBOL : one two three``: each word is an alternative.
- ``SYMBOL noun : cat child/children``: defines ``SYMBOL_SG`` and ``SYMBOL_PL``; irregular plurals are spelt out.
- ``SYMBOL verb : help go/goes/went``: defines ``SYMBOL_BASE``, ``SYMBOL_SG`` (third person) and ``SYMBOL_PAST``.
- ``SYMBOL* = EAT* FOOD``: the rule once for each of the three forms of the verb.
- The word ``a/an`` becomes the article that fits the word after it.
- A line that starts with a blank continues the one before.

No symbol may lead back to itself, so a grammar's sentences can be counted.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from lrsms.data.synthetic.english import SENTENCES_RULES

START = "SENTENCE"
VERB_FORMS = ("_BASE", "_SG", "_PAST")
AN_BEFORE = re.compile(r"[aeio]|u(?!ni|se)|hour|honest")
"""Starts of words that take 'an', as far as our vocabulary needs it: 'honest' does; 'uniform' and 'useful' do not."""

Rules = dict[str, tuple[tuple[str, ...], ...]]

COMMANDS_RULES = """
SENTENCE = COMMAND COLOUR PREPOSITION LETTER DIGIT ADVERB
COMMAND : bin lay place set
COLOUR : blue green red white
PREPOSITION : at by in with
LETTER : a b c d e f g h i j k l m n o p q r s t u v x y z
DIGIT : zero one two three four five six seven eight nine
ADVERB : again now please soon
"""
"""The grammar of GRID (Cooke et al. 2006, "An audio-visual corpus for speech perception", table I): no letter w."""


@dataclass(frozen=True)
class Grammar:
    """A parsed grammar and the lengths, in words, of the sentences to keep."""

    rules: Rules
    shortest: int
    longest: int
    spellings: Mapping[str, str] = field(default_factory=dict)
    """Texts for the synthesizer, for words that it would pronounce wrongly."""

    @property
    def num_derivations(self) -> int:
        """Number of ways to expand the start symbol; the number of sentences where no two ways read the same."""
        return count_derivations(self.rules)

    def spoken(self, sentence: str) -> str:
        """The sentence as the synthesizer needs it."""
        return " ".join(self.spellings.get(word, word) for word in sentence.split())


def grammar(name: str) -> Grammar:
    """The grammar ``commands`` or ``sentences``.

    Raises:
        ValueError: there is no grammar of that name.
    """
    if name not in GRAMMARS:
        raise ValueError(f"unknown grammar '{name}'; known: {', '.join(GRAMMARS)}")
    return GRAMMARS[name]


def sample(source: Grammar, rng: Random, count: int, exclude: Collection[str] = ()) -> list[str]:
    """Draws ``count`` distinct sentences, none of which is in ``exclude``.

    Only ``rng.randrange`` is used, whose values are the same in every version of Python.

    Raises:
        ValueError: the grammar does not have that many sentences.
    """
    if count + len(exclude) > source.num_derivations:
        available = max(0, source.num_derivations - len(exclude))
        raise ValueError(f"{count} sentences asked, but the grammar has only {available} more")
    taken = set(exclude)
    sentences: list[str] = []
    while len(sentences) < count:
        words = _agree(list(_expand(source.rules, START, rng)))
        sentence = " ".join(words)
        if source.shortest <= len(words) <= source.longest and sentence not in taken:
            taken.add(sentence)
            sentences.append(sentence)
    return sentences


def parse(text: str) -> Rules:
    """Reads the notation described at the head of this file.

    Raises:
        ValueError: a line is not a rule, a symbol is defined twice, undefined or leads back to itself.
    """
    rules: Rules = {}
    for line in filter(None, re.sub(r"\n +", " ", text).splitlines()):
        for symbol, alternatives in _rules_of(line):
            if symbol in rules:
                raise ValueError(f"grammar: '{symbol}' is defined twice")
            rules[symbol] = alternatives
    used = {part for alternatives in rules.values() for alternative in alternatives for part in alternative}
    for part in sorted(used | {START}):
        if part.isupper() and part not in rules:
            raise ValueError(f"grammar: '{part}' is used but not defined")
    count_derivations(rules)
    return rules


def count_derivations(rules: Rules) -> int:
    """Number of ways to expand the start symbol.

    Raises:
        ValueError: a symbol leads back to itself.
    """
    counts: dict[str, int | None] = {}

    def ways(part: str) -> int:
        if part not in rules:
            return 1
        if part not in counts:
            counts[part] = None
            counts[part] = sum(math.prod(map(ways, alternative)) for alternative in rules[part])
        count = counts[part]
        if count is None:
            raise ValueError(f"grammar: '{part}' leads back to itself")
        return count

    return ways(START)


def _rules_of(line: str) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    match = re.fullmatch(r"([A-Z_]+)(\*| noun| verb)? *([=:]) *(.+)", line)
    if match is None:
        raise ValueError(f"grammar: '{line}' is not a rule")
    symbol, kind, sign, body = match.groups()
    if kind == "*":
        for form in VERB_FORMS:
            yield symbol + form, _alternatives(body.replace("*", form))
    elif kind is None:
        yield symbol, _alternatives(body) if sign == "=" else tuple((word,) for word in body.split())
    else:
        suffixes, inflect = (VERB_FORMS, _verb) if kind == " verb" else (("_SG", "_PL"), _noun)
        forms = zip(*(inflect(word) for word in body.split()), strict=True)
        for suffix, words in zip(suffixes, forms, strict=True):
            yield symbol + suffix, tuple((word,) for word in dict.fromkeys(words))


def _alternatives(body: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(alternative.split()) for alternative in body.split("|"))


def _noun(word: str) -> tuple[str, ...]:
    return tuple(word.split("/")) if "/" in word else (word, _with_s(word))


def _verb(word: str) -> tuple[str, ...]:
    if "/" in word:
        return tuple(word.split("/"))
    past = word + "d" if word.endswith("e") else re.sub(r"(?<=[^aeiou])y$", "i", word) + "ed"
    return word, _with_s(word), past


def _with_s(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", word) else "s")


def _expand(rules: Rules, part: str, rng: Random) -> Iterator[str]:
    if part not in rules:
        yield part
        return
    alternatives = rules[part]
    for inner in alternatives[rng.randrange(len(alternatives))]:
        yield from _expand(rules, inner, rng)


def _agree(words: list[str]) -> list[str]:
    following = [*words[1:], ""]
    return [
        ("an" if AN_BEFORE.match(after) else "a") if word == "a/an" else word
        for word, after in zip(words, following, strict=True)
    ]


GRAMMARS: dict[str, Grammar] = {
    # The letter is called by its name; espeak-ng would say the article. (Letters other than 'a' are no words to it.)
    "commands": Grammar(parse(COMMANDS_RULES), shortest=6, longest=6, spellings={"a": "[['eI]]"}),
    "sentences": Grammar(parse(SENTENCES_RULES), shortest=4, longest=14),
}
