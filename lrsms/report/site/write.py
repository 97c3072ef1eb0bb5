"""Writes the site: all of it or nothing, and the same results give the same bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lrsms import QUESTION
from lrsms.base.files import whole_folder
from lrsms.report import claims as hypotheses
from lrsms.report import index
from lrsms.report.outcomes import with_holm
from lrsms.report.pages.markup import Table
from lrsms.report.pages.material import load
from lrsms.report.pages.run_page import parts as run_parts
from lrsms.report.pages.run_page import title as run_title
from lrsms.report.pages.study_page import provenance_tables
from lrsms.report.site import findings_page, front, study_page
from lrsms.report.site.content import Listed, Sources, Study, rate, read
from lrsms.report.site.figure import Sheet
from lrsms.report.site.front import Tested
from lrsms.report.site.markdown import as_html
from lrsms.report.site.render import GENERATOR, link, render
from lrsms.study.expand import Experiment

LOOK = ("site.css", "site.js", "icon.svg")
"""Files beside this module that go into every site as they are: how it looks, and how tables are sorted."""
DATA = ("table.csv", "claims.csv", "runs.csv")
"""Tables of a study that its page offers as files, where they are there."""
BENCHMARKS = "bench/README.md"


@dataclass(frozen=True)
class Written:
    """What a site has.

    Attributes:
        studies: number of their pages.
        runs: number of theirs.
        bytes: of all files but the pages of runs.
    """

    studies: int
    runs: int
    bytes: int


def write(output: Path, folders: Sequence[Path], sources: Sources) -> Written:
    """Writes the site of these studies, in place of an earlier one.

    Args:
        output: its folder.
        folders: of the studies' results.
        sources: where all else comes from.

    Raises:
        ValueError: one line: a file is missing or malformed, or ``output`` has something else in it.
    """
    _check(output)
    if len({folder.resolve().name for folder in folders}) < len(folders):
        raise ValueError("a folder of results is named twice, or two have the same name; name each study once")
    claims = hypotheses.load(sources.config / hypotheses.FILE)
    studies = [read(folder, claims, sources.config) for folder in folders]
    with whole_folder(output) as root:
        site = _Site(root, sources, studies)
        tested = front.tested(claims, with_holm([outcome for study in studies for outcome in study.outcomes]))
        runs = site.write_runs()
        for study in studies:
            site.write_study(study, runs[study.name])
        site.write_front(tested, runs)
        everything = {one.run.experiment.name: one for listed in runs.values() for one in listed}
        site.write_lists(tested, [one for one in everything.values() if one.page])
        sizes = {path: path.stat().st_size for path in root.rglob("*") if path.is_file()}
        pages = [path for path in sizes if path.parent == root / "runs" and path.name != "index.html"]
    return Written(len(studies), len(pages), sum(size for path, size in sizes.items() if path not in pages))


def _check(output: Path) -> None:
    """Refuses to replace what is no site."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    page = output / "index.html"
    if not page.is_file() or f'content="{GENERATOR}"' not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{output}: is there and is no site of lrsms; give the name of a new folder, or remove it")


