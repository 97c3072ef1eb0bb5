"""One recording: whether it is whole, what it holds, and how it becomes samples and pictures."""
