"""Records of several machines in one clone: each is checked, doubles are compared, and conflicts change nothing.

A run that was recorded on both sides is a double where both are of one training (``run.json`` is the same) with the
same errors. What was trained twice is a conflict, of which a person keeps one. Step times differ by the clock: those
that are here stay.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lrsms.base.files import read_json, write_atomically, write_json
from lrsms.base.strict import canonical_json
from lrsms.record.archive import grown
from lrsms.record.record import OPTIONAL_PARTS, PARTS, load_run, parts_of
from lrsms.record.run_files import OUTCOME, SCORES
from lrsms.record.score import read_scores
from lrsms.record.seal import hash_of, seal_path
from lrsms.record.tested import load_tests
from lrsms.report import comparable
from lrsms.report.results import FILE, load_project
from lrsms.report.validity.among import Among
from lrsms.report.validity.record import read as read_record
from lrsms.study.decoding import Decoding
from lrsms.study.run import Run
from lrsms.use.incoming import bring

_STAGE = ".merging"


@dataclass
class Merged:
    """The work of a merge, done or to be done: files by their source, all below ``results``.

    Attributes:
        records: new ones, whole folders.
        tables: score tables of runs that are recorded here, decoded otherwise; by their place below ``records``.
        others: step times and notes of studies.
        grown: notes of studies that are here, with the seeds and the tuning of the others.
        same: records that are here already.
        kept: a sentence for what was measured on both sides.
        remarks: on data that were prepared otherwise, or scores that look copied.
    """

    records: dict[str, Path] = field(default_factory=dict)
    tables: dict[Path, Path] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)
    grown: dict[Path, bytes] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Side:
    """A place that records come from: its folder ``results``, and what it is called in messages."""

    name: str
    results: Path

    @property
    def records(self) -> Path:
        return self.results / "records"

    def find(self) -> dict[str, Path]:
        """Folders of records by name; one without a score table is none yet."""
        return {path.parent.name: path.parent for path in sorted(self.records.glob(f"*/{SCORES}"))}


def merge(sources: Sequence[Path], results: Path, decodings: Sequence[Decoding]) -> Merged:
    """Brings the records, step times and notes of studies of all sources into ``results``.

    A record appears as a whole. Nothing is written before all of them were checked.

    Args:
        sources: folders or archives, see `lrsms.use.incoming`.
        results: of this clone.
        decodings: that its project has; those of studies, here and there, are known by their ``project.json``.

    Raises:
        ValueError: one line: a source cannot be read, a record is not what a run of its configuration leaves, is of
            other data than the records of its corpus, or differs from another of the same run. Nothing is changed.
    """
    with _stage(results) as stage:
        sides = []
        for number, source in enumerate(sources):
            bring(source, stage / str(number))
            sides.append(_Side(str(source), stage / str(number) / "results"))
        here = _Side(str(results), results)
        known = {decoding.digest: decoding for decoding in [*decodings, *_decodings([here, *sides])]}
        merged = Merged()
        for side in sides:
            _take_records(side, here, merged, known)
            _take_others(side, here, merged)
        merged.remarks += _check_together(merged, here, known)
        _write(merged, results)
        return merged


@contextmanager
def _stage(results: Path) -> Iterator[Path]:
    """A folder on the same disk; one that was left when a merge was killed is removed."""
    stage = results / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _decodings(sides: Sequence[_Side]) -> list[Decoding]:
    folders = [path.parent for side in sides for path in sorted(side.results.glob(f"*/{FILE}"))]
    return [load_project(folder).decoding for folder in folders]


def _take_records(side: _Side, here: _Side, merged: Merged, known: Mapping[str, Decoding]) -> None:
    have = here.find() | merged.records
    names = {name.rpartition("-")[2]: name for name in have}
    for name, folder in side.find().items():
        run = _checked(side, folder, known)
        other = names.get(run.digest, name)
        if other != name:
            raise ValueError(f"{side.name}: '{name}' is the run that is called '{other}' here; rename it to that")
        if name not in have:
            merged.records[name] = folder
            continue
        _refuse_conflict(side, folder, have[name])
        new = [path for path in sorted(folder.glob(SCORES)) if not (have[name] / path.name).is_file()]
        for path in new:
            _refuse_other_parts(side, path, have[name])
            earlier = merged.tables.setdefault(Path(name, path.name), path)
            _refuse_conflict(side, folder, earlier.parent, [earlier])
        merged.same += [] if new else [name]


def _checked(side: _Side, folder: Path, known: Mapping[str, Decoding]) -> Run:
    """The run of a record, all of whose score tables were found right."""
    try:
        run = load_run(folder)
        for table in sorted(folder.glob(SCORES)):
            _read(folder, run, table, known)
    except ValueError as error:
        raise ValueError(f"{side.name}: {_without(error, side)}") from None
    return run


def _read(folder: Path, run: Run, table: Path, known: Mapping[str, Decoding]) -> None:
    digest = table.name.removeprefix("scores-").removesuffix(".csv.gz")
    if digest not in known:
        raise ValueError(
            f"{table}: no project says how it was decoded; bring the {FILE} of its study, or choose its decoders and "
            "conditions in config.yaml"
        )
    read_record(folder, run, known[digest])


def _without(error: ValueError, side: _Side) -> str:
    """The error message, with the file's name in the source."""
    return str(error).replace(f"{side.results.parent}/", "")


