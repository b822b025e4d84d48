"""The file format, both ways, and nothing else."""
