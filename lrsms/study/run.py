"""A run: frozen, strict models of its configuration, and the digest that names it.

Every field here can change a result. Devices, threads, paths and queues must not: they belong to the workflow's
profile. A new optional field defaults to None, and None is left out of the digest, so that finished runs keep their
names.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from lrsms.base.strict import Frozen, digest
from lrsms.study import bounds
from lrsms.study.bounds import Momentum, Name, Share, Width
from lrsms.study.corpus import Corpus
from lrsms.study.files_as_values import (
    ADAMW,
    PLAIN,
    own_options,
    unless_adamw,
)
from lrsms.study.lowrank import LowRank
from lrsms.study.method import Method

Task = Literal["asr", "vsr", "avsr"]
Modality = Literal["audio", "video"]
PREPARED_LAYOUT = 3
"""Version of the folder of a prepared corpus (``data/prepared.py``)."""
MOST_WEIGHTS = 100_000_000_000
"""Most weights of a model: two hundred times those of the paper's largest."""
MODALITIES: dict[Task, tuple[Modality, ...]] = {"asr": ("audio",), "vsr": ("video",), "avsr": ("audio", "video")}
"""The modalities of each task."""


class Tokenizer(Frozen):
    """The units of the transcripts: characters, or SentencePiece unigram pieces that are trained on the train split; or
    those of a tokenizer that was trained before, which lies beside imported weights."""

    kind: Literal["characters", "unigram", "given"]
    pieces: bounds.Pieces | None = None
    """Number of units; for ``unigram``, whose pieces are SentencePiece's, and ``given`` only."""
    sha256: bounds.Hash | None = None
    """First 16 digits of the SHA-256 of the tokenizer's file, as ``import`` prints them; for ``given`` only."""

    @model_validator(mode="after")
    def _fields_belong_to_the_kind(self) -> Self:
        if (self.kind == "characters") != (self.pieces is None):
            raise ValueError("'pieces' is needed by, and only by, the kinds 'unigram' and 'given'")
        if (self.kind == "given") != (self.sha256 is not None):
            raise ValueError("'sha256' is needed by, and only by, kind 'given'")
        return self


class Model(Frozen):
    """A Conformer encoder for each modality, a CTC head and, unless ``decoder_layers`` is 0, a Transformer decoder."""

    frontend: Literal["logmel", "wave"] | None = None
    """The audio front end. ``logmel``: log-mel features and convolutional subsampling; ``wave``: Auto-AVSR's 1-D
    ResNet-18 on samples; None: the model has no audio."""
    mels: bounds.Mels | None = None
    """Mel bands of the ``logmel`` front end."""
    channels: Width | None = None
    """Channels of the audio front end's subsampling convolutions, or of its ResNet's first stage (64 in Auto-AVSR)."""
    video_channels: Width | None = None
    """Channels of the first stage of the video front end's 2-D ResNet-18 (64 in Auto-AVSR); None: no video."""
    video_shrink: Annotated[int, Field(ge=2, le=88)] | None = None
    """Mouth crops of 88x88 are first averaged over squares of this many pixels; None keeps every pixel, as in
    Auto-AVSR."""
    fusion: Width | None = None
    """Hidden width of the matrices that fuse both modalities (8192 in Auto-AVSR)."""
    dim: Width
    heads: Width
    feedforward: Width
    layers: bounds.Layers
    kernel: bounds.Kernel
    decoder_layers: bounds.DecoderLayers
    dropout: Annotated[float, Field(ge=0, lt=1)]
    initialiser: Literal["default", "glorot", "he"]
    """Initialiser of every dense matrix: PyTorch's own, Glorot uniform or He normal."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities of the model."""
        audio: tuple[Modality, ...] = ("audio",) if self.frontend is not None else ()
        return (*audio, "video") if self.video_channels is not None else audio

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"'dim' must be a multiple of 'heads', got {self.dim} and {self.heads}")
        if self.dim % 2:
            raise ValueError(f"'dim' must be even for sinusoidal positions, got {self.dim}")
        if self.kernel % 2 == 0:
            raise ValueError(f"'kernel' must be odd, got {self.kernel}")
        if not self.modalities:
            raise ValueError("give 'frontend' (audio), 'video_channels' (video) or both")
        if (self.frontend is None) != (self.channels is None):
            raise ValueError("'channels' is needed by, and only by, an audio 'frontend'")
        if (self.frontend == "logmel") != (self.mels is not None):
            raise ValueError("'mels' is needed by, and only by, frontend 'logmel'")
        if self.video_shrink is not None and self.video_channels is None:
            raise ValueError("'video_shrink' is only for a model with 'video_channels'")
        if (len(self.modalities) == 2) != (self.fusion is not None):
            raise ValueError("'fusion' is needed by, and only by, a model of both audio and video")
        weights = (self.layers + self.decoder_layers) * self.dim * (self.dim + self.feedforward)
        if weights > MOST_WEIGHTS:
            raise ValueError(
                f"'layers', 'decoder_layers', 'dim' and 'feedforward' make more than {weights:.1g} weights; at most"
                f" {MOST_WEIGHTS:.0g}"
            )
        return self


