"""How fast a kernel is for each batch size and number of threads, as a heat map."""
