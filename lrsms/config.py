"""What a run is: frozen, strict models of its configuration, and the digest that names it.

Every field here is part of the science. Devices, threads, paths and queues are not: they belong to the workflow's
profile. A new optional field defaults to None, which is left out of the digest, so that it does not rename finished
runs.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lrsms.strict import Frozen, digest
from lrsms.strict import canonical_json as canonical_json
from lrsms.strict import parse as parse

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$")]
"""A word that may stand in a file name; no dash, which separates the parts of a run's name."""


class Synthetic(Frozen):
    """A corpus rendered by espeak-ng from a grammar (``data/corpora/synthetic.py``). Its identity is this config."""

    kind: Literal["synthetic"]
    name: Name
    grammar: Literal["commands", "sentences"]
    train: Positive
    valid: Positive
    test: Positive
    train_voices: Positive
    valid_voices: Positive
    test_voices: Positive
    snr: tuple[float, float] | None = None
    """Range of the signal-to-noise ratio (dB) of the noise in the recordings, drawn uniformly; None is clean."""
    seed: int = 1
    generator: Literal[1] = 1
    """Version of the renderer: raised when the same configuration would sound otherwise."""


class Manifest(Frozen):
    """Any corpus given as ``manifest.tsv`` (id, split, audio, video, speaker, text) in its root folder."""

    kind: Literal["manifest"]
    name: Name


Corpus = Annotated[Synthetic | Manifest, Field(discriminator="kind")]


class Tokenizer(Frozen):
    """What the transcripts are spelt with: characters, or SentencePiece unigram pieces trained on the train split."""

    kind: Literal["characters", "unigram"]
    pieces: Positive | None = None
    """Number of SentencePiece pieces; for ``unigram`` only."""

    @model_validator(mode="after")
    def _pieces_belong_to_unigram(self) -> Self:
        if (self.kind == "unigram") != (self.pieces is not None):
            raise ValueError("'pieces' is needed by, and only by, kind 'unigram'")
        return self


class Model(Frozen):
    """A Conformer encoder with a CTC head and, unless ``decoder_layers`` is 0, a Transformer decoder."""

    frontend: Literal["logmel", "wave"]
    """``logmel``: log-mel features and convolutional subsampling; ``wave``: Auto-AVSR's 1-D ResNet-18 on samples."""
    mels: Positive | None = None
    """Mel bands of the ``logmel`` front end."""
    channels: Positive
    """Channels of the subsampling convolutions, or of the ResNet's first stage (64 in Auto-AVSR)."""
    dim: Positive
    heads: Positive
    feedforward: Positive
    layers: Positive
    kernel: Positive
    decoder_layers: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    initialiser: Literal["default", "glorot", "he"]
    """Initialiser of every dense matrix: PyTorch's own, Glorot uniform or He normal."""

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"'dim' must be a multiple of 'heads', got {self.dim} and {self.heads}")
        if self.dim % 2:
            raise ValueError(f"'dim' must be even for sinusoidal positions, got {self.dim}")
        if self.kernel % 2 == 0:
            raise ValueError(f"'kernel' must be odd, got {self.kernel}")
        if (self.frontend == "logmel") != (self.mels is not None):
            raise ValueError("'mels' is needed by, and only by, frontend 'logmel'")
        return self


class LowRank(Frozen):
    """Which matrices are factorised, at which ranks, and how their factors start."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("encoder.attention", "encoder.feedforward")
    """Roles (``encoder.attention``), groups of roles (``encoder.*``) or globs over matrix names."""
    ratio: Annotated[float, Field(gt=0, le=1)]
    """Fraction of full rank that is kept, averaged over depth."""
    mapping: Literal["uniform", "linear", "explicit"] = "uniform"
    slope: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Of the linear mapping: ratio * (1 + slope * (2l / (L-1) - 1)) at layer l of L; negative shrinks with depth."""
    ratios: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None
    """Of the explicit mapping: one ratio per layer, averaging to ``ratio``."""
    init: Literal["spectral", "random", "matched", "orthogonal"] = "spectral"
    qkv: Literal["separate", "fused"] = "separate"
    """Whether the q, k and v of a self-attention are factorised one by one or as one concatenated matrix."""
    multiple: Annotated[int, Field(ge=2)] | None = None
    """Ranks are multiples of this (8 suits tensor cores)."""

    @model_validator(mode="after")
    def _mapping_has_its_parameters(self) -> Self:
        if (self.mapping == "linear") != (self.slope is not None):
            raise ValueError("'slope' is needed by, and only by, mapping 'linear'")
        if (self.mapping == "explicit") != (self.ratios is not None):
            raise ValueError("'ratios' is needed by, and only by, mapping 'explicit'")
        if self.ratios is not None:
            mean = sum(self.ratios) / len(self.ratios)
            if abs(mean - self.ratio) > 1e-3:
                raise ValueError(
                    f"'ratios' average {mean:.4g} but 'ratio' is {self.ratio:.4g}; set ratio to the average"
                )
        return self


