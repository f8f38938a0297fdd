"""`python -m recursive_lth` is the command line."""

import sys

from recursive_lth.cli import main

if __name__ == "__main__":
    sys.exit(main())
