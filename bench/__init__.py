"""How a forward pass is timed and told. In: a command's words, and kernels. Out: results as JSON, and reports of them.

Each package says what comes in, what goes out and what it may import; together they go down, from `cli` to `errors`,
as `[tool.importlinter]` in pyproject.toml has it.
"""
