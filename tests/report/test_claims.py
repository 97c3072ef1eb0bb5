"""The shipped claims fit the shipped studies; what does not fit is refused in one line."""

import math
from dataclasses import replace
from pathlib import Path

import fabricate
import numpy as np
import pytest
import yaml
from claiming import FOLDER, HALF, PLACE, claim, judged

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.report import aggregate, comparison, outcomes, paired
from lrsms.report.claims import Claim, claims_of, load
from lrsms.report.results import Place
from lrsms.statistics import effects
from lrsms.statistics.convergence import Failures
from lrsms.statistics.looks import plan
from lrsms.study import expand
from lrsms.study.project import Project

CONFIG = Path(__file__).parents[2] / "workflow/config"
SHIPPED = load(CONFIG / "claims.yaml")
LOWRANK = {"lowrank.targets": ("encoder.attention", "encoder.feedforward"), "lowrank.ratio": 0.25}


def better(group, against, **changes) -> Claim:
    return claim(group=group, against=against, rules=["improvement"], **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the fabricated demonstration study with three seeds."""
    root = tmp_path_factory.mktemp("claims")
    experiments, records, steptimes = fabricate.demo_study(root, (1, 2, 3))
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, root / FOLDER)
    return root / FOLDER


@pytest.mark.parametrize("task", ["asr", "vsr", "avsr"])
@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_every_shipped_claim_finds_its_cells_and_is_not_run_without_records(tmp_path, scale, task):
    content = read_yaml(CONFIG / "config.yaml") | {"scale": scale, "task": task}
    for name in dict.fromkeys(one.study for one in SHIPPED.values()):
        project = parse(Project, content | {"study": name}, "test")
        aggregate.aggregate(expand.load(project, CONFIG), tmp_path, tmp_path, project.decoding, tmp_path / name)
        ours = claims_of(SHIPPED, name, task)
        assert ours or task == "vsr"
        for outcome in outcomes.verdicts(ours, tmp_path / name, Place.of(project)):
            num_pairs = {"F2a": 3, "F3b": 11, "F4": 5, "F4a": 15, "F2t": 5, "F1s": 5}.get(outcome.id)
            assert num_pairs is None or f"{num_pairs} pairs of cells alike in all else" in outcome.compared
            assert outcome.verdict == "not run" and outcome.needs.startswith("Missing: ")


def test_the_paper_has_six_findings_and_all_are_claimed():
    claimed = {name[:2] for name, one in SHIPPED.items() if one.study != "arena"}
    assert claimed == {f"F{number}" for number in range(1, 7)}
    assert not claims_of(SHIPPED, "steptime", "vsr"), "the paper does not say how much faster lip reading is"


def test_a_pair_is_compared_on_its_own_counts(folder):
    outcome = judged(folder, claim())
    runs, speakers = aggregate.read_runs(folder), aggregate.read_speakers(folder)
    speakers = speakers[(speakers["decoder"] == "beam") & (speakers["condition"] == "test")]

    def table(cell):
        names = runs[runs["cell"] == cell].drop_duplicates("run").sort_values("seed")["run"]
        return [list(speakers[speakers["run"] == name]["edits"]) for name in names]

    words = list(speakers["words"].iloc[:12])
    expected = effects.difference(table("dense"), table("encoder.attention-0.12"), words)
    look = plan()[0]
    (finding,) = outcome.findings
    assert (outcome.decoder, outcome.condition) == ("beam", "test")
    assert finding.value == pytest.approx(100 * expected.difference)
    assert finding.interval.low == pytest.approx(100 * expected.interval_at(look.level).low)
    assert (outcome.look, outcome.seeds, finding.level) == (look, 3, look.level)
    assert (finding.seeds, finding.units, finding.words) == (3, 12, 720)


def test_how_far_the_compared_models_were_trained_is_said(folder):
    """The fabricated curves fall by e^(1/2) from half-way, to the WER on validation of each run."""
    runs = aggregate.read_runs(folder).drop_duplicates("run").groupby("cell", sort=False)[["valid_wer_end"]].mean()
    outcome = judged(folder, claim())
    against, group = (100 * runs.loc[name, "valid_wer_end"] for name in ("dense", outcome.compared.split("'")[1]))
    assert against != group
    course = [f"{math.sqrt(math.e) * end:.1f} and {end:.1f}%" for end in (group, against)]
    said = f"Validation WER half-way through training and at its end: {course[0]}, against {course[1]}."
    assert outcome.training == said


def test_of_step_times_no_training_is_said(folder):
    outcome = judged(folder, claim(rules=["faster"], speedup={"asr": 1.3}))
    assert outcome.training == ""


def test_single_cells_are_the_pair(folder):
    """Each group is a single cell: these are the pair."""
    one = better(
        {"lowrank.init": "spectral", "lowrank.mapping": "uniform", **LOWRANK}, {"lowrank.init": "random"}, looks=[3]
    )
    outcome = judged(folder, one)
    assert "'encoder.attention+encoder.feedforward-0.25-random'" in outcome.compared
    assert outcome.verdict == "supported"


def test_summed_pairs_are_the_mean_of_their_differences(folder):
    first, second = (
        judged(folder, claim(group={"lowrank.targets": ["encoder.attention"], "lowrank.ratio": ratio}))
        for ratio in (0.5, 0.25)
    )
    third = judged(folder, claim(group={"lowrank.targets": ["encoder.attention"], "lowrank.ratio": 0.12}))
    together = judged(folder, claim(group={"lowrank.targets": ["encoder.attention"]}))
    assert "against the dense baseline, 3 pairs of cells" in together.compared
    values = [outcome.findings[0].value for outcome in (first, second, third)]
    assert together.findings[0].value == pytest.approx(sum(values) / 3)
    assert together.findings[0].words == 720


def test_a_conjunction_needs_all_of_its_rules(folder):
    group = {"lowrank.mapping": "linear"}
    both = claim(group=group, rules=["parity", "fewer_parameters"], times_fewer=3)
    outcome = judged(folder, both)
    assert [finding.rule for finding in outcome.findings] == ["parity", "fewer_parameters"]
    assert outcome.findings[1].verdict == outcome.verdict == "contradicted"
    easier = judged(folder, claim(group=group, rules=["fewer_parameters"], times_fewer=1.4))
    assert easier.verdict == "supported" and easier.findings[0].value == pytest.approx(751_294 / 378_046)


def test_step_times_are_those_of_the_task(folder):
    one = claim(group={"lowrank.mapping": "linear"}, rules=["faster"], speedup={"asr": 1.1, "avsr": 9})
    assert judged(folder, one).verdict == "supported"
    assert outcomes.verdicts({"F6": one}, folder, replace(PLACE, task="avsr"))[0].verdict == "contradicted"


def test_holm_is_over_the_claims_that_test_something(folder):
    counted = claim(group={"lowrank.mapping": "linear"}, rules=["fewer_parameters"], times_fewer=2)
    found = outcomes.verdicts({"F1": claim(), "F2": claim(), "F5": counted}, folder, PLACE)
    assert found[0].p_holm == min(1, 2 * found[0].findings[0].p)
    assert found[2].p_holm != found[2].p_holm


def some(tmp_path: Path, status: dict[int, str], seeds=(1, 2, 3)) -> Path:
    """Two cells; runs by number that are left out or diverged."""
    experiments = [experiment for _, experiment in fabricate.demo(seeds)[: 2 * len(seeds)]]
    for number, experiment in enumerate(experiments):
        table = fabricate.scores(0.1, number)
        if status.get(number) == "diverged":
            fabricate.record(tmp_path, experiment, table.iloc[:0], status="diverged", diverged_at=4)
        elif number not in status:
            fabricate.record(tmp_path, experiment, table)
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / FOLDER)
    return tmp_path / FOLDER


def test_a_seed_that_is_missing_is_named_and_nothing_is_judged(tmp_path):
    half = {"lowrank.ratio": 0.5}
    outcome = judged(some(tmp_path, {4: "missing"}), claim(group=half))
    assert outcome.verdict == "not run"
    assert outcome.needs == "Missing: 'encoder.attention-0.5' (2 of 3 seeds finished)."
    assert outcome.findings[0].value != outcome.findings[0].value


def test_a_step_time_needs_no_run_that_has_finished(tmp_path):
    one = claim(group={"lowrank.ratio": 0.5}, rules=["faster"], speedup={"asr": 1.1})
    outcome = judged(some(tmp_path, {4: "missing"}), one)
    assert (outcome.verdict, outcome.needs) == ("not run", "Missing: the step time of 'encoder.attention-0.5'.")


@pytest.mark.parametrize(("section", "changes"), [("model", {"layers": 2}), ("train", {"lr": 0.002})])
def test_a_speed_up_is_over_the_model_that_the_claim_compares_with(tmp_path, section, changes):
    """A shallower model's low rank is compared with it, but timed beside the preset; a learning rate takes no time."""
    shown = {f"{section}.{field}": value for field, value in changes.items()}
    experiments = [fabricate.experiment(fabricate.run(), shown)]
    for lowrank in (None, {"targets": ("encoder.attention",), "ratio": 0.5}):
        run = fabricate.run(lowrank)
        run = run.model_copy(update={section: getattr(run, section).model_copy(update=changes)})
        experiments.append(fabricate.experiment(run, shown))
    for experiment in experiments[1:] if section == "model" else experiments[2:]:
        fabricate.steptime(tmp_path, experiment)
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / FOLDER)
    one = claim(group={"lowrank.ratio": 0.5}, rules=["faster"], speedup={"asr": 1.001})
    if section == "model":
        with pytest.raises(ValueError, match=r"claim F1: .* measured beside the preset's dense model"):
            judged(tmp_path / FOLDER, one)
    else:
        assert judged(tmp_path / FOLDER, one).findings[0].value > 1


