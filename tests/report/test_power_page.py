"""docs/power.md is what the committed runs give."""

from pathlib import Path

import pytest

from lrsms.report import power_page
from lrsms.report.claims import load
from lrsms.statistics.crossed import Components
from lrsms.statistics.effects import Effect
from lrsms.statistics.stats import UNKNOWN

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_page_is_the_one_that_the_committed_runs_give() -> None:
    written = power_page.page(ROOT / "workflow/config", ROOT / "results")
    assert (ROOT / "docs/power.md").read_text() == written


def test_the_share_of_the_test_set_is_that_of_the_first_look_however_many_seeds_were_trained(monkeypatch) -> None:
    """Seeds, speakers and the rest vary by 2, 1 and 3 points; 10 seeds and 48 speakers were seen; a look is at 3."""
    variances = Components(seed=4e-4, unit=1e-4, residual=9e-4)
    seen = Effect(0.0, 0.01, 9.0, UNKNOWN, 1.0, 10, 48, 1440, "speaker", 48.0, variances)
    monkeypatch.setattr(power_page, "_planned", lambda *_: (seen, 0.025))
    of_test_set = 1 / 48 + 9 / (3 * 48)
    row = power_page._components(load(ROOT / "workflow/config/claims.yaml"), ROOT).splitlines()[-1]
    assert row.endswith(f"| {100 * of_test_set / (of_test_set + 4 / 3):.0f}% |")


def test_runs_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match="attention-asr-tiny-commands"):
        power_page.page(ROOT / "workflow/config", tmp_path)