class _Site:
    """A site that is being written."""

    def __init__(self, root: Path, sources: Sources, studies: Sequence[Study]) -> None:
        self._root, self._sources, self._studies = root, sources, studies
        for name in LOOK:
            self._put(name, files(__package__).joinpath(name).read_bytes())

    def write_runs(self) -> dict[str, list[Listed]]:
        """Writes a page for each run that is recorded or timed; returns the runs of each study."""
        places: dict[str, list[Study]] = {}
        for study in self._studies:
            for experiment in study.experiments:
                places.setdefault(experiment.name, []).append(study)
        return {
            study.name: [self._write_run(study, one, places[one.name]) for one in study.experiments]
            for study in self._studies
        }

    def _write_run(self, study: Study, experiment: Experiment, places: Sequence[Study]) -> Listed:
        decoding = study.project.decoding
        run = load(experiment, self._sources.records, decoding, study.measured.get(experiment.name, {}))
        page = f"runs/{experiment.name}.html" if run.status != "missing" else ""
        listed = Listed(run.without_scores(), page, rate(run, study.summary))
        if page and not (self._root / page).exists():
            self._page("run", page, title=run_title(run), studies=places, **run_parts(run, decoding))
        return listed

    def write_study(self, study: Study, runs: Sequence[Listed]) -> None:
        """Writes the page of a study, and its tables as files."""
        data = {name: f"data/{study.name}-{name}" for name in DATA if (study.folder / name).is_file()}
        for name, path in data.items():
            self._put(path, (study.folder / name).read_bytes())
        values = study_page.parts(study, runs, self._sources.figures / study.name) | {"data": data}
        values["provenance"] = provenance_tables([one.run for one in runs], study.summary)
        self._page("study", study.page, title=study.title, **values)

    def write_front(self, tested: Sequence[Tested], runs: Mapping[str, Sequence[Listed]]) -> None:
        """Writes the first page."""
        counts, sheet = front.tally(tested), Sheet()
        rows, axis = front.effects_picture(tested)
        done = {name: sum(bool(one.page) for one in listed) for name, listed in runs.items()}
        main = self._main(tested, done)
        figure = study_page.headline(sheet, self._sources.figures / main.name) if main else None
        self._page(
            "index",
            "index.html",
            question=QUESTION,
            said=front.verdict_in_words(tested),
            answer=front.answer(tested),
            answer_table=front.answer_table(tested, self._studies),
            counts=counts,
            tally=front.tally_in_words(counts),
            rows=rows,
            axis=axis,
            levels=front.levels(tested),
            claims=front.claims_table(tested),
            untested=[one for one in tested if not one.tests],
            main=main,
            figure=figure,
            shapes=sheet.shapes,
            studies=self._studies,
            done=done,
        )

    def _main(self, tested: Sequence[Tested], done: Mapping[str, int]) -> Study | None:
        """The study whose figure the first page shows: of those of the headline claim the one with most runs."""
        asked = {outcome.place.folder for one in front.headline(tested) for test in one.tests for outcome in test}
        known = [study for study in self._studies if study.name in asked] or self._studies
        return max(known, key=lambda study: done[study.name], default=None)

    def write_lists(self, tested: Sequence[Tested], runs: Sequence[Listed]) -> None:
        """Writes the pages of findings, of all runs, of provenance, and of speed where that was measured."""
        results, records = self._sources.results, self._sources.records
        self._page("findings", "findings.html", **findings_page.parts(tested, self._studies, results))
        known = {one.run.experiment.name for one in runs}
        others = sum(path.name not in known for path in records.iterdir()) if records.is_dir() else 0
        self._page("runs", "runs/index.html", table=_table_of_runs(runs), others=others)
        entries = [index.Entry(study.project, study.folder, study.experiments) for study in self._studies]
        described = (index.described(entry, records, self._sources.steptimes) for entry in entries)
        rows = [
            (link(study.page, study.name), *others)
            for study, (_, *others) in zip(self._studies, described, strict=True)
        ]
        tables = [("Studies", Table(index.COLUMNS, rows)), *provenance_tables([one.run for one in runs])]
        self._page("provenance", "provenance.html", tables=tables)
        self._write_speed()

    def _write_speed(self) -> None:
        """Writes the page of benchmarks, with the files of measurements beside it."""
        source = self._sources.results / BENCHMARKS
        if not source.is_file():
            return
        beside = {path.name: path.read_bytes() for path in sorted(source.parent.glob("*.json"))}
        for name, content in beside.items():
            self._put(f"bench/{name}", content)
        heading, _, text = source.read_text(encoding="utf-8", errors="replace").partition("\n")
        self._page("speed", "bench/index.html", title=heading.lstrip("# "), text=as_html(text, beside))

    def _page(self, template: str, path: str, **values: Any) -> None:
        has_speed = (self._sources.results / BENCHMARKS).is_file()
        self._put(path, render(template, path, has_speed=has_speed, **values))

    def _put(self, path: str, content: bytes) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _table_of_runs(runs: Iterable[Listed]) -> Table:
    rows = []
    for one in runs:
        experiment = one.run.experiment
        run = experiment.run
        where = (run.task.upper(), run.scale, run.corpus.name)
        rows.append(
            (
                link(one.page.removeprefix("runs/"), experiment.cell),
                str(run.seed),
                *where,
                one.run.status,
                one.rate or "-",
            )
        )
    return Table(("run", "seed", "task", "scale", "corpus", "status", "error rate %"), rows, frozenset({1, 6}))
