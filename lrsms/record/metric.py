"""What an error rate counts, and its name: everything that shows an error rate takes the name from here."""

from dataclasses import dataclass

from lrsms.study.corpus import Unit


@dataclass(frozen=True)
class Metric:
    """An error rate.

    Attributes:
        short: its abbreviation.
        name: in words.
        noun: the counted unit, in the singular.
        plural: the counted unit, in the plural.
    """

    short: str
    name: str
    noun: str
    plural: Unit

    @property
    def title(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[0].upper() + self.name[1:]


WORDS = Metric("WER", "word error rate", "word", "words")
CHARACTERS = Metric("CER", "character error rate", "character", "characters")
METRICS = {metric.short: metric for metric in (WORDS, CHARACTERS)}


def metric_of(unit: Unit | None) -> Metric:
    """The error rate for a corpus's unit; None means words."""
    return CHARACTERS if unit == "characters" else WORDS
