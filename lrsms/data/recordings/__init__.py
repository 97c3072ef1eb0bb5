"""One recording: whether it is complete, what it contains, and how it becomes samples and pictures."""
