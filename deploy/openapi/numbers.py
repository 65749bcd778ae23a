"""Regular expressions for 64-bit numbers, which JSON carries as strings: the digits of exactly a range."""


def pattern(least: int, most: int) -> str:
    """Return the expression of the whole numbers from `least` to `most`, without leading zeros.

    Raises ValueError when there is none.
    """
    if least > most:
        raise ValueError(f"there is no number from {least} to {most}")
    ways = []
    if least < 0:
        ways += [f"-(?:{'|'.join(_spans(max(1, -most), -least))})"]
    if most >= 0:
        ways += _spans(max(0, least), most)
    return f"^(?:{'|'.join(ways)})$"


def _spans(least: int, most: int) -> list[str]:
    """Expressions for least to most, both not negative: one for each run of numbers with equal leading digits."""
    spans, start = [], least
    while start <= most:
        longest = len(str(most + 1)) - 1
        if str(start) == f"1{'0' * (len(str(start)) - 1)}" and longest >= len(str(start)):
            spans.append(f"[1-9][0-9]{{{len(str(start)) - 1},{longest - 1}}}")  # all numbers of these lengths
            start = 10**longest
            continue
        size = 1
        # The widest power of ten that divides `start`, stays within its length, and fits.
        while start % (size * 10) == 0 and size * 10 <= start and start + size * 10 - 1 <= most:
            size *= 10
        whole = start - start // size % 10 * size + 10 * size - 1  # the digit of this place runs up to 9
        end = min(whole, start + (most - start + 1) // size * size - 1)
        spans.append(_block(start, end, size))
        start = end + 1
    return spans


def _block(start: int, end: int, size: int) -> str:
    """Numbers whose digits are equal but for one, which runs, and `size`'s zeros, which are any."""
    free = len(str(size)) - 1
    head, first, last = start // (size * 10), start // size % 10, end // size % 10
    digit = str(first) if first == last else f"[{first}-{last}]"
    tail = "" if not free else "[0-9]" if free == 1 else f"[0-9]{{{free}}}"
    return f"{head or ''}{digit}{tail}"
