"""One file per kind of corpus, each with ``utterances(corpus, root, rendered)``; the rest is shared."""
