"""docs/power.md is what the committed runs give."""

from pathlib import Path

import pytest

from lrsms.report import power_page

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_page_is_the_one_that_the_committed_runs_give() -> None:
    written = power_page.page(ROOT / "workflow/config", ROOT / "results")
    assert (ROOT / "docs/power.md").read_text() == written


def test_runs_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match="attention-asr-tiny-commands"):
        power_page.page(ROOT / "workflow/config", tmp_path)
