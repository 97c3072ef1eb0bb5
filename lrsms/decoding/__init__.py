"""From a trained network to hypotheses: greedy, CTC prefix search and joint beam search."""
