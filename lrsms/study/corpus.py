"""Corpora: one frozen model for each kind. ``data/corpora/<kind>.py`` finds the utterances of a kind."""

import re
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from lrsms.base.strict import Frozen
from lrsms.study.bounds import Decibels, Name, Pixel, Pixels, Seed, Share, Utterances, Voices

Seconds = Annotated[float, Field(ge=0, le=60)]
Box = tuple[Pixel, Pixel, Pixels, Pixels]
"""x and y of the upper left corner, width and height, in pixels of the picture as it is stored, turned upright."""

Unit = Literal["words", "characters"]


def _language(tag: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", tag):
        raise ValueError(f"'{tag}' is not the tag of a language, such as tr, az, lt or pt-BR (BCP 47)")
    return tag


class Transcripts(Frozen):
    """Changes to transcripts before training and scoring, and to hypotheses before scoring.

    Digits are not changed: a transcript should spell them as they are spoken.
    """

    case: Literal["lower", "keep"] = "lower"
    """``lower``: lower case, by the rules of the corpus's ``language``; ``keep``: unchanged."""
    apostrophes: Literal["keep", "straight", "remove"] = "keep"
    """``straight``: typographic apostrophes, and accents and primes used as such, become ``'``; ``remove``: none is
    left ("don't" is "dont")."""
    dashes: Literal["keep", "hyphen"] = "keep"
    """``hyphen``: dashes and hyphens of every kind become ``-``."""
    punctuation: Literal["keep", "remove"] = "keep"
    """``remove``: a space replaces it. Apostrophes within a word stay, as do ``.``, ``,`` and ``:`` between digits,
    and symbols that are read aloud (``% & @ #``, currencies and others)."""
    form: Literal["NFC", "NFKC"] = "NFC"
    """Unicode's normalisation form; NFKC also turns ligatures, full-width and other variants into plain letters."""
    arabic: Literal["keep", "bare"] = "keep"
    """``bare``: without tatweel and without short vowel marks."""


class MostSkipped(Frozen):
    """For each split, the largest share of its utterances that may be left out; None is 1%."""

    train: Share | None = None
    valid: Share | None = None
    test: Share | None = None
    """Only unusable recordings and empty transcripts count here: everything else in the split is scored."""


class _Corpus(Frozen):
    in_place: ClassVar[bool] = False
    """Whether recordings are read from their own folder each time, and not copied when the corpus is prepared."""

    rendered: ClassVar[bool] = False
    """Whether recordings are rendered from the configuration when the corpus is prepared."""

    has_video: ClassVar[bool] = True
    """Whether the corpus has video of the talkers."""

    name: Name
    babble: Name | None = None
    """Key in ``roots`` of a recording (or a folder of recordings) of babble; None mixes voices of the train split."""
    language: Annotated[str, AfterValidator(_language)] | None = None
    """Tag of the language (BCP 47), whose rules turn upper case into lower case: Turkish and Azerbaijani have an i
    with and one without a dot, Lithuanian keeps dots below accents. None: Unicode's rules for all languages."""
    transcripts: Transcripts | None = None
    """None: lower case, Unicode NFC, single spaces."""
    unit: Unit | None = None
    """What error rates count: words, or characters without spaces, for text that has no spaces between words. None:
    words, but transcripts with almost no spaces are refused."""
    most_skipped: MostSkipped | None = None
    """None: 1% of all utterances of the corpus."""

    @property
    def only_tests(self) -> bool:
        """Whether the corpus has a test split alone, so that nothing can be trained on it."""
        return False


class _Recorded(_Corpus):
    """Recorded speech, which may have faults."""

    min_duration: Seconds | None = None
    """Least length of a recording in seconds; None: 0.2. A recording below 0.2 s is padded with silence."""


class Synthetic(_Corpus):
    """A corpus rendered by espeak-ng from a grammar (``data/corpora/synthetic.py``), with a face for every voice.

    Its identity is this config.
    """

    rendered: ClassVar[bool] = True

    kind: Literal["synthetic"]
    grammar: Literal["commands", "sentences"]
    train: Utterances
    valid: Utterances
    test: Utterances
    train_voices: Voices
    valid_voices: Voices
    test_voices: Voices
    snr: tuple[Decibels, Decibels] | None = None
    """Range of the signal-to-noise ratio (dB) of the noise in the recordings, drawn uniformly; None is clean."""
    seed: Seed = 1
    generator: Literal[1] = 1
    """Version of the renderer: raised when the same configuration would sound or look different."""


class HeldOut(_Corpus):
    """A test set beside a rendered corpus: none of its sentences, and voices of the variants that its test split has.

    No variant of espeak-ng is heard in its train or valid split. Grammar, noise, seed and renderer are those of ``of``.
    """

    rendered: ClassVar[bool] = True

    kind: Literal["held_out"]
    of: Synthetic
    """The rendered corpus; its file in ``corpora`` is named where this is written by hand."""
    test: Utterances
    test_voices: Voices

    @property
    def only_tests(self) -> bool:
        """It is a test set."""
        return True


class Manifest(_Recorded):
    """Any corpus with a ``manifest.tsv`` (id, split, audio, video, speaker, text) in its root folder."""

    kind: Literal["manifest"]
    box: Box | None = None
    """Where the mouth is in the picture; None: the videos are 96x96 mouth crops."""
    only: Literal["test"] | None = None
    """``test``: the manifest needs no other split, since conditions alone name the corpus. None: it has all three."""

    @property
    def only_tests(self) -> bool:
        """Whether it says so."""
        return self.only is not None


class Grid(_Recorded):
    """The GRID corpus (Cooke et al. 2006) as it is distributed: ``s1/*.mpg`` and ``align/*.align``."""

    kind: Literal["grid"]
    talkers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Folders of the talkers; without held-out talkers, the sentences of each are split."""
    box: Box = (114, 165, 96, 96)
    """Where the mouth is in the 360x288 picture."""
    boxes: dict[Name, Box] | None = None
    """The boxes of talkers whose mouth is elsewhere."""
    valid_talkers: tuple[Name, ...] = ()
    test_talkers: tuple[Name, ...] = ()
    """Talkers held out from training."""
    valid_sentences: Annotated[int, Field(ge=0, le=100_000)] = 0
    test_sentences: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Sentences of each talker that are held out, chosen by ``seed``; used if no talkers are held out."""
    seed: Seed = 1

    @model_validator(mode="after")
    def _holds_something_out(self) -> Self:
        talkers = bool(self.valid_talkers), bool(self.test_talkers)
        sentences = bool(self.valid_sentences), bool(self.test_sentences)
        if not (all(talkers) and not any(sentences)) and not (all(sentences) and not any(talkers)):
            raise ValueError(
                "give either 'valid_talkers' and 'test_talkers', or 'valid_sentences' and 'test_sentences'"
            )
        everyone = [*self.talkers, *self.valid_talkers, *self.test_talkers]
        if twice := {name for name in everyone if everyone.count(name) > 1}:
            raise ValueError(f"talker '{min(twice)}' is listed twice; splits must not share a talker")
        if unknown := set(self.boxes or {}) - set(everyone):
            raise ValueError(f"'boxes' names talker '{min(unknown)}', who is not in the corpus")
        return self


class AutoAvsr(_Recorded):
    """LRS2, LRS3, VoxCeleb2 or AVSpeech as Auto-AVSR prepares them: label files, ``.mp4`` and ``.wav`` beside it."""

    in_place: ClassVar[bool] = True

    kind: Literal["auto_avsr"]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    """Label files under ``labels/``; several are joined in this order."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]
    units: str
    """Path, within the root, of Auto-AVSR's list of units, which maps token ids to text."""


class LibriSpeech(_Recorded):
    """LibriSpeech (Panayotov et al. 2015) in its own folders; audio only."""

    in_place: ClassVar[bool] = True
    has_video: ClassVar[bool] = False

    kind: Literal["librispeech"]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    """Folders, such as ``train-clean-100``."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]


class _Listed(_Recorded):
    """Folders of lists in the root of a corpus, some for each split; audio only."""

    has_video: ClassVar[bool] = False

    train: Annotated[tuple[str, ...], Field(min_length=1)]
    """Folders."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]


class Kaldi(_Listed):
    """Data folders of Kaldi, such as ``data/train``: ``wav.scp``, ``text``, ``utt2spk`` and perhaps ``segments``."""

    kind: Literal["kaldi"]


class Lhotse(_Listed):
    """Folders with manifests of Lhotse: ``recordings.jsonl.gz`` and ``supervisions.jsonl.gz``."""

    kind: Literal["lhotse"]


Corpus = Annotated[
    Synthetic | Manifest | Grid | AutoAvsr | LibriSpeech | Kaldi | Lhotse | HeldOut, Field(discriminator="kind")
]
KINDS: dict[str, type[_Corpus]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(Corpus)[0])
}
"""The models of all kinds."""
