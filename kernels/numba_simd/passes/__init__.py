"""The forward pass in compiled Python, over the functions of codegen."""
