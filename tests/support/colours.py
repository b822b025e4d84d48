"""How well one colour can be read on another."""


def luminance(colour):
    """Return the relative luminance of ``rgb(r, g, b)`` as a browser writes it, or of three numbers up to 255."""
    if isinstance(colour, str):
        colour = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    values = [part / 255 for part in colour]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    """Return the contrast of two colours, as WCAG 2.2 has it."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