def test_what_is_contradicted_needs_nothing_more(tmp_path):
    """Counted parameters decide it, while a seed of the rate's is not there."""
    one = claim(group={"lowrank.ratio": 0.5}, rules=["parity", "fewer_parameters"], times_fewer=2)
    outcome = judged(some(tmp_path, {4: "missing"}), one)
    assert [finding.verdict for finding in outcome.findings] == ["not run", "contradicted"]
    assert (outcome.verdict, outcome.needs) == ("contradicted", "")


def test_a_diverged_seed_is_counted_and_the_others_are_compared(tmp_path):
    outcome = judged(some(tmp_path, {4: "diverged"}), claim(group={"lowrank.ratio": 0.5}))
    (finding,) = outcome.findings
    assert outcome.verdict == "undecided" and finding.failures == Failures(0, 3, 1, 3)
    assert (finding.seeds, outcome.seeds) == (2, 3)
    assert finding.because == "2 seeds with which all compared runs converged cannot decide, by design"


def test_one_seed_is_undecided_and_says_so(tmp_path):
    outcome = judged(some(tmp_path, {}, seeds=(1,)), claim(group={"lowrank.ratio": 0.5}))
    assert outcome.verdict == "undecided" and "there is only 1" in outcome.needs and outcome.look is None


def test_a_study_that_was_never_run_is_not_run(tmp_path):
    (outcome,) = outcomes.verdicts({"F1": claim()}, tmp_path / "few-asr-demo-speech", PLACE)
    assert outcome.verdict == "not run" and "run the study first" in outcome.needs


