"""Single calls, cold starts, and the batch that keeps a latency budget."""
