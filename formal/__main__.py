"""``python -m formal [PROOF ...]``: see `formal.run.main`."""

import sys

from .run import main

sys.exit(main())
