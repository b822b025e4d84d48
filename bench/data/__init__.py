"""What is computed on: data sets, their files and downloads, and the workload that options name."""
