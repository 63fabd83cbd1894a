"""``python -m montezarr.cli``."""

import sys

from montezarr.cli import main

if __name__ == "__main__":
    sys.exit(main())
