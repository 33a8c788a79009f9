"""Run the command line as `python -m heliograph`."""

from .cli import main

main()
