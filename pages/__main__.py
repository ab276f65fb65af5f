"""``python -m pages``: the command line."""

from pages.cli import main

main()
