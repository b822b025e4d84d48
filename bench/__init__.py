"""HOW a forward pass is timed and told: data, sweep, the one clock, results, comparison, report."""