def test_every_other_endpoint_is_shown_without_a_verdict(folder):
    outcome = judged(folder, claim())
    assert [str(one.endpoint) for one in outcome.sensitivity] == ["greedy, test"]
    greedy = judged(folder, claim(decoder="greedy"))
    assert outcome.sensitivity[0].findings[0].value == greedy.findings[0].value


def test_conditions_that_are_pooled_are_one_rate(folder):
    """The same words under two conditions: the mean of both changes, each unit still one value a seed."""
    runs = aggregate.read_runs(folder)
    runs["split"] = "test"
    results = comparison.Results(folder, runs, paired.by_run(aggregate.read_speakers(folder)), {})
    pairs = comparison.pairs_of(claim().parts[0], results.cells, "test")

    def change(*conditions):
        endpoint = comparison.Endpoint("beam", conditions)
        found = comparison.compare(claim().parts[0], pairs, [1, 2, 3], endpoint, results, claim()).paired
        return found.rates[1] - found.rates[0], found

    (one, _), (other, _), (both, table) = change("test"), change("valid"), change("test", "valid")
    assert both == pytest.approx((one + other) / 2) and table.edits_a.shape == (3, 12) and table.pairs == 2


def test_an_endpoint_that_the_project_does_not_test_leaves_the_claim_not_run(folder):
    for changes, said in (
        (
            {"conditions": ["tset"]},
            "condition 'tset', which the claim names and the project does not test; did you mean 'test'?",
        ),
        (
            {"decoder": "bema"},
            "decoder 'bema', which the claim names and the project does not test; did you mean 'beam'?",
        ),
    ):
        outcome = judged(folder, claim(**changes))
        assert outcome.verdict == "not run" and outcome.needs == f"Missing: {said}"


