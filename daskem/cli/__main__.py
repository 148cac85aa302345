"""``python -m daskem.cli``."""

import sys

from daskem.cli import main

sys.exit(main())
