"""Voices of one variant are resampled together: the width of the interval in closed form, and who says so."""

import math
from dataclasses import replace
from pathlib import Path

import fabricate
import numpy as np
import pytest
from scipy import stats as scipy_stats

from lrsms.data.corpora.synthetic import voices_by_split
from lrsms.data.synthetic.voice import ACCENTS, VARIANTS, Voice, variants_of
from lrsms.record.metrics import WORDS
from lrsms.report import aggregate
from lrsms.report.clusters import bootstrap_rate, codes_of, noun
from lrsms.report.samples import Sample, describe_samples
from lrsms.report.summary import summarise
from lrsms.statistics import stats
from lrsms.study.config_files import load_corpus
from lrsms.study.expand import CONFIG_FOLDER

SHIPPED = Path(__file__).parents[2] / CONFIG_FOLDER

NUM_VARIANTS, NUM_ACCENTS = 12, 4
VOICES = [Voice(accent, variant).name for variant in VARIANTS[:NUM_VARIANTS] for accent in list(ACCENTS)[:NUM_ACCENTS]]
WORDS_OF_A_VOICE = 500


def width(interval: stats.Interval) -> float:
    return interval.high - interval.low


@pytest.mark.parametrize("of_variants", [1.0, 0.5, 0.0])
def test_the_variance_is_that_of_a_mean_over_variants(of_variants: float) -> None:
    """Rates of voices with a part of their variant and one of their own: the bootstrap of a mean of G independent
    clusters has the variance sum((R_g - R)^2) / G^2, and its 95% interval 3.92 standard deviations."""
    generator = np.random.default_rng(5)
    own = generator.standard_normal((NUM_VARIANTS, NUM_ACCENTS)) * math.sqrt(1 - of_variants)
    rates = 0.3 + 0.03 * (generator.standard_normal((NUM_VARIANTS, 1)) * math.sqrt(of_variants) + own)
    words = np.full(rates.size, WORDS_OF_A_VOICE)
    edits = (rates.ravel() * words).round()
    of_variant = edits.reshape(rates.shape).sum(axis=1) / (NUM_ACCENTS * WORDS_OF_A_VOICE)
    expected = 2 * scipy_stats.norm.ppf(0.975) * of_variant.std() / math.sqrt(NUM_VARIANTS)
    assert width(bootstrap_rate(edits, words, VOICES)) == pytest.approx(expected, rel=0.06)
    by_voice = stats.bootstrap_rate(edits, words)
    if of_variants == 1:  # voices of one variant are alike: twice as wide, the square root of four accents
        assert width(bootstrap_rate(edits, words, VOICES)) == pytest.approx(2 * width(by_voice), rel=0.06)


def test_other_speakers_are_resampled_one_by_one() -> None:
    generator = np.random.default_rng(6)
    edits, words = generator.poisson(10, 48), np.full(48, 40)
    for names in (
        [f"speaker{number}" for number in range(48)],
        [*VOICES[:-1], "someone"],  # recorded beside rendered: what is alike is not known
        [Voice("en-us", variant).name for variant in VARIANTS[:48]],  # each of its own
        [Voice(accent, "f1", rate).name for accent in ACCENTS for rate in range(160, 166)],  # nothing to resample
    ):
        assert codes_of(names) is None
        assert bootstrap_rate(edits, words, names) == stats.bootstrap_rate(edits, words)


def test_what_is_resampled_is_called_by_its_name() -> None:
    assert noun(VOICES, "speaker") == "voice variant" and noun(["a", "b"], "utterance") == "utterance"


def test_the_variant_of_a_voice_is_in_its_name() -> None:
    for voices in voices_by_split(load_corpus("commands", SHIPPED)).values():
        assert variants_of(voice.name for voice in voices) == [voice.variant for voice in voices]
    for name in ("en-us_f1", "en-us_f1_160", "en-us_nobody_160_50", "fr_f1_160_50", "en-us_f1_160_x", ""):
        assert variants_of([name]) is None


def test_a_table_resamples_variants_and_says_so(tmp_path) -> None:
    voices = [Voice(accent, variant).name for variant in VARIANTS[:3] for accent in list(ACCENTS)[:4]]
    experiment = fabricate.experiment(fabricate.run())
    table = fabricate.scores(0.2, 3, voices)
    fabricate.record(tmp_path / "records", experiment, table)
    aggregate.aggregate([experiment], tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "out")
    summary = summarise(tmp_path / "out")
    (cell,) = summary.cells
    mine = table[(table["decoder"] == "beam") & (table["condition"] == "test")]
    by_variant = mine.groupby(mine["speaker"].str.split("_").str[1])[["substitutions", "words"]].sum()
    expected = stats.bootstrap_rate(by_variant["substitutions"].to_numpy(), by_variant["words"].to_numpy())
    assert cell.scores["beam", "test"].rate.interval == expected
    (said,) = summary.described_samples
    assert "bootstrap over the 3 voice variants of 12 test speakers, 10,000 resamples" in said


def test_of_several_seeds_nothing_is_said_of_variants() -> None:
    """Their intervals are of seeds, on this test set; and a change is by speakers."""
    sample = Sample("test", 240, 1440, 48, "speaker", 48.0, variants=12)
    assert "variant" not in describe_samples({"clean": sample}, [3], WORDS)[0]
    assert "variant" in describe_samples({"clean": sample}, [1], WORDS)[0]
    assert "variant" not in describe_samples({"clean": replace(sample, variants=None)}, [1], WORDS)[0]
