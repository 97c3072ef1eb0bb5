"""The pages of a study's report: the first page, the table, plans, provenance and a page for each run."""
