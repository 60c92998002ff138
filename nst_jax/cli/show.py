"""Print what made a picture, from the picture itself.

nst-jax show painting.png
"""

import json


def arguments(parser):
    parser.add_argument("result", metavar="RESULT", help="a picture that nst-jax has made")
    parser.add_argument("--json", action="store_true", help="as it is stored")


def run(args):
    from nst_jax.orders import record as runs
    from nst_jax.pictures import metadata

    record = runs.parsed(metadata.read(args.result), name=args.result)
    print(json.dumps(record, indent=1) if args.json else described(record))


def described(record) -> str:
    """A record in lines for a person; whatever a stranger wrote in it shows as plain text."""
    lines = []
    for key, value in record.items():
        if isinstance(value, dict):
            lines += [f"{key}"] + [f"  {name:<18} {_plain(each)}" for name, each in value.items()]
        else:
            lines.append(f"{key:<20} {_plain(value)}")
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _plain(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
