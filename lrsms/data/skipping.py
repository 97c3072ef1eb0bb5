"""Utterances that are left out of a prepared corpus: the reasons, the numbers by split, and the limit.

A test utterance is left out only if it has nothing to hear, to see or to score. A transcript that the tokenizer cannot
spell, or that is too long for CTC, counts as an error of the model, and its reference is scored as it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lrsms.data.manifest import SPLITS, write_tsv
from lrsms.data.text import Tokenizer, ctc_length
from lrsms.study.corpus import Corpus
from lrsms.study.frames import FRAMES_PER_SECOND

Kind = Literal["recording", "transcript", "spelling", "length"]

LARGEST_SHARE = 0.01
"""Largest share of utterances that may be left out where a corpus says nothing else."""
MOST_REASONS = 10
"""Reasons that are told at once; the list has all of them."""


@dataclass(frozen=True)
class Skipped:
    """An utterance that is left out."""

    id: str
    split: str
    reason: str
    kind: Kind = "recording"
    """What cannot be used: the recording; the transcript, which is empty; its letters; its length."""


def spelling_problem(text: str, frames: int, tokenizer: Tokenizer) -> tuple[str, Kind] | None:
    """Why a network cannot be trained on a transcript of a recording of so many frames, if it cannot."""
    try:
        needed = ctc_length(tokenizer.encode(text))
    except ValueError as error:
        return str(error), "spelling"
    if needed > frames:
        return (
            f"the transcript needs {needed} frames for CTC, the recording has {frames} ({FRAMES_PER_SECOND} per "
            "second)",
            "length",
        )
    return None


def left_out(skipped: Sequence[Skipped], kept: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By split, as far as anything is: how many utterances there were, and how many are left out of each kind.

    Args:
        skipped: what is left out.
        kept: by split the number of utterances that are not.
    """
    found: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        kinds = Counter(one.kind for one in skipped if one.split == split)
        if kinds:
            found[split] = {"of": kept.get(split, 0) + kinds.total(), **dict(sorted(kinds.items()))}
    return found


def refuse_many(
    skipped: Sequence[Skipped], totals: Mapping[str, int], corpus: Corpus, root: Path | None, refused: Path
) -> None:
    """Refuses a corpus of which too much would be left out.

    Args:
        skipped: what would be.
        totals: by split the number of all utterances.
        corpus: whose ``most_skipped`` holds for each split by itself; without it, 1% for all splits together.
        root: of the corpus, which reasons go without.
        refused: gets the list of them.

    Raises:
        ValueError: one line that names the first, the list and the field.
    """
    limits = corpus.most_skipped
    if limits is None:
        total = sum(totals.values())
        if len(skipped) <= LARGEST_SHARE * total:
            return
        raise ValueError(
            f"{len(skipped)} of {total} utterances cannot be used, more than {LARGEST_SHARE:.0%}; "
            f"{_reasons(skipped, root, refused)}; mend them, or set 'most_skipped' of the corpus, a share by split, "
            f"such as {{{', '.join(f'{split}: {_share_of(skipped, totals, split):g}' for split in SPLITS)}}}"
        )
    for split in SPLITS:
        own = [one for one in skipped if one.split == split]
        given: float | None = getattr(limits, split)
        limit = LARGEST_SHARE if given is None else given
        if len(own) > limit * totals.get(split, 0):
            raise ValueError(
                f"{len(own)} of {totals[split]} utterances of split '{split}' cannot be used, more than {limit:.2%}; "
                f"{_reasons(own, root, refused)}; mend them, or raise 'most_skipped.{split}' of the corpus"
            )


def findings(skipped: Sequence[Skipped], where: str) -> list[str]:
    """The first reasons, and how many utterances of each split are left out, in lines; ``where`` lists all."""
    lines = [f"skipped '{one.id}': {one.reason}" for one in skipped[:MOST_REASONS]]
    if len(skipped) > MOST_REASONS:
        lines.append(f"skipped {len(skipped) - MOST_REASONS} more, listed in {where}")
    return lines


def scored_as_they_are(problems: Mapping[str, tuple[str, Kind]]) -> list[dict[str, Any]]:
    """Notes on test utterances that a network could not be trained on, by utterance; they stay in the test set."""
    said = {
        "spelling": "test transcripts have letters that the train split does not have; they are scored as they are",
        "length": "test transcripts are too long for CTC; they are scored as they are",
    }
    notes = []
    for kind, note in said.items():
        names = [name for name, (_, why) in problems.items() if why == kind]
        if names:
            notes.append({"note": note, "utterances": len(names), "first": names[0]})
    return notes


def _share_of(skipped: Sequence[Skipped], totals: Mapping[str, int], split: str) -> float:
    """The least share that is enough, in hundredths; at least 1%."""
    number, total = sum(one.split == split for one in skipped), totals.get(split, 0)
    return max(-(-100 * number // total) / 100 if total else 0.0, LARGEST_SHARE)


def _reasons(skipped: Sequence[Skipped], root: Path | None, refused: Path) -> str:
    """The first reasons, after all of them were written into ``refused``."""
    reasons = [" ".join(one.reason.split()) for one in skipped]
    write_tsv(
        refused,
        ("id", "split", "reason"),
        ((one.id, one.split, reason) for one, reason in zip(skipped, reasons, strict=True)),
    )
    known = f"{root.resolve()}/" if root is not None else ""
    named = (
        f"'{one.id}': {reason.removeprefix(known)}"
        for one, reason in zip(skipped[:MOST_REASONS], reasons, strict=False)
    )
    return f"{'; '.join(named)}; all are listed in {refused}"
