"""How far a study is: the state of each of its runs, from the files that the workflow writes.

Only the ends of logs are read, so that a thousand runs take about a second. Nothing is written.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsms.base.files import held, write_atomically
from lrsms.base.progress import LINE
from lrsms.base.terminal import open_console
from lrsms.record.resumed import wrongly_resumed
from lrsms.record.run_files import OUTCOME
from lrsms.record.start import STARTS, find
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment
from lrsms.study.run import prepared_tests

State = Literal["done", "running", "failed", "diverged", "missing"]
STATES: tuple[State, ...] = get_args(State)
QUIET_SECONDS = 120.0
"""A job whose log has not changed for longer than this is not running."""

_OPEN = "waits for tuning"
_TAIL = 16_384
_ERROR = re.compile(r"^error: (?P<text>.+)$", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last)"
_LEFT = re.compile(r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d) left")


@dataclass(frozen=True)
class Folders:
    """The folders of the workflow's files."""

    records: Path
    runs: Path
    corpora: Path
    logs: Path
    starts: Path = STARTS


@dataclass(frozen=True)
class Status:
    """The state of one run.

    Attributes:
        run: its name.
        cell: what it varies, and what it is for where it is not compared.
        seed: its seed.
        state: ``done`` (recorded), ``running``, ``failed``, ``diverged`` or ``missing`` (nothing is wrong: it has not
            started, or waits for its next job).
        step: finished training steps, None if no log says so.
        steps: training steps in all, likewise.
        seconds_left: the running job's own estimate.
        note: the last error line of a failed run; for other states, a remark.
    """

    run: str
    cell: str
    seed: int
    state: State
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    note: str = ""


def study_status(experiments: Sequence[Experiment], decoding: Decoding, folders: Folders) -> list[Status]:
    """The state of each trained run of a study, in its order.

    Args:
        experiments: the study's runs.
        decoding: how they are decoded: a run that is recorded with other decoders is not done.
        folders: where their files are.
    """
    corpora: dict[str, str] = {}

    def corpus_error(names: Sequence[str]) -> str:
        for name in names:
            if name not in corpora:
                corpora[name] = _corpus_error(name, folders)
        return next((corpora[name] for name in names if corpora[name]), "")

    found = []
    for experiment in experiments:
        if not experiment.trained:
            continue
        if experiment.open:
            found.append(Status(experiment.name, experiment.label, experiment.run.seed, "missing", note=_OPEN))
            continue
        status = _status(experiment, decoding, folders)
        if status.state == "missing":
            tests = [prepared_tests(one, experiment.run.task) for one in (decoding.corpora or {}).values()]
            error = corpus_error(tests if status.note else [experiment.run.prepared, *tests])
            error = error or ("" if status.note else _start_error(experiment, folders))
            note = "; ".join(text for text in (status.note, error) if text)
            status = Status(status.run, status.cell, status.seed, "missing", note=note)
        found.append(status)
    return found