def test_the_digest_is_of_all_that_a_claim_states():
    changed = [
        {}, {"decoder": "greedy"}, {"conditions": ["valid"]}, {"margin": 0.2}, {"least": 0.1}, {"looks": [3]},
        {"group": HALF}, {"rules": ["improvement"]},
    ]  # fmt: skip
    assert len({claim(**changes).digest for changes in changed}) == len(changed)


def test_a_family_holds_where_some_member_does(folder):
    attention = {"lowrank.targets": ["encoder.attention"]}
    outcome = judged(folder, claim(group=attention, rules=["degradation"], family="lowrank.ratio"))
    (finding,) = outcome.findings
    assert list(finding.members) == ["ratio 0.5", "ratio 0.25", "ratio 0.12"]
    single = [
        judged(folder, claim(group=attention | {"lowrank.ratio": r}, rules=["degradation"])) for r in (0.5, 0.25, 0.12)
    ]
    assert finding.p == pytest.approx(min(1, 3 * min(one.findings[0].p for one in single)))


def test_a_claim_over_several_ratios_has_a_trend_and_an_onset(folder):
    attention = {"lowrank.targets": ["encoder.attention"]}
    outcome = judged(folder, claim(group=attention, rules=["trend"]))
    rates = [judged(folder, claim(group=attention | {"lowrank.ratio": r})).findings[0].value for r in (0.5, 0.25, 0.12)]
    expected = np.polyfit(np.log2([1, 2, 4, 1 / 0.12]), [0.0, *rates], 1)[0]
    assert outcome.findings[0].value == pytest.approx(expected) and "summed" not in outcome.compared
    onset = judged(folder, claim(group=attention, rules=["onset"], onset=0.25))
    assert onset.findings[0].value == pytest.approx(rates[1])


def test_also_adds_a_comparison_that_must_hold_too(folder):
    group = {"lowrank.targets": ["encoder.attention"]}
    also = [{"group": group | {"lowrank.ratio": 0.12}, "rules": ["degradation"]}]
    outcome = judged(folder, claim(group=group | {"lowrank.ratio": 0.5}, also=also))
    assert [finding.rule for finding in outcome.findings] == ["parity", "degradation"] and ";" in outcome.compared
    alone = judged(folder, claim(group=group | {"lowrank.ratio": 0.12}, rules=["degradation"]))
    assert outcome.findings[1] == alone.findings[0]