class Augment(Frozen):
    """Masks over time and, for features, over mel bands (SpecAugment, Park et al. 2019). Mouths are cropped at random
    in training, with or without this."""

    time_masks: bounds.MasksPerSecond = 0.0
    """Masks per second of audio."""
    time_width: bounds.MaskSeconds = 0.0
    """Largest width of an audio mask in seconds."""
    mel_masks: bounds.MelMasks = 0
    mel_width: bounds.MelWidth = 0
    """Largest width of a frequency mask in mel bands."""
    video_masks: Annotated[bounds.MasksPerSecond, Field(gt=0)] | None = None
    """Masks per second of video, drawn independently of those of audio."""
    video_width: Annotated[bounds.MaskSeconds, Field(gt=0)] | None = None
    """Largest width of a video mask in seconds."""
    flip: Literal[True] | None = None
    """Mirror half of the videos."""

    @model_validator(mode="after")
    def _video_masks_have_a_width(self) -> Self:
        if (self.video_masks is None) != (self.video_width is None):
            raise ValueError("'video_masks' and 'video_width' are needed together")
        return self


class Noise(Frozen):
    """Noise that is mixed into the audio of training utterances, at a ratio that is drawn anew each time."""

    kind: Literal["babble", "white"]
    snrs: Annotated[tuple[bounds.Decibels | Literal["clean"], ...], Field(min_length=1, max_length=100)]
    """Signal-to-noise ratios in dB, all equally likely."""


