"""Starts: folders with trained weights that runs may begin from, found by the content of the weights.

A folder ``results/starts/<name>``, which ``import`` writes, holds::

    weights.safetensors    dense weights, under the names of this program's networks
    tokenizer...           the tokenizer that they were trained with; where nobody gave one, there is none
    start.json             what they are: their network, their hashes, where they came from

A run names the first digits of a hash and neither a folder nor a path. So what it is does not depend on where weights
lie, and a study is read, and its records are checked, where they are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lrsms.base.files import file_hash, read_json
from lrsms.base.strict import Frozen, parse
from lrsms.record.run_files import WEIGHTS
from lrsms.study.bounds import HASH_DIGITS
from lrsms.study.run import Model, Run, Task

STARTS = Path("results/starts")
START = "start.json"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_NO_MATTER = {"dropout", "initialiser"}
"""Fields of a model that say nothing about weights that are trained already."""


class Tokens(Frozen):
    """The tokenizer beside the weights."""

    file: Annotated[str, Field(pattern=r"^tokenizer\.[a-z.]+$")]
    """The name of its file."""
    sha256: Sha256
    """The hash of its bytes."""


class Source(Frozen):
    """The origin of imported weights."""

    kind: str
    """A few words."""
    name: str
    """The name of the file or folder."""
    sha256: Sha256
    """The hash of the file that held the weights."""
    tensors: int | None = None
    """The number of tensors in a file of others."""


class About(Frozen):
    """The content of ``start.json``."""

    task: Task
    model: Model
    """The network of the weights."""
    vocabulary: Annotated[int, Field(ge=3)]
    """The vocabulary size V."""
    parameters: int
    weights_hash: Sha256
    """The hash of the file of weights."""
    tokenizer: Tokens | None = None
    """None: it is unknown."""
    source: Source


@dataclass(frozen=True)
class Start:
    """A folder, and what its ``start.json`` says."""

    folder: Path
    about: About

    @classmethod
    def read(cls, folder: Path) -> "Start":
        """Reads the ``start.json`` of a folder.

        Raises:
            ValueError: one line: it is malformed.
        """
        path = folder / START
        return cls(folder, parse(About, read_json(path, f"import into {folder} again"), str(path)))

    @property
    def weights(self) -> Path:
        """The file of weights."""
        return self.folder / WEIGHTS

    @property
    def units(self) -> int:
        """Number of units that the network knows: V less the blank and the mark of a sentence's end."""
        return self.about.vocabulary - 2

    @property
    def digits(self) -> str:
        """What a run's ``init_from`` says of it."""
        return self.about.weights_hash[:HASH_DIGITS]

    def note(self) -> dict[str, Any]:
        """What a run that begins from it keeps, in its ``run.json``."""
        return {"weights_hash": self.about.weights_hash, "source": self.about.source.model_dump(exclude_none=True)}

    def refuse_unfit(self, run: Run) -> None:
        """Refuses a run of another network or another tokenizer, as far as the configuration tells.

        Raises:
            ValueError: one line that names the file and the key.
        """
        ours, theirs = (model.model_dump(exclude=_NO_MATTER) for model in (run.model, self.about.model))
        for key, value in theirs.items():
            if ours[key] != value:
                raise ValueError(
                    f"{self.folder / START}: its network has 'model.{key}' {value}, but the run's has {ours[key]};"
                    " begin from weights of the run's network, or change the run's"
                )
        pieces = run.tokenizer.pieces
        if pieces is not None and pieces + 2 != self.about.vocabulary:
            raise ValueError(
                f"{self.folder / START}: its network knows {self.units} units, but 'tokenizer.pieces' of the "
                f"run is {pieces}; {self.asked_tokenizer()}"
            )
        given = run.tokenizer.sha256
        if given is not None and self.about.tokenizer is not None and not self.about.tokenizer.sha256.startswith(given):
            raise ValueError(
                f"{self.folder / START}: its tokenizer is {self.about.tokenizer.sha256[:HASH_DIGITS]}, but "
                f"'tokenizer.sha256' of the run is {given}; {self.asked_tokenizer()}"
            )

    def asked_tokenizer(self) -> str:
        """What a run must say to have the start's tokenizer."""
        if self.about.tokenizer is None:
            return "import the weights again with the tokenizer that they were trained with (--tokenizer)"
        return f"use tokenizer: {self.tokenizer_setting()}"

    def tokenizer_setting(self) -> str:
        """As it is written in a preset; empty where the tokenizer is unknown."""
        if self.about.tokenizer is None:
            return ""
        return f"{{kind: given, pieces: {self.units}, sha256: '{self.about.tokenizer.sha256[:HASH_DIGITS]}'}}"


def find(digits: str, starts: Path) -> Start:
    """The start whose weights have a SHA-256 that begins with ``digits``.

    Raises:
        ValueError: one line: there is none in the folder ``starts``, or its file of weights is missing.
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
    if file_hash(start.weights) != start.about.weights_hash:
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
        known = start.about.tokenizer
        if known is None or not known.sha256.startswith(digits):
            continue
        path = start.folder / known.file
        if not path.is_file() or file_hash(path) != known.sha256:
            raise ValueError(f"{path}: is not the tokenizer that was imported; import into {start.folder} again")
        return path
    raise ValueError(
        f"'tokenizer.sha256' is {digits}, but no folder in {starts} holds a tokenizer with this SHA-256; bring it"
        f" there, or make it: lrsms import CHECKPOINT {starts}/NAME --tokenizer ..."
    )


def _all(starts: Path) -> Iterator[Start]:
    return (Start.read(path.parent) for path in sorted(starts.glob(f"*/{START}")))
