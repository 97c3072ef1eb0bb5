"""Speech: corpora, what is prepared of them, and batches of it."""
