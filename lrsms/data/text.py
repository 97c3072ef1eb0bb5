"""Transcripts and the tokens that spell them.

Token 0 is CTC's blank, 1 to V-2 are the units (characters or SentencePiece pieces), V-1 begins and ends a sentence.
"""

import io
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Protocol, Self

import sentencepiece

from lrsms.data.listed_units import ListedUnits
from lrsms.data.tokens import BLANK, check_range, refuse_characters
from lrsms.record.start import find_tokenizer
from lrsms.study import run


def ctc_length(tokens: Sequence[int]) -> int:
    """Frames that CTC needs for ``tokens``: one each, and a blank between equal neighbours (Graves et al. 2006)."""
    return len(tokens) + sum(left == right for left, right in pairwise(tokens))


class Tokenizer(Protocol):
    """Spells normalised transcripts with units."""

    FILE: ClassVar[str]
    """Name of the file that holds it."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what ``save`` wrote."""

    def save(self, folder: Path) -> None:
        """Writes ``FILE`` into ``folder``."""

    @property
    def size(self) -> int:
        """V: blank, units, and the token that begins and ends a sentence."""

    def encode(self, text: str) -> list[int]:
        """Tokens of ``text``, each in 1 .. V-2.

        Raises:
            ValueError: ``text`` has a character that the train split does not; it names it.
        """

    def encode_known(self, text: str) -> list[int]:
        """The same, without the characters that the train split does not have."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of ``tokens``, each in 1 .. V-2."""


class Trainable(Tokenizer, Protocol):
    """A tokenizer whose units are chosen for a corpus."""

    @classmethod
    def train(cls, settings: run.Tokenizer, texts: Sequence[str]) -> Self:
        """Chooses the units for ``texts``."""


