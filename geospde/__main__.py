"""``python -m geospde`` is the same as ``geospde``."""

import sys

from geospde.cli import main

if __name__ == "__main__":
    sys.exit(main())
