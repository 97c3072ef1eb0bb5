"""One file for each kind of corpus. The code that reads, checks and prepares recordings is shared.

A file ``<kind>.py`` has one function, ``utterances(corpus, root, rendered)``. The call itself refuses every error that
can be found without opening or rendering a recording. The utterances then come one by one. Kinds that read a user's
folder share ``folder.py``.
"""

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Corpus


def utterances(corpus: Corpus, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """The utterances of a corpus of any kind.

    Args:
        corpus: the corpus.
        root: the folder of a recorded corpus; None for a rendered one.
        rendered: the folder for the files of a rendered corpus.

    Raises:
        ValueError: one line, at the call: the corpus does not fit its description.
    """
    module = importlib.import_module(f"{__name__}.{corpus.kind}")
    return module.utterances(corpus, root, rendered)


def tests(corpus: Corpus, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Likewise, those of the test split; nothing else is rendered."""
    everything = utterances(corpus, root, rendered)
    if corpus.rendered:  # test first
        return itertools.takewhile(lambda utterance: utterance.split == "test", everything)
    return iter([utterance for utterance in everything if utterance.split == "test"])
