"""The verb that makes a site of results."""

import argparse
from pathlib import Path

from lrsms.base.terminal import say
from lrsms.verbs.options import Verb, on_records, on_steptimes


def add(verb: Verb) -> None:
    """Adds this verb to the command line."""
    added = verb(site, on_records(), on_steptimes())
    added.add_argument("output", type=Path, metavar="OUT", help="folder to write; an earlier site there is replaced")
    added.add_argument("folders", type=Path, nargs="*", help="folders of results; all but the demo's if none")
    added.add_argument("--results", type=Path, default=Path("results"), help="folder of all studies' results")
    added.add_argument("--figures", type=Path, default=Path("figures"), help="folder of all studies' figures")


def site(options: argparse.Namespace) -> None:
    """Writes a static site from results: pages of findings, studies, runs and provenance, which open from files."""
    from lrsms.report.results import committed, load_project
    from lrsms.report.samples import number
    from lrsms.report.site.content import Sources
    from lrsms.report.site.write import write

    folders = options.folders or [
        folder for folder in committed(options.results) if load_project(folder).scale != "demo"
    ]  # results of the demo are never committed
    if not folders:
        raise ValueError(
            f"{options.results}: has no results but perhaps the demo's; run a study, or name folders of results"
        )
    sources = Sources(options.results, options.records, options.steptimes, options.figures, options.config_folder)
    written = write(options.output, folders, sources)
    studies = "1 study" if written.studies == 1 else f"{written.studies} studies"
    size = f"{written.bytes / 2**20:.1f} MiB without the pages of runs"
    say(f"wrote {studies} and {number(written.runs, 'run')}, {size}: open {options.output / 'index.html'}")
