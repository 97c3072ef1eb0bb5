"""Watching a workflow while it runs, and the lists of results that the repository keeps."""
