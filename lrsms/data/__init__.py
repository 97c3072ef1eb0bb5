"""Speech data: corpora, prepared corpora, and batches."""
