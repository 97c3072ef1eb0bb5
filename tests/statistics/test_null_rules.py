"""The rules of the simulations are the rules of verdicts: study by study they say the same."""

import numpy as np
import pytest
from null_rules import MARGIN, ONSET, RATIOS, RULES, Said, holm
from null_worlds import UNEQUAL, Studies, World

from lrsms.report import rate_rules
from lrsms.report.finding import Compared, Doses, Finding, Threshold
from lrsms.report.paired import Paired
from lrsms.report.verdicts import judge, some
from lrsms.statistics import stats
from lrsms.statistics.convergence import Failures

ALPHA = 0.025
THRESHOLD = Threshold(MARGIN, onset=ONSET, level=1 - 2 * ALPHA)
STUDIES = 60


def compared(studies: Studies, number: int) -> Compared:
    """What ``comparison.compare`` makes of one study."""
    edits, lost, words = studies.edits[number].astype(float), studies.lost[number], studies.words
    good = ~lost.any(axis=0)
    failures = Failures(int(lost[0].sum()), lost.shape[1], int(lost[1:].sum()), lost[1:].size)
    if not good.any():
        return Compared(failures=failures)
    kept = edits[:, good]
    pairs = [Paired(kept[0], table, words, "speaker") for table in kept[1:]]
    doses = (0.0, *np.log2(1 / np.array(RATIOS)))
    return Compared(
        paired=pairs[-1],
        failures=failures,
        by_ratio=tuple(zip(RATIOS, pairs, strict=False)),
        doses=Doses(kept, doses, words, "speaker", "halving") if len(kept) == len(doses) else None,
    )


def one(rule: str, studies: Studies, number: int) -> Finding:
    if rule == "family":
        members = {
            f"{ratio:g}": judge("improvement", compared(studies.cells(0, cell), number), THRESHOLD)
            for cell, ratio in enumerate(RATIOS, start=1)
        }
        return some(members, THRESHOLD)
    return rate_rules.RULES[rule](compared(studies, number), THRESHOLD)


@pytest.mark.parametrize("seeds", [3, 7])
@pytest.mark.parametrize("rule", RULES)
def test_the_vectorised_rule_says_what_the_rule_says(rule: str, seeds: int) -> None:
    pair, reached = rule in ("parity", "degradation", "improvement"), set()
    for ratio in (0.3, 1.0, 1.6):
        world = World(UNEQUAL, seed=0.03, unit=0.03, collapse_a=0.02, collapse_b=0.2 if ratio == 1 else 0.02)
        studies = world.draw((ratio,) if pair else tuple(np.linspace(ratio, 1, 5)), seeds, STUDIES // 3)
        said: Said = RULES[rule](studies, ALPHA)
        verdicts = [one(rule, studies, number).verdict for number in range(STUDIES // 3)]
        assert [verdict == "supported" for verdict in verdicts] == said.supported.tolist()
        assert [verdict == "contradicted" for verdict in verdicts] == said.contradicted.tolist()
        reached |= set(verdicts)
    assert len(reached) > 1, "studies of one verdict compare nothing"


def test_holm_of_many_families_is_that_of_each() -> None:
    p = np.random.default_rng(1).random((20, 5)) ** 3
    assert holm(p) == pytest.approx(np.array([stats.holm(row) for row in p]))
