"""Times and limits of a GPU."""
