"""What stands below the kernels: the environment, processors, threads, and the limits of the machine."""
