"""``python -m nemo_lab``, see ``nemo_lab.checks.command``."""

import sys

from nemo_lab.checks.command import main

if __name__ == "__main__":
    sys.exit(main())
