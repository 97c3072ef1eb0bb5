"""Uses of finished runs: transcribe files, export a run, look at it, compare runs."""
