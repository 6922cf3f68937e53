"""``python -m surgeon`` is the command line."""

import sys

from surgeon.cli import main

if __name__ == "__main__":
    sys.exit(main())
