"""What a corpus is: one frozen model per kind. ``data/corpora/<kind>.py`` finds the utterances of each."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lrsms.bounds import Decibels, Name, Pixel, Pixels, Seed, Utterances, Voices
from lrsms.strict import Frozen

Box = tuple[Pixel, Pixel, Pixels, Pixels]
"""x and y of the upper left corner, width and height, in pixels of the original picture."""


class _Corpus(Frozen):
    in_place: ClassVar[bool] = False
    """Whether recordings are read from where they lie each time, rather than copied when the corpus is prepared."""

    has_video: ClassVar[bool] = True
    """Whether there is a talker to be seen."""

    name: Name
    babble: Name | None = None
    """Key in ``roots`` of a recording (or a folder of recordings) of babble; None mixes voices of the train split."""


class Synthetic(_Corpus):
    """A corpus rendered by espeak-ng from a grammar (``data/corpora/synthetic.py``), with a face for every voice.

    Its identity is this config.
    """

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


class Manifest(_Corpus):
    """Any corpus given as ``manifest.tsv`` (id, split, audio, video, speaker, text) in its root folder."""

    kind: Literal["manifest"]
    box: Box | None = None
    """Where the mouth is in the picture; None: the videos are 96x96 mouth crops."""


class Grid(_Corpus):
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


class AutoAvsr(_Corpus):
    """LRS2, LRS3, VoxCeleb2 or AVSpeech as Auto-AVSR prepares them: label files, ``.mp4`` and ``.wav`` beside it."""

    in_place: ClassVar[bool] = True

    kind: Literal["auto_avsr"]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    """Label files under ``labels/``; several are put one after another."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]
    units: str
    """Path in the root of Auto-AVSR's list of units, which gives the token ids their text."""


class LibriSpeech(_Corpus):
    """LibriSpeech (Panayotov et al. 2015) in its own folders; audio only."""

    in_place: ClassVar[bool] = True
    has_video: ClassVar[bool] = False

    kind: Literal["librispeech"]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    """Folders, such as ``train-clean-100``."""
    valid: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]


Corpus = Annotated[Synthetic | Manifest | Grid | AutoAvsr | LibriSpeech, Field(discriminator="kind")]
