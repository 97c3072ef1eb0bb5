"""The configuration: runs, corpora and decoding as frozen models, and a study that expands into runs. No torch."""
