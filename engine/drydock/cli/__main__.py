"""`python -m drydock.cli`."""

import sys

from drydock.cli import main

sys.exit(main())
