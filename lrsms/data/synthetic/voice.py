"""Voices of espeak-ng: their names, and which of them sound alike. Neither espeak-ng nor its library is needed here."""

from collections.abc import Iterable
from dataclasses import dataclass

from lrsms.base.hints import did_you_mean

ACCENTS = {
    "en-us": "en-US",
    "en-us-nyc": "en-US-nyc",
    "en-gb": "en",
    "en-gb-x-rp": "en-GB-x-rp",
    "en-gb-scotland": "en-GB-scotland",
    "en-gb-x-gbclan": "en-GB-x-gbclan",
    "en-gb-x-gbcwmd": "en-GB-x-gbcwmd",
    "en-029": "en-029",
}
"""Accent to its file in espeak-ng's ``lang/gmw``: American, New York, British, Received Pronunciation, Scottish,
Lancastrian, West Midlands, Caribbean."""

# fmt: off
VARIANTS = (
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex", "Alicia", "Andrea",
    "Andy", "Annie", "belinda", "benjamin", "boris", "david", "Denis", "Diogo", "ed", "Gene", "grandma", "grandpa",
    "gustave", "ian", "iven4", "john", "klatt", "klatt3", "klatt4", "klatt6", "Lee", "marcelo", "Marco", "Mario",
    "max", "michel", "mike2", "Nguyen", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "shelby", "steph",
    "Storm", "travis", "victor",
)
# fmt: on
"""Speakers that sound like people. Left out: whispers, croaks, robots, and all but one of those that sound the same
(mean difference of their log spectra over one sentence below 0.13 nepers, as klatt and klatt2)."""


@dataclass(frozen=True)
class Voice:
    """A voice: the speaker and the manner.

    Raises:
        ValueError: an accent or variant that is not known, or a number out of range.
    """

    accent: str
    variant: str
    rate: int = 160
    """Words per minute, 80 to 450."""
    pitch: int = 50
    """0 to 99; 50 is the variant's own."""
    range: int = 50
    """How much the pitch moves, 0 to 99; 50 is the variant's own."""

    def __post_init__(self) -> None:
        for kind, name, known in (("accent", self.accent, ACCENTS), ("variant", self.variant, VARIANTS)):
            if name not in known:
                hint = did_you_mean(name, known, f"known: {', '.join(known)}")
                raise ValueError(f"voice: unknown {kind} '{name}'; {hint}")
        for kind, value, low, high in (
            ("rate", self.rate, 80, 450),
            ("pitch", self.pitch, 0, 99),
            ("range", self.range, 0, 99),
        ):
            if not low <= value <= high:
                raise ValueError(f"voice: {kind} is {value}, outside {low} to {high}")

    @property
    def name(self) -> str:
        """Readable and fit for a file name, e.g. ``en-us_f3_165_50``."""
        return f"{self.accent}_{self.variant}_{self.rate}_{self.pitch}"


def variants_of(speakers: Iterable[str]) -> list[str] | None:
    """The variant of each speaker, where all of them are called as voices are; None where any is not.

    What a voice has of its accent, rate and pitch is little beside the larynx and mouth of its variant.
    """
    variants = []
    for speaker in speakers:
        accent, *rest = speaker.split("_")
        if accent not in ACCENTS or len(rest) != 3 or rest[0] not in VARIANTS or not (rest[1] + rest[2]).isdigit():
            return None
        variants.append(rest[0])
    return variants
