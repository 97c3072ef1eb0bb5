"""Whether a test set is apart from what runs were trained and validated on: no voice, sentence or recording is shared.

- Speakers must be others; of rendered corpora, the variants of espeak-ng (larynx and mouth), whatever the accent.
- Sentences must be others where both corpora are rendered: people may say the same, a grammar is to be drawn from anew.
- Recordings must be others: found by path where corpora are only listed, by content where both are prepared.

Speakers are known by their names, so that two people of one name, in two corpora, are taken for one.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrsms.data import corpora
from lrsms.data.corpora import held_out, synthetic
from lrsms.data.inplace import SOURCES
from lrsms.data.manifest import read_tsv
from lrsms.data.prepared import COLUMNS, MANIFEST, RECORDINGS, Item, Prepared
from lrsms.data.stored import CHECKSUMS
from lrsms.study.corpus import Corpus, HeldOut, Synthetic

TRAINED = ("train", "valid")
"""The splits of the runs' corpus that a test set must be apart from."""
_SPOKEN = ("id", "split", "speaker", "text")


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance, as far as another may be the same."""

    id: str
    split: str
    speaker: str
    """Empty where unknown."""
    text: str
    recording: Hashable = None
    """None where it is not known, or rendered."""


def refuse_shared(trained: Corpus, seen: Iterable[Spoken], tested: Corpus, tests: Iterable[Spoken]) -> None:
    """Checks that a test set is apart from the train and valid splits of a corpus.

    Args:
        trained: the corpus of the runs.
        seen: its utterances, of any split.
        tested: the corpus of the test set.
        tests: its utterances; those of other splits than test are not looked at.

    Raises:
        ValueError: one line that names what is shared.
    """
    rendered = trained.rendered and tested.rendered
    speakers: dict[str, str] = {}
    texts: dict[str, str] = {}
    recordings: dict[Hashable, Spoken] = {}
    for one in seen:
        if one.split in TRAINED:
            speakers.setdefault(_voice(one, rendered), one.split)
            texts.setdefault(one.text, one.split)
            recordings.setdefault(one.recording, one)
    where = f"corpus '{tested.name}', a test set"
    for one in (spoken for spoken in tests if spoken.split == "test"):
        voice = _voice(one, rendered)
        if voice and voice in speakers:
            what = f"voice '{voice}'" if rendered else f"speaker '{voice}'"
            raise ValueError(_shared(where, what, speakers[voice], trained, "speakers that were not trained on"))
        if rendered and one.text in texts:
            raise ValueError(_shared(where, f"sentence '{one.text}'", texts[one.text], trained, "other sentences"))
        if one.recording is not None and one.recording in recordings:
            other = recordings[one.recording]
            what = f"the recording '{one.id}', which is '{other.id}',"
            raise ValueError(_shared(where, what, other.split, trained, "other recordings"))


def _voice(one: Spoken, rendered: bool) -> str:
    return synthetic.variant_of(one.speaker) if rendered else one.speaker


def _shared(where: str, what: str, split: str, trained: Corpus, right: str) -> str:
    seen = f"the {split} split of '{trained.name}', on which the runs are trained"
    return f"{where}: shares {what} with {seen}; give {right}"


def listed(corpus: Corpus, root: Path | None) -> Iterator[Spoken]:
    """What a corpus has, as its lists say, or its grammar; nothing is opened or rendered.

    Raises:
        ValueError: one line: the corpus is not as its kind needs it.
    """
    if isinstance(corpus, Synthetic | HeldOut):
        script = held_out.script(corpus) if isinstance(corpus, HeldOut) else synthetic.script(corpus)
        yield from (Spoken(line.id, line.split, line.voice.name, line.text) for line in script)
        return
    for one in corpora.utterances(corpus, root and root.resolve(), Path()):
        yield Spoken(one.id, one.split, one.speaker, one.text, (one.audio, one.video, one.span))


def refuse_shared_prepared(trained: Corpus, seen: Prepared, tested: Corpus, tests: Prepared) -> None:
    """Likewise, of corpora that are prepared: by what their recordings hold.

    Raises:
        ValueError: one line that names what is shared.
    """
    if trained.rendered or tested.rendered:
        refuse_shared(trained, _spoken(seen, {}), tested, _spoken(tests, {}))
        return
    same = dict(_same_recordings(seen, tests))
    shared = {name: name for name in same}
    refuse_shared(trained, [*_spoken(seen, {}), *same.values()], tested, _spoken(tests, shared))


def _same_recordings(seen: Prepared, tests: Prepared) -> Iterator[tuple[str, Spoken]]:
    """Ids of test utterances whose recording was trained on, and as what."""
    in_place = (seen.folder / SOURCES).is_file()
    columns = [f"{modality}_sha256" if in_place else modality for modality in seen.modalities]
    keys = [
        {
            row.cells["id"]: tuple(row.cells[name] for name in columns)
            for row in read_tsv(path, ("id", "split", *columns))
        }
        for path in (tests.folder / RECORDINGS, seen.folder / (SOURCES if in_place else CHECKSUMS))
    ]
    by_content = {content: name for name, content in keys[0].items()}
    items = {item.id: item for item in tests.items("test")}
    for row in read_tsv(seen.folder / MANIFEST, COLUMNS):
        name, split, speaker, text = (row.cells[key] for key in _SPOKEN)
        other = by_content.get(keys[1][name]) if split in TRAINED else None
        if other is not None:
            place = int(row.cells["frames"]), int(row.cells["offset"])
            if in_place or _same(seen, Item(name, split, speaker, text, *place, tokens=()), tests, items[other]):
                yield other, Spoken(name, split, speaker, text, other)


def _spoken(prepared: Prepared, recordings: Mapping[str, str]) -> Iterator[Spoken]:
    for row in read_tsv(prepared.folder / MANIFEST, COLUMNS):
        name, split, speaker, text = (row.cells[key] for key in _SPOKEN)
        yield Spoken(name, split, speaker, text, recordings.get(name))


def _same(seen: Prepared, item: Item, tests: Prepared, other: Item) -> bool:
    """Whether two utterances of one CRC-32 hold the same: among very many, two that differ may have one."""
    if item.frames != other.frames:
        return False
    if "audio" in seen.modalities:
        return np.array_equal(seen.wave(item), tests.wave(other))
    return np.array_equal(seen.video(item), tests.video(other))
