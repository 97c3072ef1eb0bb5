"""Speech and faces that are made up: sentences, voices and drawn mouths."""
