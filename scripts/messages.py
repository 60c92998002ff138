"""python scripts/messages.py → writes docs/messages.md, what is said about mistakes, from the tests' table of them."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

import mistakes  # noqa: E402  # pyright: ignore[reportMissingImports]

PAGE = ROOT / "docs" / "messages.md"
HEAD = """# Messages

What the command line says about a mistake, each with a command that causes it. A message is one line on stderr: what
must be, what it got instead and, after the last colon, what to do. Nothing has been painted or written then, and the
exit code is 1, or 2 where the command is one that can't be meant, marked **usage** here. Before the line stands
`nst-jax:`, or the command and `error:`. What stands in <> is another in each place.

This page is made from the table by which the program is tested, by `python scripts/messages.py`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for topic, rows in mistakes.TOPICS.items():
        parts.append(f"## {topic}\n\n" + "\n".join(map(entry, rows)))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def entry(row) -> str:
    """A message: its line, what causes it, and a command that does."""
    command = " ".join(["nst-jax", row.command]).strip()
    cause = row.cause[0].upper() + row.cause[1:] if not row.cause.startswith("`") else row.cause
    usage = "**usage**, " if row.code == 2 else ""
    return f"- {code(row.line)}\n  {cause}: {usage}{code(command)}"


def code(text: str) -> str:
    """A text as code, whatever it holds."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
