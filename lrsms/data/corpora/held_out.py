"""A test set beside a rendered corpus: more sentences of its grammar, in voices that are set aside for tests.

None of its sentences is in any split of that corpus, and none of its voices shares a variant of espeak-ng with those of
the train and valid splits. The voices of the corpus's own test split are the first of its voices, as far as there are
so many.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from lrsms.base.random_streams import stream_seed
from lrsms.data.corpora import synthetic
from lrsms.data.corpora.synthetic import Line
from lrsms.data.synthetic import grammar
from lrsms.data.utterance import Utterance
from lrsms.study.corpus import HeldOut, Synthetic


def utterances(corpus: HeldOut, root: Path | None, rendered: Path) -> Iterator[Utterance]:
    """Renders the test set into ``rendered``, as ``synthetic.utterances`` renders a corpus.

    Raises:
        ValueError: more voices or sentences asked than there are (at the call, before anything is rendered).
    """
    return synthetic.render(corpus.of, script(corpus), rendered)


def script(corpus: HeldOut) -> list[Line]:
    """The sentences with their speakers, in the order of rendering.

    Raises:
        ValueError: more voices or sentences asked than there are.
    """
    beside = corpus.of
    asked = beside.train + beside.valid + beside.test + corpus.test
    available = grammar.grammar(beside.grammar).num_derivations
    if asked > available:
        raise ValueError(
            f"corpus '{corpus.name}': 'test' is {corpus.test}, with the sentences of '{beside.name}' {asked}, but"
            f" '{beside.grammar}' has {available} sentences"
        )
    voices = _voices(corpus)
    taken = {line.text for line in synthetic.script(beside)}
    rng = Random(stream_seed(beside.seed, "synthetic", "sentences", "held out"))
    sentences = grammar.sample(grammar.grammar(beside.grammar), rng, corpus.test, exclude=taken)
    return [
        Line(f"held-{index:05d}", "test", text, voices[index % len(voices)]) for index, text in enumerate(sentences)
    ]


def _voices(corpus: HeldOut) -> list[synthetic.Voice]:
    more: Synthetic = corpus.of.model_copy(
        update={"name": corpus.name, "test": corpus.test, "test_voices": corpus.test_voices}
    )
    synthetic.check(more)
    return synthetic.voices_by_split(more)["test"]