class Characters:
    """The sorted characters of the train transcripts, the blank among them."""

    FILE: ClassVar[str] = "tokenizer.json"

    def __init__(self, characters: Sequence[str]) -> None:
        self._characters = list(characters)
        self._tokens = {character: token for token, character in enumerate(self._characters, start=1)}

    @classmethod
    def train(cls, settings: run.Tokenizer, texts: Sequence[str]) -> Self:
        """Takes every character that occurs."""
        return cls(sorted(set().union(*texts)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what ``save`` wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8"))["characters"])

    def save(self, folder: Path) -> None:
        """Writes ``tokenizer.json``."""
        content = json.dumps({"characters": self._characters}, ensure_ascii=False)
        (folder / self.FILE).write_text(content + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """V."""
        return len(self._characters) + 2

    def encode(self, text: str) -> list[int]:
        """One token per character."""
        refuse_characters(text, outside={character for character in text if character not in self._tokens})
        return [self._tokens[character] for character in text]

    def encode_known(self, text: str) -> list[int]:
        """One token per character that there is one for."""
        return [self._tokens[character] for character in text if character in self._tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """One character per token."""
        check_range(tokens, self.size)
        return "".join(self._characters[token - 1] for token in tokens)


class Unigram:
    """SentencePiece unigram pieces (Kudo 2018), every character of the train transcripts among them.

    SentencePiece insists on an unknown piece; it has id 0 and is never emitted: a text that would need it is refused.
    So a piece's id is its token, and 0 is free to be the blank.
    """

    FILE: ClassVar[str] = "tokenizer.model"

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def train(cls, settings: run.Tokenizer, texts: Sequence[str]) -> Self:
        """Trains exactly ``settings.pieces`` pieces; the same texts in the same order give the same model.

        Raises:
            ValueError: more pieces than the transcripts can give, or fewer than they have characters.
        """
        assert settings.pieces is not None
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=settings.pieces + 1,
                character_coverage=1.0,
                normalization_rule_name="identity",
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                max_sentence_length=1 << 20,
                num_threads=1,  # sums of expected counts would otherwise depend on the machine's cores
                minloglevel=3,
            )
        except RuntimeError as error:
            raise ValueError(_why_not(settings.pieces, texts, str(error))) from None
        tokenizer = cls(model.getvalue())
        assert tokenizer.size == settings.pieces + 2
        return tokenizer

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what ``save`` wrote."""
        return cls(path.read_bytes())

    def save(self, folder: Path) -> None:
        """Writes ``tokenizer.model``, which SentencePiece's own tools read too."""
        (folder / self.FILE).write_bytes(self._model)

    @property
    def size(self) -> int:
        """V."""
        return self._pieces.get_piece_size() + 1

    def encode(self, text: str) -> list[int]:
        """The most probable segmentation."""
        tokens = self._pieces.encode(text)
        if BLANK in tokens:
            refuse_characters(
                text, outside={character for character in text if BLANK in self._pieces.encode(character)}
            )
        return tokens

    def encode_known(self, text: str) -> list[int]:
        """The most probable segmentation of what there are pieces for."""
        return [token for token in self._pieces.encode(text) if token != BLANK]

    def decode(self, tokens: Sequence[int]) -> str:
        """The pieces joined, their word marks turned to blanks."""
        check_range(tokens, self.size)
        return self._pieces.decode(list(tokens))


_KINDS: dict[str, type[Trainable]] = {"characters": Characters, "unigram": Unigram}
_CLASSES: tuple[type[Tokenizer], ...] = (Characters, Unigram, ListedUnits)
FILES = tuple(kind.FILE for kind in _CLASSES)
"""Names of the files that hold tokenizers."""


def train_tokenizer(settings: run.Tokenizer, texts: Iterable[str]) -> Tokenizer:
    """Builds the tokenizer for the (normalised) transcripts of a train split.

    Raises:
        ValueError: there are no transcripts, or they cannot give the number of pieces asked for.
    """
    transcripts = [text for text in texts if text]
    if not transcripts:
        raise ValueError("tokenizer: the train split has no transcript to build it from")
    return _KINDS[settings.kind].train(settings, transcripts)


def given_tokenizer(settings: run.Tokenizer, starts: Path) -> Tokenizer | None:
    """The tokenizer of ``settings`` that lies beside imported weights; None where one is to be trained.

    Raises:
        ValueError: one line: no folder in ``starts`` holds it, or it has another number of units.
    """
    if settings.sha256 is None:
        return None
    path = find_tokenizer(settings.sha256, starts)
    found = load_tokenizer(path.parent)
    if found.size - 2 != settings.pieces:
        raise ValueError(f"'tokenizer.pieces' is {settings.pieces}, but {path} has {found.size - 2} units; write that")
    return found


def load_tokenizer(folder: Path) -> Tokenizer:
    """Reads the tokenizer that was saved in ``folder``.

    Raises:
        ValueError: there is none, or it is torn.
    """
    for kind in _CLASSES:
        path = folder / kind.FILE
        if path.is_file():
            try:
                return kind.read(path)
            except (ValueError, LookupError, TypeError, RuntimeError, OSError):
                raise ValueError(f"{path}: is not a tokenizer; delete {folder} and make it again") from None
    raise ValueError(f"{folder}: holds no tokenizer ({' or '.join(FILES)})")


def units_of(tokenizer: Tokenizer) -> list[str]:
    """The spelling of each unit by itself, from token 1 on."""
    return [tokenizer.decode([token]) for token in range(1, tokenizer.size - 1)]


def _why_not(pieces: int, texts: Sequence[str], reason: str) -> str:
    """SentencePiece's refusal as one line about our key."""
    limit = re.search(r"value <= (\d+)", reason)
    if limit:
        return f"'tokenizer.pieces' is {pieces}: the train transcripts give at most {int(limit[1]) - 1}"
    num_characters = len(set().union(*texts) | {" "})  # every word begins with a mark in place of the blank
    if pieces < num_characters:
        return (
            f"'tokenizer.pieces' is {pieces}: the train transcripts have {num_characters} characters; use at least that"
        )
    return f"'tokenizer.pieces' is {pieces}: SentencePiece refuses ({' '.join(reason.split())})"
