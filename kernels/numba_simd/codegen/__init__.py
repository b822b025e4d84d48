"""Python that writes LLVM code: vectors, register tiles, and what is done to a block of rows."""
