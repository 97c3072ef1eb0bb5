"""A tokenizer of others: SentencePiece's pieces, numbered by a list of units."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import sentencepiece

from lrsms.data.tokens import check_range, refuse_characters

_WORD_MARK = "\u2581"
"""What SentencePiece writes in place of the blank before a word."""


class ListedUnits:
    """SentencePiece pieces whose tokens are their lines in a list of units, as in Auto-AVSR and ESPnet.

    The list has pieces of the model in another order, and perhaps others: what the model does not know, it leaves as
    one piece, such as a run of digits, and that may be in the list. The unit of what is in neither is U+FFFD; it is
    read, since a network may write it, and never written: a text that would need it is refused.

    A list of capitals alone, as Auto-AVSR's is, spells a text in capitals, whatever case its corpus has. What it spells
    comes into that case with the normalisation of every hypothesis.
    """

    FILE: ClassVar[str] = "tokenizer.units.json"
    UNKNOWN: ClassVar[str] = "\ufffd"

    def __init__(self, units: Sequence[str], model: bytes) -> None:
        self._units = list(units)
        self._model = model
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._tokens = {unit: token for token, unit in enumerate(self._units, start=1) if unit != self.UNKNOWN}
        self._capitals = all(unit == unit.upper() for unit in self._units)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what ``save`` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["units"], base64.b64decode(content["sentencepiece"], validate=True))

    def save(self, folder: Path) -> None:
        """Writes ``tokenizer.units.json``: the list, and SentencePiece's own file in base 64."""
        content = {"units": self._units, "sentencepiece": base64.b64encode(self._model).decode()}
        (folder / self.FILE).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """V."""
        return len(self._units) + 2

    def encode(self, text: str) -> list[int]:
        """The most probable segmentation."""
        pieces = self._split(text)
        if self.UNKNOWN not in text and all(piece in self._tokens for piece in pieces):
            return [self._tokens[piece] for piece in pieces]
        refuse_characters(text, outside={character for character in text if not self._is_known(character)})
        unknown = next(piece for piece in pieces if piece not in self._tokens)
        raise ValueError(f"'{unknown}' is not in the tokenizer")

    def _split(self, text: str) -> list[str]:
        pieces: list[str] = self._pieces.encode(text.upper() if self._capitals else text, out_type=str)
        return pieces

    def _is_known(self, character: str) -> bool:
        pieces = [piece for piece in self._split(character) if piece != _WORD_MARK]
        unknown = self._pieces.unk_id()
        known = (piece in self._tokens or self._pieces.piece_to_id(piece) != unknown for piece in pieces)
        return character != self.UNKNOWN and all(known)

    def encode_known(self, text: str) -> list[int]:
        """The most probable segmentation of what there are units for."""
        pieces = self._split(text.replace(self.UNKNOWN, ""))
        return [self._tokens[piece] for piece in pieces if piece in self._tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """The units joined, their word marks turned to blanks."""
        check_range(tokens, self.size)
        return "".join(self._units[token - 1] for token in tokens).replace(_WORD_MARK, " ").removeprefix(" ")
