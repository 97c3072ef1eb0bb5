"""lrsms: can a Conformer be trained with low-rank weights from scratch, and what does it cost and buy?"""

RESULTS_VERSION = 1
"""Part of every run's digest: raised when the same configuration would give other numbers.

Not for rounding, nor for other draws of the same chance, as another device or release of PyTorch makes them too.
"""
QUESTION = (
    "Can a Conformer be trained with low-rank weights from scratch, what does it cost in word error rate, and what does"
    " it save in parameters and step time?"
)
"""What all studies are for."""
