"""Where jobs run: this machine's or cluster's GPUs, Slurm, and who holds the folder."""
