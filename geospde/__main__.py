"""``python -m geospde`` is the same as ``geospde``."""

from geospde.cli import main

if __name__ == "__main__":
    main()
