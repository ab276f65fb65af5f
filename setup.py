"""All about the package stands in setup.cfg, but for what setup.cfg cannot say: whole folders, beside the package."""

import os

from setuptools import setup

# For who has no checkout: units, nginx's and Caddy's parts and the documents, in share/pages/ of the environment.
BESIDE = ("deploy", "docs")

setup(
    data_files=[
        (f"share/pages/{folder}", [f"{folder}/{name}" for name in sorted(names)])
        for top in BESIDE
        for folder, _, names in os.walk(top)
        if names
    ]
)
