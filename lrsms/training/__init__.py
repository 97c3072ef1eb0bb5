"""Training: the loop and its steps, checkpoints, several devices, signals, and how a run ends."""
