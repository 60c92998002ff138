"""Print what made a picture, from the picture itself.

nst-jax show painting.png
"""

import json

from nst_jax.ground.choices import printable
from nst_jax.orders.record import in_words


def arguments(parser):
    parser.add_argument("result", metavar="RESULT", help="a picture that nst-jax has made")
    parser.add_argument("--json", action="store_true", help="as it is stored")


def run(args):
    from nst_jax.orders import record
    from nst_jax.pictures import metadata

    stored = metadata.read(args.result)
    found = record.parse(stored, name=args.result)
    print(json.dumps(json.loads(stored or ""), indent=1) if args.json else describe(found))


def describe(record) -> str:
    """A record in lines for a person; whatever a stranger wrote in it shows as plain text."""
    lines = []
    for key, value in record._asdict().items():
        if isinstance(value, dict):
            lines += [f"{key}"] + [f"  {name:<18} {in_words(each)}" for name, each in value.items()]
        elif value not in (None, "", (), []):
            lines.append(f"{key:<20} {in_words(value)}")
    return "\n".join(printable(line, longest=10_000) for line in lines)
