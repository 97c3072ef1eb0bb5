"""What is looked at while a workflow runs, and the lists of results that the repository keeps."""
