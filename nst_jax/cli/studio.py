"""Open a page on which pictures are painted while you watch and steer.

nst-jax studio
nst-jax studio --port 9000 --no-browser             # on another machine: ssh -L 9000:localhost:9000 machine
nst-jax studio --host 0.0.0.0 --password-file FILE  # for everyone on the network who knows the password
"""

import os
import pathlib

from nst_jax.cli import flags, progress
from nst_jax.orders import values

PORT = 8790


def arguments(parser):
    add = parser.add_argument
    add("--host", metavar="H", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    add("--port", metavar="N", type=flags.as_type(values.port), default=PORT, help="port (default: %(default)s)")
    add("--password-file", metavar="FILE", help="a file whose first line visitors have to know, for other hosts")
    add("--no-browser", action="store_true", help="print the address, and open no browser")
    add("--folder", metavar="DIR", help="where paintings are kept (default: nst-jax-studio in your home)")
    flags.add_cache(parser)


def run(args):
    from nst_jax import studio
    from nst_jax.ground import storage
    from nst_jax.painting import programs

    studio.check_installed()
    from nst_jax.studio import app, gallery, serve

    password = serve.read_password(args.password_file, args.host)
    folder = storage.ensure_folder(args.folder or pathlib.Path.home() / "nst-jax-studio")
    with storage.locked(folder, what="folder"):
        bound = serve.bind(args.host, args.port)
        if not args.no_cache:
            programs.keep()
        rooms = gallery.Gallery(folder, said=progress.say)
        where = serve.address(bound, args.host)

        def ready():
            rooms.open()
            print(f"studio: {where} (Ctrl-C ends it; unfinished paintings go on next time)", flush=True)
            if not args.no_browser:
                _open(where)

        try:
            serve.server(app.make(rooms, host=args.host, password=password), ready=ready).run([bound])
        finally:
            rooms.close()
    return 0


def _open(where):
    import webbrowser

    if os.environ.get("DISPLAY") or os.name == "nt" or os.uname().sysname == "Darwin":
        webbrowser.open(where)
