"""The studio: a page on which one watches a painting while it happens, and steers it.

`asks` turns what a visitor asks for into an Order, `uploads` holds pictures, `views` what is seen of a run, `paintings`
a run that can be paused, taken back and branched, `gallery` all of them and the one worker, `app` the server's routes,
`guard` what keeps strangers out. The page itself is in `static/`: plain HTML, CSS and JavaScript.
"""
