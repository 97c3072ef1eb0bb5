"""One file per kind of corpus; reading, checking and preparing what they find is shared.

A file ``<kind>.py`` has one function, ``utterances(corpus, root, rendered)``. What can be wrong without a recording
being opened or rendered is refused at the call; the utterances then come one by one. ``folder.py`` is what the kinds
that lie in a folder of their user's share.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path

from lrsms.data.utterance import Utterance
from lrsms.study.corpus import Corpus


def utterances(corpus: Corpus, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """The utterances of a corpus of any kind.

    Args:
        corpus: the corpus.
        root: where a real one lies; None for one that is rendered.
        rendered: folder that a rendered one is written into.

    Raises:
        ValueError: one line, at the call: the corpus cannot be as it is described.
    """
    module = importlib.import_module(f"{__name__}.{corpus.kind}")
    return module.utterances(corpus, root, rendered)