class Augment(Frozen):
    """SpecAugment (Park et al. 2019): masks over time, for features also over mel bands."""

    time_masks: Annotated[float, Field(ge=0)]
    """Masks per second of speech."""
    time_width: Annotated[float, Field(ge=0)]
    """Largest width of a time mask in seconds."""
    mel_masks: Count
    mel_width: Count
    """Largest width of a frequency mask in mel bands."""


class Train(Frozen):
    """How a model is trained. A frame is 640 samples (40 ms, 25 per second) everywhere."""

    steps: Positive | None = None
    epochs: Positive | None = None
    """Length of training: exactly one of ``steps`` and ``epochs``."""
    group_frames: Positive
    """Largest number of frames, padding included, in a group of utterances (a micro-batch)."""
    groups_per_step: Positive
    lr: Annotated[float, Field(gt=0)]
    betas: tuple[Momentum, Momentum]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Share
    """Share of training in which the learning rate rises linearly; it then falls to zero along a cosine."""
    clip: Annotated[float, Field(gt=0)]
    """Largest norm of the whole gradient."""
    ctc_weight: Share
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["float32", "bfloat16"]
    """``bfloat16`` is autocast; weights, log-softmax and CTC stay in float32."""
    snapshots: Positive
    """Number of evenly spaced points at which the model is validated."""
    average: Positive
    """The final weights are the mean of those at the last ``average`` snapshots."""
    augment: Augment | None = None

    @model_validator(mode="after")
    def _is_a_schedule(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs'")
        if self.average > self.snapshots:
            raise ValueError(f"'average' ({self.average}) exceeds 'snapshots' ({self.snapshots})")
        if self.steps is not None and self.snapshots > self.steps:
            raise ValueError(f"'snapshots' ({self.snapshots}) exceeds 'steps' ({self.steps})")
        return self


class Run(Frozen):
    """One training run, fully resolved."""

    scale: Name
    task: Literal["asr"]
    corpus: Corpus
    tokenizer: Tokenizer
    model: Model
    lowrank: LowRank | None = None
    train: Train
    seed: int = 1

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.decoder_layers == 0 and self.train.ctc_weight < 1:
            raise ValueError("'train.ctc_weight' must be 1 where 'model.decoder_layers' is 0")
        if self.model.frontend == "wave" and self.train.augment is not None and self.train.augment.mel_masks:
            raise ValueError("'train.augment.mel_masks' must be 0 with frontend 'wave', which has no mel bands")
        return self

    @property
    def digest(self) -> str:
        """Ten hex digits that identify the run's resolved configuration."""
        return digest(self, 10)

    @property
    def prepared(self) -> str:
        """Name of the folder of the prepared corpus that this run reads."""
        identity = {"corpus": self.corpus, "tokenizer": self.tokenizer, "modalities": ["audio"]}
        return f"{self.corpus.name}-{digest(identity, 10)}"


class Decoder(Frozen):
    """Greedy CTC, or a beam search over (1 - ctc_weight) * attention + ctc_weight * CTC + length_bonus * tokens."""

    kind: Literal["greedy", "beam"]
    beam: Positive | None = None
    ctc_weight: Share | None = None
    length_bonus: float | None = None

    @model_validator(mode="after")
    def _beam_has_its_parameters(self) -> Self:
        given = [self.beam is not None, self.ctc_weight is not None, self.length_bonus is not None]
        if not (all(given) if self.kind == "beam" else not any(given)):
            raise ValueError("'beam', 'ctc_weight' and 'length_bonus' are all needed by, and only by, kind 'beam'")
        return self


class Condition(Frozen):
    """What is decoded."""

    split: Literal["valid", "test"]


Decoders = Annotated[dict[Name, Decoder], Field(min_length=1)]
Conditions = Annotated[dict[Name, Condition], Field(min_length=1)]


class Decoding(Frozen):
    """Every decoder is applied under every condition."""

    decoders: Decoders
    conditions: Conditions

    @property
    def digest(self) -> str:
        """Eight hex digits: changing a decoder or a condition decodes again, it does not train again."""
        return digest(self, 8)

    @property
    def scores(self) -> str:
        """Name of the score table in a run's record; a run that has it is done."""
        return f"scores-{self.digest}.csv.gz"


class Project(Frozen):
    """``workflow/config/config.yaml`` after Snakemake's ``--config`` overrides."""

    study: Name
    task: str
    scale: Name
    corpus: Name
    roots: dict[str, str] = Field(default_factory=dict)
    """Where each real corpus lies on this machine."""
    decoders: Decoders
    conditions: Conditions

    @property
    def decoding(self) -> Decoding:
        """How every run of the study is decoded."""
        return Decoding(decoders=self.decoders, conditions=self.conditions)
