"""The child: pytest's hooks, the gate, the timed case, and what is watched beside it."""