def test_how_soon_models_learn_is_of_their_curves(folder):
    """The fabricated curves are below 50% from their first snapshot on: nothing tells them apart."""
    outcome = judged(
        folder, claim(group={"lowrank.targets": ["encoder.attention"], "lowrank.ratio": 0.5}, rules=["sooner"])
    )
    assert outcome.verdict == "undecided" and outcome.decoder == "" and outcome.sensitivity == ()
    (folder / "learning.csv").rename(folder / "away")
    outcome = judged(
        folder, claim(group={"lowrank.targets": ["encoder.attention"], "lowrank.ratio": 0.5}, rules=["sooner"])
    )
    assert outcome.needs == "Missing: a training curve in the record of every run."
    (folder / "away").rename(folder / "learning.csv")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (claim(group={"lowrank.ratoi": 0.5}), "'group' names 'lowrank.ratoi', which the study does not vary; did you"),
        (claim(group={"model.dim": 5}), "'group' names 'model.dim', which the study does not vary; varied: lowrank,"),
        (claim(group={"lowrank.ratio": 0.13}), "no 'lowrank.ratio' is '0.13'; did you mean '0.12'?"),
        (claim(group={"lowrank.init": "spectra"}), "no 'lowrank.init' is 'spectra'; did you mean 'spectral'?"),
        (
            claim(group={"lowrank.init": "random", "lowrank.ratio": 0.5}),
            "none has lowrank.init random, lowrank.ratio 0.5",
        ),
        (claim(group={"lowrank": None}), "'group' holds 'dense', which has no baseline in this study"),
        (better({"lowrank.ratio": 0.12}, {"lowrank.ratio": 0.12}), "'encoder.attention-0.12' would be compared with"),
        (better({"lowrank.init": "spectral"}, {"lowrank.init": "random"}), "has no partner in 'against' alike"),
        (
            claim(group={"lowrank.ratio": 0.25}, rules=["fewer_parameters"], times_fewer=2),
            "rule fewer_parameters compares one pair of cells, but 'group' matches 5",
        ),
    ],
)
def test_a_group_that_does_not_fit_is_refused(folder, one, said):
    with pytest.raises(ValueError, match=r"runs\.csv: claim F1") as error:
        judged(folder, one)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rulse": ["parity"]}, "unknown key 'rulse'; did you mean 'rules'?"),
        ({"rules": ["paritty"]}, "'rules.0' is \"paritty\""),
        ({"rules": []}, "'rules' is []"),
        ({"looks": [6, 3]}, "looks are rising numbers of seeds"),
        ({"onset": 0.5}, "'onset' is needed by, and only by, rule onset"),
        ({"family": "lowrank.ratio", "rules": ["trend"]}, "'family' is for a single comparison"),
        ({"condition": "clean"}, "unknown key 'condition'; did you mean 'conditions'?"),
        ({"margin": 10}, "'margin' is 10"),
        ({"times_fewer": 2}, "'times_fewer' is needed by, and only by, rule fewer_parameters"),
        ({"speedup": {"asr": 1.3}}, "'speedup' is needed by, and only by, rule faster"),
        ({"rules": ["parity", "parity"]}, "'rules' names one twice"),
        ({"study": "atention"}, "did you mean 'attention'?"),
        ({"group": {}}, "'group' is {}"),
    ],
)
def test_a_claim_that_is_not_one_is_refused(tmp_path, changes, said):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/attention.yaml").write_text("")
    content = {"finding": "x", "study": "attention", "group": {"lowrank": None}, "rules": ["parity"]}
    content |= {"decoder": "beam", "conditions": ["clean"]}
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"F9": content}))
    with pytest.raises(ValueError, match=r"claims\.yaml: F9: ") as error:
        load(path)
    assert said in str(error.value) and "\n" not in str(error.value)
