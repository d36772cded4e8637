"""Which other files an ONNX file keeps its weights in."""

from __future__ import annotations

import mmap
import re
from pathlib import Path, PurePosixPath

from speakrs_stream.errors import BundleCorrupt
from speakrs_stream.models.manifest import inside

# An `external_data` entry of a TensorProto: key (field 1) "location", value (field 2) a file name shorter than 128
_LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])", re.DOTALL)
_LONG = re.compile(rb"\n\x08location\x12[\x80-\xff]", re.DOTALL)


def external_files(directory: Path, network: str) -> list[str]:
    """Files beside an ONNX file that hold its weights, relative to `directory`, each once.

    Looks for the protobuf bytes of the entries, so that no ONNX library is needed.
    Raises BundleCorrupt where a name leads out of the bundle.
    """
    path = directory / network
    if path.stat().st_size == 0:
        raise BundleCorrupt(f"{path} is empty; get it again")
    found: dict[str, None] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _LONG.search(content):
            raise BundleCorrupt(f"{path} keeps its weights in a file with a name of 128 bytes or more; get it again")
        for match in _LOCATION.finditer(content):
            raw = content[match.end() : match.end() + match.group(1)[0]]
            name = raw.decode("utf-8", errors="replace").removeprefix("./")
            if not inside(name):
                raise BundleCorrupt(f"{path} keeps its weights outside of the bundle, in {name!r}; do not use it")
            found[str(PurePosixPath(network).parent / name)] = None
    return list(found)
