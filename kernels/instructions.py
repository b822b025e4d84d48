"""Which instruction sets the processor has."""


def instructions(*wanted: str) -> str:
    """Return those of the ``wanted`` that the processor has, all by LLVM's names, or that it has none of them."""
    from llvmlite import binding

    has = binding.get_host_cpu_features()
    return ", ".join(name for name in wanted if has.get(name)) or f"none of {', '.join(wanted)}"
