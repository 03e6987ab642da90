"""``python -m quadrat`` is the same as ``quadrat``."""

from quadrat.cli.main import main

main()
