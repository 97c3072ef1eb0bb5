"""Starts: folders with trained weights that runs may begin from, found by the content of the weights.

A folder ``results/starts/<name>``, which ``import`` writes, holds::

    weights.safetensors    dense weights, under the names of this program's networks
    tokenizer...           the tokenizer that they were trained with; where nobody gave one, there is none
    start.json             what they are: their network, their hashes, where they came from

A run names the first digits of a hash and neither a folder nor a path. So what it is does not depend on where weights
lie, and a study is read, and its records are checked, where they are not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.files import file_hash, read_json
from lrsms.base.strict import parse
from lrsms.record.run_files import WEIGHTS
from lrsms.study.bounds import HASH_DIGITS
from lrsms.study.run import Model, Run

STARTS = Path("results/starts")
START = "start.json"
_NO_MATTER = {"dropout", "initialiser"}
"""Fields of a model that say nothing about weights that are trained already."""


@dataclass(frozen=True)
class Start:
    """What ``start.json`` says.

    Attributes:
        folder: where it lies.
        model: of the weights' network.
        vocabulary: size V.
        weights_hash: SHA-256 of the file of weights.
        tokenizer: ``file``, its name, and ``sha256``, of its bytes; None: it is unknown.
        source: what the weights were imported from.
    """

    folder: Path
    model: Model
    vocabulary: int
    weights_hash: str
    tokenizer: Mapping[str, str] | None
    source: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Start":
        """Reads the ``start.json`` of a folder.

        Raises:
            ValueError: one line: it is malformed.
        """
        path = folder / START
        remedy = f"import into {folder} again"
        content = read_json(path, remedy)
        try:
            model = parse(Model, content["model"], f"{path}: 'model'")
            tokenizer = None if content["tokenizer"] is None else {k: str(content["tokenizer"][k]) for k in _TOKENIZER}
            found = cls(folder, model, int(content["vocabulary"]), str(content["weights_hash"]), tokenizer, content)
        except (LookupError, TypeError) as error:
            raise ValueError(f"{path}: is malformed ({type(error).__name__}: {error}); {remedy}") from None
        return found

    @property
    def weights(self) -> Path:
        """The file of weights."""
        return self.folder / WEIGHTS

    @property
    def digits(self) -> str:
        """What a run's ``init_from`` says of it."""
        return self.weights_hash[:HASH_DIGITS]

    def note(self) -> dict[str, Any]:
        """What a run that begins from it keeps, in its ``run.json``."""
        kept = {key: self.source["source"].get(key) for key in ("kind", "name", "sha256")}
        return {"weights_hash": self.weights_hash, "source": kept}

    def refuse_unfit(self, run: Run) -> None:
        """Refuses a run of another network or another tokenizer, as far as the configuration tells.

        Raises:
            ValueError: one line that names the file and the key.
        """
        ours, theirs = (model.model_dump(exclude=_NO_MATTER) for model in (run.model, self.model))
        for key, value in theirs.items():
            if ours[key] != value:
                raise ValueError(
                    f"{self.folder / START}: its network has 'model.{key}' {value}, but the run's has {ours[key]};"
                    " begin from weights of the run's network, or change the run's"
                )
        pieces = run.tokenizer.pieces
        if pieces is not None and pieces + 2 != self.vocabulary:
            raise ValueError(
                f"{self.folder / START}: its network knows {self.vocabulary - 2} units, but 'tokenizer.pieces' of the "
                f"run is {pieces}; {self.asked_tokenizer()}"
            )
        given = run.tokenizer.sha256
        if given is not None and self.tokenizer is not None and not self.tokenizer["sha256"].startswith(given):
            raise ValueError(
                f"{self.folder / START}: its tokenizer is {self.tokenizer['sha256'][:HASH_DIGITS]}, but "
                f"'tokenizer.sha256' of the run is {given}; {self.asked_tokenizer()}"
            )

    def asked_tokenizer(self) -> str:
        """What a run must say to have the start's tokenizer."""
        if self.tokenizer is None:
            return "import the weights again with the tokenizer that they were trained with (--tokenizer)"
        return f"use tokenizer: {self.tokenizer_setting()}"

    def tokenizer_setting(self) -> str:
        """As it is written in a preset; empty where the tokenizer is unknown."""
        if self.tokenizer is None:
            return ""
        return f"{{kind: given, pieces: {self.vocabulary - 2}, sha256: '{self.tokenizer['sha256'][:HASH_DIGITS]}'}}"


_TOKENIZER = ("file", "sha256")


def find(digits: str, starts: Path) -> Start:
    """The start whose weights have a SHA-256 that begins with ``digits``.

    Raises:
        ValueError: one line: there is none in the folder ``starts``, or its weights were changed.
    """
    found = next((start for start in _all(starts) if start.digits == digits), None)
    if found is None:
        raise ValueError(
            f"'init_from' is {digits}, but no folder in {starts} holds weights with this SHA-256; bring them there, or "
            f"make them: lrsms import CHECKPOINT {starts}/NAME"
        )
    if not found.weights.is_file():
        raise ValueError(f"{found.weights}: is missing; import into {found.folder} again")
    return found


def check_content(start: Start) -> None:
    """Reads the whole file of weights.

    Raises:
        ValueError: one line: it is not what was imported.
    """
    if file_hash(start.weights) != start.weights_hash:
        raise ValueError(
            f"{start.weights}: was changed after it was imported (its SHA-256 is not 'weights_hash' of "
            f"{start.folder / START}); import into {start.folder} again"
        )


def find_tokenizer(digits: str, starts: Path) -> Path:
    """The file of a tokenizer whose SHA-256 begins with ``digits``.

    Raises:
        ValueError: one line: there is none in the folder ``starts``, or it was changed.
    """
    for start in _all(starts):
        if start.tokenizer is None or not start.tokenizer["sha256"].startswith(digits):
            continue
        path = start.folder / start.tokenizer["file"]
        if not path.is_file() or file_hash(path) != start.tokenizer["sha256"]:
            raise ValueError(f"{path}: is not the tokenizer that was imported; import into {start.folder} again")
        return path
    raise ValueError(
        f"'tokenizer.sha256' is {digits}, but no folder in {starts} holds a tokenizer with this SHA-256; bring it"
        f" there, or make it: lrsms import CHECKPOINT {starts}/NAME --tokenizer ..."
    )


def _all(starts: Path) -> Iterator[Start]:
    return (Start.read(path.parent) for path in sorted(starts.glob(f"*/{START}")))
