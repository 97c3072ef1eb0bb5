"""How a trained run is tested: decoders and test conditions, which decode again but never train again."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lrsms.bounds import Beam, Decibels, LengthBonus, Name, Share
from lrsms.strict import Frozen, digest


class Decoder(Frozen):
    """Greedy CTC, or a beam search over (1 - ctc_weight) * attention + ctc_weight * CTC + length_bonus * tokens."""

    kind: Literal["greedy", "beam"]
    beam: Beam | None = None
    ctc_weight: Share | None = None
    length_bonus: LengthBonus | None = None

    @model_validator(mode="after")
    def _beam_has_its_parameters(self) -> Self:
        given = [self.beam is not None, self.ctc_weight is not None, self.length_bonus is not None]
        if not (all(given) if self.kind == "beam" else not any(given)):
            raise ValueError("'beam', 'ctc_weight' and 'length_bonus' are all needed by, and only by, kind 'beam'")
        return self


class Condition(Frozen):
    """What is decoded: a split, as recorded or with noise, with all modalities or without one."""

    split: Literal["valid", "test"]
    noise: Literal["babble", "white"] | None = None
    snr: Decibels | None = None
    """Signal-to-noise ratio in dB; an utterance's noise is the same for every run and at every ratio."""
    without: Literal["audio", "video"] | None = None
    """For ``avsr``: the modality that is absent."""

    @model_validator(mode="after")
    def _noise_has_a_ratio(self) -> Self:
        if (self.noise is None) != (self.snr is None):
            raise ValueError("'noise' and 'snr' are needed together")
        if self.without == "audio" and self.noise is not None:
            raise ValueError("'noise' is for audio, which 'without' takes away")
        return self


Decoders = Annotated[dict[Name, Decoder], Field(min_length=1, max_length=100)]
Conditions = Annotated[dict[Name, Condition], Field(min_length=1, max_length=100)]


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
