"""The small form of every benchmark: what it measures and writes, never how fast it was."""

import json
import math
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import benchmarks
from benchmarks import index
from benchmarks.__main__ import NOT_ONE, main, publish
from benchmarks.figure import Figure, write
from lrsms.base.files import write_json

NAMES = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in NOT_ONE]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_small_form_writes_figures_with_where_they_come_from(name: str, tmp_path: Path) -> None:
    main([name, "--small", "--device", "cpu", "--threads", "1", "--output", str(tmp_path)])
    content = json.loads((tmp_path / f"{name}-cpu-small.json").read_bytes())
    assert content["small"]
    assert content["provenance"]["packages"]["torch"]
    assert "?" in content["question"]
    assert content["figures"]
    for figure in content["figures"]:
        assert figure["unit"]
        assert figure["value"] is None or math.isfinite(figure["value"])


def test_a_small_form_does_not_take_the_place_of_a_result(tmp_path: Path) -> None:
    figures = [Figure("a ratio", 2.0, "x")]
    paths = [write(tmp_path, "any", "Is it?", figures, torch.device("cpu"), small) for small in (False, True)]
    assert len(set(paths)) == 2
    assert json.loads(paths[0].read_bytes())["figures"][0]["value"] == 2.0


def test_the_page_of_committed_figures_is_what_their_files_say() -> None:
    folder = Path(__file__).parents[2] / "results/bench"
    if not folder.is_dir():
        pytest.skip("no figures are committed")
    assert (folder / "README.md").read_text() == index.render(folder)


def test_the_page_shows_every_figure_and_no_small_form(tmp_path: Path) -> None:
    interval = {"interval": {"low": 2.25, "high": 3.0}}
    figures = [Figure("a ratio", 2.5, "x", ">= 2"), Figure("of a GPU", None, "TFLOP/s")]
    figures.append(Figure("sure of it", 2.5, "x", "", interval))
    write(tmp_path, "one", "Is it fast?", figures, torch.device("cpu"), small=False)
    write(tmp_path, "two", "Is it small?", figures, torch.device("cpu"), small=True)
    write_json(tmp_path / "graphs.json", {"device": "any", "rows": []})  # of lrsms stepbench
    page = index.render(tmp_path)
    assert "| a ratio | 2.5 x | >= 2 |" in page
    assert "| of a GPU | - |  |" in page
    assert "| sure of it | 2.5 [2.25, 3] x |  |" in page
    assert "Is it small?" not in page


def test_what_was_found_is_kept_though_time_is_up_before_the_last_figure(tmp_path: Path) -> None:
    def figures() -> Iterator[Figure]:
        yield Figure("a ratio", 2.0, "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, "any", "Is it?", figures(), torch.device("cpu"), small=False)
    (figure,) = json.loads((tmp_path / "any-cpu.json").read_bytes())["figures"]
    assert figure["value"] == 2.0


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["decodin"])
    assert "no benchmark 'decodin'; known: " in str(caught.value)
    for name in NAMES:
        assert name in str(caught.value)
