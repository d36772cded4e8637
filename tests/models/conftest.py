"""Keeps huggingface_hub to itself: it reads these when it is imported, which is later than this file."""

from __future__ import annotations

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # it would ask its hub for a list of programs that may be running it
os.environ["HF_TOKEN_PATH"] = os.devnull
