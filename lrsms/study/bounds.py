"""Limits of a run's numbers: wider than anyone needs, but narrow enough to catch a typing error.

A limit never renames a run, because it is not part of the digest.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from lrsms.base.strict import pattern


def _at_least(least: float) -> AfterValidator:
    """Least value beside "more than 0": a smaller value is a typing error too."""

    def check(value: float) -> float:
        if value < least:
            raise ValueError(f"{value:g} is too small; it must be at least {least:g}")
        return value

    return AfterValidator(check)


Share = Annotated[float, Field(ge=0, le=1)]
InnerShare = Annotated[float, Field(gt=0, lt=1)]
"""Neither nothing nor all."""
BelowQuarter = Annotated[float, Field(gt=0, lt=0.25)]
"""Sizes of a semi-orthogonal correction that converge."""
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""The whole numbers that tables and other programs can hold."""
Name = Annotated[
    str,
    Field(
        pattern=pattern(
            r"^[A-Za-z0-9][A-Za-z0-9_.]*$", "letters, digits, '_' and '.' without a dash, a letter or digit first"
        ),
        max_length=50,
    ),
]
"""A word that may be part of a file name. It has no dash, which separates the parts of a run's name."""

HASH_DIGITS = 16
Hash = Annotated[
    str,
    Field(
        pattern=pattern(rf"^[0-9a-f]{{{HASH_DIGITS}}}$", f"{HASH_DIGITS} digits (0-9, a-f), as 'import' prints them")
    ),
]
"""The first digits of a file's SHA-256, which stand for its content."""

Pixel = Annotated[int, Field(ge=0, le=100_000)]
Pixels = Annotated[int, Field(ge=1, le=100_000)]
Utterances = Annotated[int, Field(ge=1, le=10_000_000)]
Voices = Annotated[int, Field(ge=1, le=10_000_000)]
Decibels = Annotated[float, Field(ge=-100, le=100)]

Pieces = Annotated[int, Field(ge=1, le=100_000)]
Mels = Annotated[int, Field(ge=1, le=1000)]
Width = Annotated[int, Field(ge=1, le=100_000)]
"""The width of a matrix, or the channels of a convolution."""
Layers = Annotated[int, Field(ge=1, le=1000)]
DecoderLayers = Annotated[int, Field(ge=0, le=1000)]
Kernel = Annotated[int, Field(ge=1, le=255)]
"""Frames; 255 are 10 s."""

Blocks = Annotated[int, Field(ge=1, le=1024)]
"""Of a block-diagonal matrix."""

Steps = Annotated[int, Field(ge=1, le=100_000_000)]
Length = Annotated[int, Field(ge=0, le=100_000_000)]
"""Steps of a training; none decodes the weights as they are."""
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Frames = Annotated[int, Field(ge=1, le=10_000_000)]
Groups = Annotated[int, Field(ge=1, le=10_000)]
LearningRate = Annotated[float, Field(gt=0, le=10), _at_least(1e-9)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=100)]
Norm = Annotated[float, Field(gt=0, le=1e9), _at_least(1e-6)]
MasksPerSecond = Annotated[float, Field(ge=0, le=20)]
MaskSeconds = Annotated[float, Field(ge=0, le=2)]
"""SpecAugment's widest mask of time is 1 s; wider ones hide whole utterances."""
MelMasks = Annotated[int, Field(ge=0, le=100)]
MelWidth = Annotated[int, Field(ge=0, le=1000)]

Beam = Annotated[int, Field(ge=1, le=1000)]
LengthBonus = Annotated[float, Field(ge=-1000, le=1000)]
