"""What the tests of the course share: pictures are drawn without a screen."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
