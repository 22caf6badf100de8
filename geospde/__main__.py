"""``python -m geospde`` is the same as ``geospde``."""

import sys

from geospde.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
