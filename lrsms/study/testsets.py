"""Test sets of conditions that name a corpus of their own: read by name, and whether they suit the runs.

They are no part of what a run is. Who shares voices, sentences or recordings with the runs' training and validation is
found where corpora are listed (``lrsms.data.apart``).
"""

from pathlib import Path

from lrsms.study.config_files import load_corpus
from lrsms.study.decoding import Decoding
from lrsms.study.project import Project
from lrsms.study.run import Run, prepared_tests

_TEXTS = ("unit", "language", "transcripts")
"""Fields of a corpus that say what its transcripts look like, and what of them is counted."""


def with_test_corpora(project: Project, folder: Path) -> Project:
    """The project with the corpora that its conditions name; those that it has already stay as they are.

    Args:
        project: as it was read.
        folder: ``workflow/config``.

    Raises:
        ValueError: one line: there is no such corpus, or its file is malformed.
    """
    missing = [name for name in project.test_corpora if name not in project.corpora]
    if not missing:
        return project
    try:
        read = {name: load_corpus(name, folder) for name in missing}
    except ValueError as error:
        raise ValueError(f"'conditions.{_where(project, missing[0])}.corpus': {error}") from None
    complete = project.model_copy(update={"corpora": project.corpora | read})
    _ = complete.decoding  # which has rules of its own
    return complete


def check_test_corpora(decoding: Decoding, run: Run) -> None:
    """Refuses a condition whose corpus lacks what the runs hear or see, or has transcripts of another kind.

    Args:
        decoding: decoders and conditions.
        run: any of the study, which share task and corpus.

    Raises:
        ValueError: one line that names the condition.
    """
    for name in decoding.conditions:
        corpus = decoding.corpus_of(name)
        if corpus is None:
            continue
        where = f"'conditions.{run.task}.{name}.corpus'"
        if "video" in run.model.modalities and not corpus.has_video:
            raise ValueError(f"{where} is {corpus.name}, which has no video, but 'task' is {run.task}")
        for field in _TEXTS:
            ours, theirs = getattr(run.corpus, field), getattr(corpus, field)
            if ours != theirs:
                raise ValueError(
                    f"{where} is {corpus.name}, whose '{field}' is not that of '{run.corpus.name}', on which the runs"
                    " are trained, so that errors would be counted otherwise; give both the same"
                )


def prepared_folders(project: Project) -> list[str]:
    """Names of the folders of its prepared test sets, in ``results/corpora``."""
    return [prepared_tests(corpus, project.task) for corpus in (project.decoding.corpora or {}).values()]


def _where(project: Project, corpus: str) -> str:
    """The first condition that names a corpus, with its task."""
    for task, conditions in project.conditions.items():
        for name, condition in conditions.items():
            if condition.corpus == corpus:
                return f"{task}.{name}"
    raise AssertionError(f"no condition names {corpus}")
