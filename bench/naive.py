"""What one would write first: a Flask catch-all over ``send_from_directory``; for comparison only."""

import os

from flask import Flask, send_from_directory

app = Flask(__name__, static_folder=None)


@app.route("/<path:path>")
def serve(path):
    return send_from_directory(os.environ["NAIVE_ROOT"], path)