class Train(Frozen):
    """How a model is trained. A frame is 640 samples (40 ms, 25 per second) everywhere."""

    steps: bounds.Length | None = None
    epochs: bounds.Epochs | None = None
    """Length of training: exactly one of ``steps`` and ``epochs``. 0 steps: imported weights are decoded as they are,
    or as the factors that they begin as."""
    group_frames: bounds.Frames
    """Largest number of frames, padding included, in a group of utterances (a micro-batch)."""
    groups_per_step: bounds.Groups
    optimizer: Annotated[str | None, AfterValidator(unless_adamw)] = None
    """A file in ``lrsms/training/optimizers``; None: ``adamw``, which is the same run by either name."""
    optimizer_options: dict[str, int | float | None] | None = None
    """What the optimizer's file has of its own, by name; its defaults where it is not given, or None."""
    lr: bounds.LearningRate
    """The largest learning rate, of which a group of parameters may take a share."""
    betas: tuple[Momentum, Momentum]
    weight_decay: bounds.Decay
    warmup: Share
    """Share of training in which the learning rate rises linearly; then it falls to zero along a cosine."""
    clip: bounds.Norm
    """Largest norm of the whole gradient."""
    ctc_weight: Share
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["float32", "bfloat16"]
    """``bfloat16`` is autocast; weights, log-softmax and CTC stay in float32."""
    snapshots: bounds.Epochs
    """Number of evenly spaced points at which the model is validated."""
    average: bounds.Epochs
    """The final weights are the mean of those at the last ``average`` snapshots."""
    augment: Augment | None = None
    noise: Noise | None = None
    modality_dropout: Annotated[float, Field(gt=0, le=1)] | None = None
    """Probability that one of the two modalities of a training utterance is absent; both are equally likely."""

    @field_validator("optimizer_options")
    @classmethod
    def _are_of_the_optimizer(cls, given: dict[str, float | None] | None, info: ValidationInfo) -> object:
        """A default that is written out is the same run."""
        if given is None or "optimizer" not in info.data:
            return None
        return own_options(info.data["optimizer"] or ADAMW, given)

    @model_validator(mode="after")
    def _is_a_schedule(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs'")
        if self.average > self.snapshots:
            raise ValueError(
                f"'average' ({self.average}) exceeds 'snapshots' ({self.snapshots}); use at most {self.snapshots}"
            )
        if self.steps is not None and self.snapshots > max(self.steps, 1):
            raise ValueError(
                f"'snapshots' ({self.snapshots}) exceeds 'steps' ({self.steps}); use at most {max(self.steps, 1)}"
            )
        return self

    def snapshot_steps(self, total: int) -> list[int]:
        """The evenly spaced steps after which the model is validated; the last one is ``total``, which may be 0.

        Raises:
            ValueError: training has fewer steps than snapshots (possible where its length is given in epochs).
        """
        if self.snapshots > max(total, 1):
            raise ValueError(
                f"'train.snapshots' is {self.snapshots}, but training takes {total} steps; use at most {total}"
            )
        return [round((index + 1) * total / self.snapshots) for index in range(self.snapshots)]


class Run(Frozen):
    """One training run, fully resolved."""

    scale: Name
    task: Task
    corpus: Corpus
    tokenizer: Tokenizer
    model: Model
    lowrank: LowRank | None = None
    train: Train
    seed: bounds.Seed = 1
    init_from: bounds.Hash | None = None
    """Weights that training begins from, in place of random ones: the first 16 digits of the SHA-256 of the file
    ``weights.safetensors`` that ``import`` wrote into a folder of ``results/starts``."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.decoder_layers == 0 and self.train.ctc_weight < 1:
            raise ValueError("'train.ctc_weight' must be 1 where 'model.decoder_layers' is 0")
        if self.model.modalities != MODALITIES[self.task]:
            raise ValueError(
                f"'task' is {self.task}, of {' and '.join(MODALITIES[self.task])}, but 'model' is of "
                f"{' and '.join(self.model.modalities)}"
            )
        if self.corpus.only_tests:
            raise ValueError(
                f"corpus '{self.corpus.name}' has a test split alone; nothing trains on it: name it in a condition"
            )
        if "video" in self.model.modalities and not self.corpus.has_video:
            raise ValueError(f"'task' is {self.task}, but corpus '{self.corpus.name}' has no video; use asr")
        augment, mels = self.train.augment, self.model.mels
        if augment is not None and augment.mel_masks and mels is None:
            raise ValueError("'train.augment.mel_masks' must be 0 without frontend 'logmel', which has the mel bands")
        if augment is not None and mels is not None and augment.mel_width > mels:
            raise ValueError(f"'train.augment.mel_width' ({augment.mel_width}) exceeds 'model.mels' ({mels})")
        if augment is not None and augment.time_masks and "audio" not in self.model.modalities:
            raise ValueError(f"'train.augment.time_masks' masks audio, which task '{self.task}' does not have")
        if augment is not None and (augment.video_masks or augment.flip) and "video" not in self.model.modalities:
            raise ValueError(
                f"'train.augment.video_masks' and 'flip' are for video, which task '{self.task}' does not have"
            )
        if self.train.steps == 0 and self.init_from is None:
            raise ValueError("'train.steps' is 0, which is for weights of 'init_from': there is nothing to decode")
        if self.lowrank is not None:
            if self.init_from is not None:
                self.lowrank.refuse_start()
            self.lowrank.refuse_cut(self.init_from is not None)
        if self.train.steps is not None:
            self.changes_at(self.train.steps)
        if self.train.noise is not None and "audio" not in self.model.modalities:
            raise ValueError(f"'train.noise' is for audio, which task '{self.task}' does not have")
        if self.train.modality_dropout is not None and self.task != "avsr":
            raise ValueError(f"'train.modality_dropout' is for task 'avsr', got '{self.task}'")
        return self

    @property
    def method(self) -> Method:
        """What becomes of its matrices; of a dense run, as of plain low rank, there is nothing to tell over time."""
        return PLAIN if self.lowrank is None else self.lowrank.acting_method

    @property
    def trains_as(self) -> "Run":
        """The run whose steps are this run's: the dense one, if all that follows from low rank is a cut at the end."""
        return self.model_copy(update={"lowrank": None}) if self.method.cuts_trained else self

    @property
    def num_phases(self) -> int:
        """Structures that the network has, one after another: 1 where it never changes."""
        return 1 + len(self.method.changes())

    def changes_at(self, total: int) -> list[int]:
        """The steps after which the structure of the network changes, of ``total``; none of most runs.

        Raises:
            ValueError: one line: a phase would have no step, or the final weights would be a mean over snapshots of
                different structures or bases.
        """
        return self.method.changes_at(total, self.train.snapshot_steps(total)[-self.train.average])

    @property
    def digest(self) -> str:
        """Ten hex digits that identify the run's resolved configuration."""
        return digest(self, 10)

    @property
    def prepared(self) -> str:
        """Name of the folder of the prepared corpus that this run reads."""
        identity = {
            "corpus": self.corpus,
            "tokenizer": self.tokenizer,
            "modalities": MODALITIES[self.task],
            "layout": PREPARED_LAYOUT,
        }
        return f"{self.corpus.name}-{digest(identity, 10)}"


def prepared_tests(corpus: Corpus, task: Task) -> str:
    """Name of the folder of the prepared test split that conditions read; runs with any tokenizer share it."""
    identity = {"corpus": corpus, "split": "test", "modalities": MODALITIES[task], "layout": PREPARED_LAYOUT}
    return f"{corpus.name}-{digest(identity, 10)}"
