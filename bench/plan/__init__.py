"""What is to be measured: profiles, the plan of a run, and how often each case is repeated."""
