"""python scripts/settings.py → writes docs/settings.md, the reference of all settings, from the table of fields."""

import pathlib

from nst_jax.orders import words
from nst_jax.orders.order import Order

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Every field of an order. On the command line it is a flag (`--strength 0.7`), in a list of jobs a column or key
(`strength`), in Python an argument (`nst_jax.order("town.jpg", "night.jpg", strength=0.7)`; `-` is `_` there). Values
are written alike everywhere. The last column says where else a field may be used: **list**, a column of a list of jobs;
**sweep**, several values at once; **record**, kept inside the picture; **while painting**, changed by a turn.

This page is made from the program's own table by `python scripts/settings.py`.
"""
TITLES = {
    "": "Pictures",
    words.RECIPE: "The recipe",
    words.CONTROL: "What goes where, in whose colours",
    words.NETWORK: "The network",
    words.MACHINE: "The machine",
    words.RUN: "How long",
}
FILES = {1: "a file", 2: "one or several files", 3: "words or a file"}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for heading, title in TITLES.items():
        rows = [row(field) for field in words.FIELDS if field.heading == heading]
        parts.append(
            "\n".join([f"## {title}\n", "| field | value | meaning | also in |", "| --- | --- | --- | --- |", *rows])
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def row(field: words.Field) -> str:
    """A field's line."""
    value = ", ".join(f"`{choice}`" for choice in field.choices) or f"`{field.metavar or 'yes'}`"
    value += f" ({FILES[field.files]})" if field.files else ""
    usual = field.of(Order())
    default = (
        f" (default: {field.write(usual)})"
        if usual not in (None, "", (), False) and "default" not in field.help
        else ""
    )
    kept = {"list": field.listed, "sweep": field.sweep, "record": field.recorded, "while painting": field.turn}
    cells = (f"`{field.name}`", value, field.help + default, ", ".join(name for name, used in kept.items() if used))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
