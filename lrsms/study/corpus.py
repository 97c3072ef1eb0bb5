"""What a corpus is: one frozen model per kind. ``data/corpora/<kind>.py`` finds the utterances of each."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lrsms.base.strict import Frozen
from lrsms.study.bounds import Decibels, Name, Pixel, Pixels, Seed, Share, Utterances, Voices

Seconds = Annotated[float, Field(ge=0, le=60)]
Box = tuple[Pixel, Pixel, Pixels, Pixels]
"""x and y of the upper left corner, width and height, in pixels of the picture as players show it."""

Unit = Literal["words", "characters"]


def _language(tag: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", tag):
        raise ValueError(f"'{tag}' is not the tag of a language, such as tr, az, lt or pt-BR (BCP 47)")
    return tag


class Transcripts(Frozen):
    """What is done to transcripts before they are trained on and scored, and to hypotheses before they are scored.

    Digits are left alone: a transcript should spell them as they are spoken.
    """

    case: Literal["lower", "keep"] = "lower"
    """``lower``: small letters, by the rules of the corpus's ``language``; ``keep``: as they are written."""
    apostrophes: Literal["keep", "straight", "remove"] = "keep"
    """``straight``: the typographic ones, accents and primes in their place included, become ``'``; ``remove``: none
    is left ("don't" is "dont")."""
    dashes: Literal["keep", "hyphen"] = "keep"
    """``hyphen``: dashes and hyphens of every kind become ``-``."""
    punctuation: Literal["keep", "remove"] = "keep"
    """``remove``: a blank takes its place, but not within a word where it is an apostrophe, nor between digits where it
    is ``.``, ``,`` or ``:``; what is read aloud (``% & @ #``, currencies and other symbols) stays."""
    form: Literal["NFC", "NFKC"] = "NFC"
    """Unicode's normalisation form; NFKC also makes plain letters of ligatures, full-width and other variants."""
    arabic: Literal["keep", "bare"] = "keep"
    """``bare``: without tatweel and without the marks of short vowels."""


class MostSkipped(Frozen):
    """By split, the largest share of its utterances that may be left out; None is 1%."""

    train: Share | None = None
    valid: Share | None = None
    test: Share | None = None
    """This counts unusable recordings and empty transcripts only: everything else in the split is scored."""


class _Corpus(Frozen):
    in_place: ClassVar[bool] = False
    """Whether recordings are read from where they lie each time, rather than copied when the corpus is prepared."""

    rendered: ClassVar[bool] = False
    """Whether recordings are made when the corpus is prepared, by its config."""

    has_video: ClassVar[bool] = True
    """Whether there is a talker to be seen."""

    name: Name
    babble: Name | None = None
    """Key in ``roots`` of a recording (or a folder of recordings) of babble; None mixes voices of the train split."""
    language: Annotated[str, AfterValidator(_language)] | None = None
    """Tag of the language (BCP 47), by whose rules capitals become small letters: Turkish and Azerbaijani have an i
    with and one without a dot, Lithuanian keeps dots below accents. None: Unicode's rules for all languages."""
    transcripts: Transcripts | None = None
    """None: small letters, Unicode NFC, single blanks."""
    unit: Unit | None = None
    """What error rates count: words, or characters, blanks left out, for text that has no blanks between words. None:
    words, but transcripts with hardly any blanks are refused."""
    most_skipped: MostSkipped | None = None
    """None: 1% of all utterances of the corpus."""


class _Recorded(_Corpus):
    """Recordings of somebody else's, which may be as they are not wanted."""

    min_duration: Seconds | None = None
    """Seconds that a recording needs at least; None: 0.2. What is shorter than 0.2 s is padded with silence."""


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
    """Version of the renderer: raised when the same configuration would sound or look otherwise."""


class Manifest(_Recorded):
    """Any corpus given as ``manifest.tsv`` (id, split, audio, video, speaker, text) in its root folder."""

    kind: Literal["manifest"]
    box: Box | None = None
    """Where the mouth is in the picture; None: the videos are 96x96 mouth crops."""


class Grid(_Recorded):
    """The GRID corpus (Cooke et al. 2006) as it is distributed: ``s1/*.mpg`` and ``align/*.align``."""

    kind: Literal["grid"]
    talkers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Folders of the talkers whose sentences are split by ``sentences``, or trained on."""
    box: Box = (114, 165, 96, 96)
    """Where the mouth is in the 360x288 picture."""
    boxes: dict[Name, Box] | None = None
    """Of talkers whose mouth is elsewhere."""
    valid_talkers: tuple[Name, ...] = ()
    test_talkers: tuple[Name, ...] = ()
    """Talkers held out from training."""
    valid_sentences: Annotated[int, Field(ge=0, le=100_000)] = 0
    test_sentences: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Sentences of each talker that are held out, chosen by ``seed``; where no talkers are."""
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
    """Label files under ``labels/``; several are put one after another."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]
    units: str
    """Path in the root of Auto-AVSR's list of units, which gives the token ids their text."""


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


Corpus = Annotated[Synthetic | Manifest | Grid | AutoAvsr | LibriSpeech | Kaldi | Lhotse, Field(discriminator="kind")]
