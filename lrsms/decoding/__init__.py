"""Decoding of a trained network into hypotheses: greedy, CTC prefix search and joint beam search."""
