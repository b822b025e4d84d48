"""The cases of a machine from run to run."""
