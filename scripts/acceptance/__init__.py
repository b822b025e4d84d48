"""The parts of `gpu_acceptance.py`: each runs in a process of its own, and prints a line for what it finds."""
