"""What a manifest says of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path


def record(path: Path, licence: str, source: str) -> dict[str, object]:
    """Hash, size, licence and where it came from."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"sha256": digest, "bytes": len(content), "licence": licence, "source": source}
