"""What is asked: runs, corpora and decoding as frozen models, and a study that expands into runs. No torch."""