def _refuse_other_parts(side: _Side, table: Path, ours: Path) -> None:
    """Refuses a further table beside parts that its seal does not know: nobody could read it afterwards."""
    for name in (*PARTS, *OPTIONAL_PARTS):
        if hash_of(table.parent / name) != hash_of(ours / name):
            raise ValueError(
                f"{side.name}: '{ours.name}' has another {name} than the record in {ours.parent}, to which its"
                f" {table.name} would be added; move the one that is not wanted away, and merge again"
            )


def _refuse_conflict(side: _Side, theirs: Path, ours: Path, tables: Sequence[Path] | None = None) -> None:
    """Refuses another training, or other errors in these score tables; None: in all of ours."""
    for path in [ours / OUTCOME, *(sorted(ours.glob(SCORES)) if tables is None else tables)]:
        other = theirs / path.name
        if not other.is_file() or other.read_bytes() == path.read_bytes():
            continue
        if path.name != OUTCOME and read_scores(other).equals(read_scores(path)):
            continue  # zipped by another library
        if path.name == OUTCOME:
            what = f"was trained twice, there on {_device(other)} and here on {_device(path)}"
        else:
            what = f"has other errors in {path.name}"
        raise ValueError(
            f"{side.name}: '{ours.name}' {what}; both cannot be kept: move the one that is not wanted out of "
            f"{side.name} or {ours.parent}, and merge again"
        )


def _device(outcome: Path) -> str:
    content = read_json(outcome, "restore it")
    when = content.get("provenance")
    commit = f", commit {str(when['commit'])[:10]}" if isinstance(when, dict) and when.get("commit") else ""
    return f"{content.get('device', 'an unknown device')}{commit}"


def _take_others(side: _Side, here: _Side, merged: Merged) -> None:
    """Step times and notes of studies."""
    taken = {path.relative_to(path.parents[1]): path for path in merged.others}
    for path in sorted([*side.results.glob("steptime/*.json"), *side.results.glob(f"*/{FILE}")]):
        place = path.relative_to(side.results)
        if place.name != FILE:
            read_json(path, "measure it again")
        ours = taken.get(place, here.results / place)
        if not ours.is_file():
            merged.others.append(path)
        elif ours.read_bytes() != path.read_bytes():
            if place.name != FILE:
                merged.kept.append(f"{place} was measured on both sides; the one that is here stays")
                continue
            more = grown(merged.grown.get(place, ours.read_bytes()), path.read_bytes())
            if more is None:
                raise ValueError(
                    f"{side.name}: {place} differs from {ours} in more than added seeds and tuning, such as decoders or"
                    " conditions, so that their records make no common table; agree on one of them"
                )
            merged.grown[place] = json.dumps(more, ensure_ascii=False).encode()


def _check_together(merged: Merged, here: _Side, known: Mapping[str, Decoding]) -> list[str]:
    """Whether records of a corpus are of the same data and networks, wherever they come from."""
    remarks: list[str] = []
    incoming = {name: load_run(folder) for name, folder in merged.records.items()}
    wanted = {_data(run) for run in incoming.values()}
    every = {name: (folder, run) for name, folder in here.find().items() if _data(run := load_run(folder)) in wanted}
    every |= {name: (merged.records[name], run) for name, run in incoming.items()}
    for data in sorted(wanted):
        part = {name: one for name, one in every.items() if _data(one[1]) == data}
        found = [comparable.noted(name, run, folder) for name, (folder, run) in part.items()]
        remarks += comparable.agree([one for one in found if one is not None], here.records)
        for digest, decoding in known.items():
            tables = {name: folder / f"scores-{digest}.csv.gz" for name, (folder, _) in part.items()}
            tested = {name: load_tests(table) for name, table in tables.items() if table.is_file()}
            remarks += comparable.agree_on_tests(tested, here.records)
            among = Among(here.records)
            for name, (folder, run) in part.items():
                if tables[name].is_file():
                    record = read_record(folder, run, decoding)
                    assert record is not None
                    among.add(name, run, record)
            remarks += among.warnings()
    return list(dict.fromkeys(remarks))


def _data(run: Run) -> str:
    return canonical_json({"corpus": run.corpus, "task": run.task})


def _write(merged: Merged, results: Path) -> None:
    """Records as whole folders; a further table comes after what belongs to it, which makes it complete."""
    (results / "records").mkdir(parents=True, exist_ok=True)
    for name, folder in merged.records.items():
        shutil.rmtree(results / "records" / name, ignore_errors=True)  # what is no record, as it has no scores
        os.replace(folder, results / "records" / name)
    for place, table in merged.tables.items():
        record = results / "records" / place.parent
        beside = [*parts_of(table).values(), seal_path(table)]
        new = [path for path in beside if path != table and path.is_file() and not (record / path.name).is_file()]
        for path in [*new, table]:
            write_atomically(record / path.name, path.read_bytes())
    for path in merged.others:
        place = path.relative_to(path.parents[1])
        write_atomically(results / place, path.read_bytes())
    for place, content in merged.grown.items():
        write_json(results / place, json.loads(content))
