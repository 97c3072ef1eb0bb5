"""The length bonus of a run whose decoder has a list of bonuses: the one with the lowest WER on the valid split.

``<name>.bonus.json`` is beside a run's hypotheses ``<name>.jsonl``, and beside its score table in the record. For each
decoder it has::

    chosen     the length bonus with which the run is decoded and scored
    words      reference words of all conditions of the valid split
    tried      every bonus of the list, with its word errors there

No test condition is decoded before the choice. Old records, from before bonuses were chosen, lack the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json, write_json
from lrsms.record.run_files import beside
from lrsms.study.decoding import Decoding

_REMEDY = "restore it, or delete the score table beside it to decode again"


@dataclass(frozen=True)
class Choice:
    """Word errors ``tried`` by length bonus, of ``words`` reference words of the valid split."""

    tried: Mapping[float, int]
    words: int

    @property
    def chosen(self) -> float:
        """The bonus with the fewest errors; among equals, the smallest."""
        return min(self.tried, key=lambda value: (self.tried[value], value))


def bonus_path(path: Path) -> Path:
    """The path of the choices that belong to hypotheses or to a score table."""
    return beside(path, "bonus.json")


def write_choices(path: Path, choices: Mapping[str, Choice]) -> None:
    """Writes the choices, by decoder, beside hypotheses; removes old ones where there are none."""
    if not choices:
        bonus_path(path).unlink(missing_ok=True)
        return
    content = {
        name: {"chosen": choice.chosen, "words": choice.words, "tried": [list(pair) for pair in choice.tried.items()]}
        for name, choice in choices.items()
    }
    write_json(bonus_path(path), content)


def load_choices(path: Path, decoding: Decoding) -> dict[str, Choice]:
    """The choices beside hypotheses or a score table, of every decoder that has a list.

    Raises:
        ValueError: one line: the file is missing or malformed, or of other lists than the decoders have.
    """
    grids = {name: decoder.grid for name, decoder in decoding.decoders.items() if decoder.grid}
    if not grids:
        return {}
    path = bonus_path(path)
    if not path.is_file():
        raise ValueError(f"{path}: is missing, but decoder '{next(iter(grids))}' has a list of bonuses; {_REMEDY}")
    content = read_json(path, _REMEDY)
    if set(content) != set(grids):
        raise ValueError(f"{path}: has decoders {', '.join(content)}, expected {', '.join(grids)}; {_REMEDY}")
    return {name: _choice(path, name, content[name], grid) for name, grid in grids.items()}


def _choice(path: Path, name: str, content: Any, grid: tuple[float, ...]) -> Choice:
    try:
        choice = Choice({float(value): errors for value, errors in content["tried"]}, content["words"])
        counts = [choice.words, *choice.tried.values()]
        sound = all(type(count) is int and count >= 0 for count in counts) and choice.words > 0
        sound = sound and tuple(sorted(choice.tried)) == grid and content["chosen"] == choice.chosen
    except (LookupError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ValueError(f"{path}: '{name}' is not the best of {', '.join(f'{v:g}' for v in grid)}; {_REMEDY}")
    return choice
