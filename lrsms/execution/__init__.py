"""Where jobs run: the GPUs of this machine or cluster, Slurm, and which process holds the folder."""
