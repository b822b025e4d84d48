"""The parent: one process for each kernel and repeat, and the folders of their results."""
