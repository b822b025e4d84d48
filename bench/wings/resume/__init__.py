"""Goes on with a run that stopped."""
