"""How a trained run is tested: decoders and test conditions. A change of these decodes again and never trains again."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lrsms.base.strict import Frozen, digest
from lrsms.study.bounds import Beam, Decibels, LengthBonus, Name, Share
from lrsms.study.corpus import Corpus


class Decoder(Frozen):
    """Greedy CTC, or a beam search over (1 - ctc_weight) * attention + ctc_weight * CTC + length_bonus * tokens."""

    kind: Literal["greedy", "beam"]
    beam: Beam | None = None
    ctc_weight: Share | None = None
    length_bonus: LengthBonus | tuple[LengthBonus, ...] | None = None
    """A number, or a list: each run then takes the number with the lowest WER on the valid split."""
    end: Literal["espnet"] | None = None
    """When hypotheses end. None: at any length, and the best of all wins; ``espnet``: as in ESPnet and Auto-AVSR."""

    @field_validator("length_bonus", mode="before")
    @classmethod
    def _number_or_grid(cls, bonus: Any) -> Any:
        """Refuses anything else in one line; the order of a list has no meaning."""
        values = bonus if isinstance(bonus, list | tuple) else [] if bonus is None else [bonus]
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            raise ValueError(f"must be a number or a list of numbers, got {bonus!r}")
        if isinstance(bonus, list | tuple):
            if len(set(values)) < max(len(values), 2):
                raise ValueError("a list needs two or more different values; write a single value as a number")
            return tuple(sorted(values))
        return bonus

    @model_validator(mode="after")
    def _beam_has_its_parameters(self) -> Self:
        given = [self.beam is not None, self.ctc_weight is not None, self.length_bonus is not None]
        if not (all(given) if self.kind == "beam" else not any(given)):
            raise ValueError("'beam', 'ctc_weight' and 'length_bonus' are all needed by, and only by, kind 'beam'")
        if self.end is not None and (self.kind != "beam" or self.ctc_weight == 1):
            raise ValueError("'end' is for kind 'beam' with 'ctc_weight' below 1: CTC alone ends with the last frame")
        return self

    @property
    def grid(self) -> tuple[float, ...]:
        """The length bonuses from which one is chosen; empty if the bonus is given."""
        return self.length_bonus if isinstance(self.length_bonus, tuple) else ()

    def at(self, length_bonus: float) -> "Decoder":
        """This decoder with one length bonus."""
        return self.model_copy(update={"length_bonus": length_bonus})


class Condition(Frozen):
    """A test condition: a split, as recorded or with noise, with all modalities or without one."""

    split: Literal["valid", "test"] = "test"
    """Must be given unless ``corpus`` is."""
    corpus: Name | None = None
    """A file in ``corpora``: its test split takes the place of that of the runs' own corpus. None: their own."""
    noise: Literal["babble", "white"] | None = None
    snr: Decibels | None = None
    """Signal-to-noise ratio in dB; an utterance's noise is the same for every run and at every ratio."""
    without: Literal["audio", "video"] | None = None
    """For ``avsr``: the modality that is absent."""

    @model_validator(mode="after")
    def _names_its_split(self) -> Self:
        if self.corpus is None and "split" not in self.model_fields_set:
            raise ValueError("'split' is missing; give split: test or split: valid, or the 'corpus' of a test set")
        if self.corpus is not None and self.split != "test":
            raise ValueError(f"'corpus' {self.corpus} is a test set of its own; leave 'split' out, or write test")
        return self

    @model_validator(mode="after")
    def _noise_has_a_ratio(self) -> Self:
        if (self.noise is None) != (self.snr is None):
            raise ValueError("'noise' and 'snr' are needed together")
        if self.without == "audio" and self.noise is not None:
            raise ValueError("'noise' is for audio, which 'without' removes")
        return self

    @property
    def tested_on(self) -> str:
        """Its split, for people: ``test``, or ``test of commands_test``."""
        return self.split if self.corpus is None else f"{self.split} of {self.corpus}"


CTC_SEARCH = 2
"""Version of the search by CTC alone, raised when the same decoder would find other hypotheses. Version 1 searched
label by label. Version 2 searches frame by frame, so their hypotheses must not be confused."""
Decoders = Annotated[dict[Name, Decoder], Field(min_length=1, max_length=100)]
Conditions = Annotated[dict[Name, Condition], Field(min_length=1, max_length=100)]


class Decoding(Frozen):
    """Every decoder is applied under every condition."""

    decoders: Decoders
    conditions: Conditions
    corpora: dict[Name, Corpus] | None = None
    """The corpora that conditions name, as their files describe them; None where no condition names any."""

    @model_validator(mode="after")
    def _corpora_are_those_of_conditions(self) -> Self:
        named = {condition.corpus for condition in self.conditions.values() if condition.corpus is not None}
        if self.corpora == {} or named != set(self.corpora or {}):
            raise ValueError(f"'corpora' must be those of the conditions: {', '.join(sorted(named)) or 'none'}")
        return self

    @model_validator(mode="after")
    def _bonuses_are_chosen_on_validation(self) -> Self:
        for name, decoder in self.decoders.items():
            if decoder.grid and not self.of_split("valid"):
                raise ValueError(
                    f"'length_bonus' of decoder '{name}' is a list, of which one is chosen on the valid split, but no"
                    " condition is of it; add valid: {split: valid}"
                )
        return self

    def of_split(self, split: str) -> dict[str, Condition]:
        """Its conditions by name."""
        return {name: condition for name, condition in self.conditions.items() if condition.split == split}

    def corpus_of(self, condition: str) -> Corpus | None:
        """The corpus of a condition that has its own; None for one of the runs' corpus."""
        name = self.conditions[condition].corpus
        return None if name is None else (self.corpora or {})[name]

    def test_set_of(self, condition: str) -> tuple[str, str]:
        """What tells sets of utterances apart: the name of the corpus, empty for the runs' own, and the split."""
        return self.conditions[condition].corpus or "", self.conditions[condition].split

    @property
    def digest(self) -> str:
        """Eight hex digits: a changed decoder or condition decodes again, but does not train again."""
        if any(decoder.ctc_weight == 1 for decoder in self.decoders.values()):
            return digest({"decoding": self, "ctc_search": CTC_SEARCH}, 8)
        return digest(self, 8)

    @property
    def hypotheses(self) -> str:
        """Name of the hypotheses in a run's folder."""
        return hypotheses_of(self.scores)

    @property
    def scores(self) -> str:
        """Name of the score table in a run's record; a run that has it is done."""
        return f"scores-{self.digest}.csv.gz"


def hypotheses_of(scores: str) -> str:
    """Name of the hypotheses of which ``scores`` is the name of the score table."""
    return f"hypotheses-{scores.removeprefix('scores-').removesuffix('.csv.gz')}.jsonl"
