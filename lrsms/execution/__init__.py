"""The place where jobs run: GPUs of this machine or cluster, Slurm, and the process that holds the folder."""
