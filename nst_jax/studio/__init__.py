"""The studio: a page on which one watches a painting while it happens, and steers it.

`asks` turns what a visitor asks for into an Order, `uploads` holds pictures, `views` what is seen of a run, `paintings`
a run that can be paused, taken back and branched, `gallery` all of them and the one worker, `routes_…` what addresses
answer, `app` the application, `guard` what keeps strangers out, `live` a run of the command line. The page itself is in
`static/`: plain HTML, CSS and JavaScript.
"""

from nst_jax.ground import extras


def check_installed() -> None:
    """Raise one line now if what the server is made of is not there."""
    with extras.required("studio"):
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
