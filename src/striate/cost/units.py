"""Numbers as people read them, each with its unit: 138,357,544 · 15.5 G · 57.9 MiB · 62 %."""

from __future__ import annotations

import re

from striate.blueprint.refusal import CannotRead

SI = ("", "k", "M", "G", "T", "P", "E", "Z")  # powers of 1,000: for counts
IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")  # powers of 1,024: for memory


UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


MOST = 2**60  # bytes


def whole(n: int | None) -> str:
    """Every digit: 61,100,840; "?" where it is not known."""
    return "?" if n is None else f"{n:,}"


def short(n: int | None) -> str:
    """Three digits and a power of 1,000: 4.09 G; "?" where it is not known."""
    return "?" if n is None else _scaled(n, 1000, SI)


def memory(n: int) -> str:
    """Three digits and a power of 1,024: 97.5 MiB."""
    return _scaled(n, 1024, IEC)


def share(part: int | None, total: int) -> str:
    """Percent of the total: "62 %"; "< 1 %" for a little, "> 99 %" for nearly all, nothing for nothing."""
    if not part or not total:
        return ""
    percent = 100 * part / total
    return "< 1 %" if percent < 0.5 else "> 99 %" if percent >= 99.5 and part < total else f"{percent:.0f} %"


def _scaled(n: int, base: int, powers: tuple[str, ...]) -> str:
    value, power = float(n), 0
    while value >= (999.5 if base == 1000 else 1023.5) and power < len(powers) - 1:
        value, power = value / base, power + 1
    digits = 0 if not power or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f} {powers[power]}".rstrip()


def in_bytes(text: str) -> int:
    """ "24GiB", "16 GB", "512MiB", "8e9" as bytes; capitals are no different. Raises CannotRead."""
    example = "Written 24GiB, 16GB, 512MiB, or in bytes: 8e9."
    read = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]{1,2})?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if read is None:
        raise CannotRead(f'Cannot read "{text}" as an amount of memory.', ways=example)
    number, unit = float(read[1]), read[2] or "B"
    alike = {known.lower(): known for known in UNITS}
    if unit.lower() not in alike:
        near = [
            f"{known} ({UNITS[known]:,} bytes)"
            for known in UNITS
            if known[0].lower() == unit[0].lower() and known != "B"
        ]
        ways = f"Near: {', '.join(near)}." if near else f"Known: {', '.join(UNITS)}."
        raise CannotRead(f'Cannot read "{text}" as an amount of memory: there is no unit "{unit}".', ways=ways)
    if number * UNITS[alike[unit.lower()]] > MOST:
        raise CannotRead(f'Cannot read "{text}" as an amount of memory: more than there is anywhere.', ways=example)
    if not (amount := int(number * UNITS[alike[unit.lower()]])):
        raise CannotRead(f'Cannot read "{text}" as an amount of memory: it is none.', ways=example)
    return amount
