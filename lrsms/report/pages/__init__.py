"""The pages of a study's report: what it was, its table, plans, provenance and a page for each run."""
