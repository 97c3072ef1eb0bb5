"""The identity of a corpus, independent of its preparation: the bytes of its recordings, and its texts.

Prepared samples are not part of it: resampling and decoding differ in a last bit between kinds of processor, and
between versions of a library. Paths and the order of the utterances are not part of it either. The files of a rendered
corpus differ in the same way, so the lengths of its recordings replace their bytes.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsms.base.files import file_hash
from lrsms.data.text import Characters, Tokenizer, units_of
from lrsms.data.utterance import Utterance
from lrsms.study.run import Modality

if TYPE_CHECKING:
    from lrsms.data.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the corpus at the time when the corpus was prepared."""

    size: int
    """Its length in bytes."""
    sha256: str
    """SHA-256 of its content."""


def sources(utterance: Utterance, modalities: Iterable[Modality]) -> dict[Modality, Source]:
    """The readable files of an utterance; each is read once."""
    known: dict[Path, Source] = {}
    found: dict[Modality, Source] = {}
    for modality in modalities:
        path = getattr(utterance, modality)
        try:
            if path is not None and path not in known:
                known[path] = _source(path, path.stat().st_size, path.stat().st_mtime_ns)
        except OSError:  # left to who reads it
            continue
        if path is not None:
            found[modality] = known[path]
    return found


@lru_cache(maxsize=64)
def _source(path: Path, size: int, changed: int) -> Source:
    """A long recording that many utterances are parts of is hashed once, unless it ``changed``."""
    return Source(size, file_hash(path))


def source_line(utterance: Utterance, text: str, contents: Mapping[Modality, str | int | None]) -> str:
    """An utterance's part in ``source_hash``: split, speaker, normalised text, and what stands for its recordings."""
    return json.dumps([utterance.split, utterance.speaker, text, dict(sorted(contents.items()))])


def source_hash(lines: Iterable[str]) -> str:
    """SHA-256 over all utterances, those that cannot be used among them, in no order."""
    return _sha256(sorted(lines))


def listing_hash(utterances: Iterable[Utterance], root: Path) -> str:
    """SHA-256 over the lists of a corpus in ``root``, without its recordings: it shows that lists were changed."""
    inside = f"{root.resolve()}/"

    def line(one: Utterance) -> str:
        names = [str(path or "").removeprefix(inside) for path in (one.audio, one.video)]
        return json.dumps([one.id, one.split, one.speaker, one.text, *names, *(one.span or ())])

    return _sha256(sorted(map(line, utterances)))


def tokenizer_hash(tokenizer: Tokenizer, texts: Iterable[str]) -> str:
    """SHA-256 over the units of a tokenizer and its spelling of the transcripts that it was trained on.

    Its file is not hashed, because that also has scores, which may differ in a last bit while all spellings agree.
    """
    # Characters spell every text in the same way, whatever they were trained on.
    spelt = [] if isinstance(tokenizer, Characters) else [tokenizer.encode(text) for text in sorted(set(texts))]
    return _sha256([json.dumps(units_of(tokenizer)), json.dumps(spelt)])


def content_hash(files: Mapping[str, str]) -> str:
    """SHA-256 over the files' names and SHA-256s: the identity of the prepared content."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def difference(noted: Mapping[str, Any], now: Mapping[str, str | None], by_manifest: bool = False) -> str | None:
    """How the data differ from those that a run noted, as words after "was trained"; None if the run may continue.

    It may continue if recordings, texts, lengths, order and tokenizer are the same, even if samples differ in a last
    bit. Old notes have no hash of recordings: then the prepared content must be the same.

    Args:
        noted: the earlier ``Prepared.identity``, in ``run.json`` or a checkpoint.
        now: the present one.
        by_manifest: where the hash of recordings was not noted, the same lengths and texts are enough.
    """
    if not _agree(noted, now, "manifest_hash"):
        return "on other data"
    if not _agree(noted, now, "tokenizer_hash"):
        return "with another tokenizer (another version of SentencePiece trains another)"
    if noted.get("data_hash") == now["data_hash"]:
        return None
    if noted.get("source_hash") is None:
        return None if by_manifest else "on other data"
    return None if noted["source_hash"] == now["source_hash"] else "on other data"


def warn_of_unknown_pieces(folder: Path, noted: Mapping[str, Any], prepared: "Prepared") -> None:
    """Warns about a run that did not note its tokenizer of pieces, if no other hash shows that it is the same."""
    now = prepared.identity["corpus_hash"]
    told = noted.get("tokenizer_hash") is not None or now in (noted.get("corpus_hash"), noted.get("data_hash"))
    if not told and not isinstance(prepared.tokenizer, Characters):
        warnings.warn(
            f"{folder}: was started before runs noted their tokenizer; if sentencepiece was upgraded since, its tokens "
            f"mean other pieces now: then install the earlier version and delete {prepared.folder}, which is prepared "
            "again",
            stacklevel=2,
        )


def _agree(noted: Mapping[str, Any], now: Mapping[str, str | None], key: str) -> bool:
    """Whether both are the same, or one is unknown."""
    return noted.get(key) is None or now.get(key) is None or noted[key] == now[key]


def _sha256(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
