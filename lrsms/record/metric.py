"""What an error rate counts, and what it is then called: wherever a rate is shown, its name comes from here."""

from dataclasses import dataclass

from lrsms.study.corpus import Unit


@dataclass(frozen=True)
class Metric:
    """An error rate.

    Attributes:
        short: its abbreviation.
        name: in words.
        noun: one of what is counted.
        plural: several of them.
    """

    short: str
    name: str
    noun: str
    plural: Unit

    @property
    def title(self) -> str:
        """The name as a sentence begins with it."""
        return self.name[0].upper() + self.name[1:]


WORDS = Metric("WER", "word error rate", "word", "words")
CHARACTERS = Metric("CER", "character error rate", "character", "characters")
METRICS = {metric.short: metric for metric in (WORDS, CHARACTERS)}


def metric_of(unit: Unit | None) -> Metric:
    """The rate that counts the unit of a corpus; None is words."""
    return CHARACTERS if unit == "characters" else WORDS
