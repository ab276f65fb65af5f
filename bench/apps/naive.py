"""What one would write first: a Flask catch-all over ``send_from_directory``; for comparison only."""

import os

from flask import Flask, Response, send_from_directory

app = Flask(__name__, static_folder=None)


@app.route("/<path:path>")
def serve(path: str) -> Response:
    return send_from_directory(os.environ["BENCH_ROOT"], path)