def reasons(statuses: Sequence[Status]) -> list[str]:
    """A line for each cell with runs that are neither done nor diverged, with the reasons: notes of a partial table."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for status in statuses:
        if status.state not in ("done", "diverged"):
            seeds.setdefault((status.cell, status.state, status.note), []).append(str(status.seed))
    lines = []
    for (cell, state, note), of in seeds.items():
        because = f": {note}" if note else ""
        lines.append(f"{cell}, seed{'s' if of[1:] else ''} {', '.join(of)}: {state}{because}")
    return lines


def write_reasons(statuses: Sequence[Status], table: Path) -> list[str]:
    """Adds ``reasons`` to the notes below a table in Markdown, and returns them."""
    lines = reasons(statuses)
    notes = "".join(f"- Missing: {line}\n" for line in lines)
    write_atomically(table, table.read_bytes() + notes.encode())
    return lines


def show(statuses: Sequence[Status], as_json: bool = False, console: Console | None = None) -> None:
    """Prints a table of the runs, and a line with the number of runs in each state; or JSON with both."""
    counts = {state: sum(status.state == state for status in statuses) for state in STATES}
    if as_json:
        print(json.dumps({"counts": counts, "runs": [asdict(status) for status in statuses]}, indent=1))
        return
    console = console or open_console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "seed", "state", "step", "left", ""):
        table.add_column(header, justify="right" if header in ("seed", "step", "left") else "left")
    for status in statuses:
        step = "" if status.step is None else f"{status.step}/{status.steps}"
        left = "" if status.seconds_left is None else str(timedelta(seconds=round(status.seconds_left)))
        table.add_row(*map(Text, (status.cell, str(status.seed), status.state, step, left, status.note)))
    console.print(table)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no runs")


def _status(experiment: Experiment, decoding: Decoding, folders: Folders) -> Status:
    name, record, folder = experiment.name, folders.records / experiment.name, folders.runs / experiment.name

    def status(state: State, **fields: Any) -> Status:
        return Status(name, experiment.label, experiment.run.seed, state, **fields)

    if (record / decoding.scores).is_file():
        outcome = _outcome(record / OUTCOME)
        if wrong := wrongly_resumed(experiment.run, outcome):
            return status("failed", note=f"{wrong}; delete {record}, and {folder} if there is one, to train it again")
        return status("diverged", note=_divergence(outcome)) if "diverged" in outcome else status("done")
    outcome = _outcome(folder / OUTCOME)
    if wrong := wrongly_resumed(experiment.run, outcome):
        return status("failed", note=f"{wrong}; delete {folder} to train it again")
    if "diverged" in outcome:
        return status("diverged", note=_divergence(outcome))
    if outcome:
        hypotheses = folder / decoding.hypotheses
        log = folder / ("score.log" if hypotheses.is_file() else "decode.log")
        text = _tail(log)
        if error := _last_error(text):
            return status("failed", note=error)
        if log.name == "decode.log" and _at_work(log):
            return status("running", seconds_left=_progress(text).get("seconds_left"), note="decoding")
        return status("missing", note=f"trained, not {'scored' if hypotheses.is_file() else 'decoded'}")
    text = _tail(folder / "train.log")
    progress = _progress(text)
    if held(folder):
        return status("running", **progress)
    progress.pop("seconds_left", None)
    if error := _last_error(text) or _last_error(_tail(folder / "resolve.log")):
        return status("failed", note=error, **progress)
    if progress or any(folder.glob("checkpoints/step-*.json")):
        return status("failed", note="ended without an error line: killed, or out of time or memory", **progress)
    return status("missing")


def _outcome(path: Path) -> dict[str, Any]:
    """How training ended: empty if it has not; with ``diverged`` if the loss diverged."""
    try:
        content = json.loads(path.read_bytes())
        return content | ({"diverged": True} if content["status"] == "diverged" else {})
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _divergence(outcome: dict[str, Any]) -> str:
    return f"at step {outcome.get('diverged_at')}"


def _corpus_error(name: str, folders: Folders) -> str:
    """The reason why a missing corpus could not be prepared, if preparing it was tried."""
    if (folders.corpora / name / "corpus.json").is_file():
        return ""
    error = _last_error(_tail(folders.logs / f"prepare-{name}.log"))
    return f"its corpus: {error}" if error else ""


def _start_error(experiment: Experiment, folders: Folders) -> str:
    """The reason why a run cannot begin from the weights that it names, if it names any."""
    if experiment.run.init_from is None:
        return ""
    try:
        find(experiment.run.init_from, folders.starts).refuse_unfit(experiment.run)
    except ValueError as error:
        return str(error)
    return ""


def _tail(path: Path) -> str:
    """The end of a log; empty if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_error(text: str) -> str:
    """The last error line of a log: our own line, or the last line of a traceback."""
    if errors := list(_ERROR.finditer(text)):
        return errors[-1]["text"].strip()
    if _TRACEBACK in text:
        return text.rpartition(_TRACEBACK)[2].strip().splitlines()[-1].strip()
    return ""


def _progress(text: str) -> dict[str, Any]:
    """The last progress in a log: ``step``, ``steps`` and ``seconds_left``."""
    for line in reversed(text.splitlines()):
        if found := LINE.fullmatch(line.strip()):
            fields: dict[str, Any] = {"step": int(found["done"]), "steps": int(found["total"])}
            if left := _LEFT.match(found["rest"]):
                days, *clock = (int(part or 0) for part in left.groups())
                hours, minutes, seconds = clock
                fields["seconds_left"] = float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
            return fields
    return {}


def _at_work(log: Path) -> bool:
    """Whether a log was written to recently."""
    try:
        return time.time() - log.stat().st_mtime < QUIET_SECONDS
    except OSError:
        return False
