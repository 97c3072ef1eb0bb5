"""Facts about the times of tokens: the path is the likeliest of all that spell them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsms.use.alignment import Span, align


def collapse(path):
    return [label for label, _ in itertools.groupby(path) if label]


def posteriors(frames: int, size: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(scale=2, size=(frames, size))
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def score_of(spans: list[Span], log_probs: np.ndarray, tokens: list[int]) -> float:
    """Of the path that the spans are: blanks wherever there is no token."""
    path = np.zeros(len(log_probs), int)
    for span, token in zip(spans, tokens, strict=True):
        assert span.end > span.begin
        assert (path[span.begin : span.end] == 0).all()
        path[span.begin : span.end] = token
        assert span.log_prob == pytest.approx(log_probs[span.begin : span.end, token].mean())
    assert collapse(path) == tokens
    return log_probs[np.arange(len(path)), path].sum()


@given(st.lists(st.integers(1, 2), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=60)
def test_no_path_that_spells_the_tokens_is_likelier(tokens, frames, seed):
    log_probs = posteriors(frames, 3, seed)
    every = [
        log_probs[np.arange(frames), list(path)].sum()
        for path in itertools.product(range(3), repeat=frames)
        if collapse(path) == tokens
    ]
    spans = align(log_probs, tokens)
    if not every:
        assert spans is None
    else:
        assert score_of(spans, log_probs, tokens) == pytest.approx(max(every))


def test_a_token_lasts_as_long_as_it_is_certain():
    path = [0, 0, 2, 2, 2, 0, 1, 1, 0, 1]
    log_probs = np.full((len(path), 3), np.log(0.05))
    log_probs[np.arange(len(path)), path] = np.log(0.9)
    spans = align(log_probs, [2, 1, 1])
    assert [(span.begin, span.end) for span in spans] == [(2, 5), (6, 8), (9, 10)]
    assert all(np.exp(span.log_prob) == pytest.approx(0.9) for span in spans)


def test_equal_neighbours_need_a_blank_between_them():
    log_probs = posteriors(2, 3, 0)
    assert align(log_probs, [1, 1]) is None
    assert len(align(posteriors(3, 3, 0), [1, 1])) == 2


def test_nothing_said_has_no_times():
    assert align(posteriors(4, 3, 0), []) == []


def test_an_impossible_token_has_no_times():
    log_probs = posteriors(4, 3, 0)
    log_probs[:, 2] = -np.inf
    assert align(log_probs, [2]) is None


def test_torchaudio_finds_the_same():
    """Where torchaudio's compiled part fits the torch that is installed."""
    try:
        from torchaudio.functional import forced_align
    except (ImportError, OSError, RuntimeError):
        pytest.skip("torchaudio's compiled part does not load beside this torch")
    import torch

    log_probs = posteriors(40, 6, 3).astype(np.float32)
    tokens = [1, 1, 4, 2, 2, 5, 3]
    try:
        labels, _ = forced_align(torch.from_numpy(log_probs)[None], torch.tensor([tokens]))
    except (AttributeError, NotImplementedError, RuntimeError):
        pytest.skip("torchaudio's compiled part does not load beside this torch")
    path = np.zeros(40, int)
    for span, token in zip(align(log_probs, tokens), tokens, strict=True):
        path[span.begin : span.end] = token
    assert path.tolist() == labels[0].tolist()
