"""What results mean: times, comparisons, findings."""
