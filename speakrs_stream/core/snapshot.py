"""A session as bytes: a versioned header, plain values as JSON, arrays as they are, a checksum. Never pickle.

4 bytes   b"SPKS"
2         version, big-endian
32        SHA-256 of everything after it
4         length of the JSON, big-endian
n         JSON: fingerprint, plain values, and name, dtype and shape of each array
…         the arrays, one after the other, little-endian, in C order
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from typing import Any

import numpy as np

from speakrs_stream.core.arrays import Array
from speakrs_stream.errors import SnapshotMismatch

MAGIC = b"SPKS"
VERSION = 1
DTYPES = ("|u1", "<i2", "<i8", "<f4", "<f8")
_HEAD = struct.Struct(">4sH32s")
_LENGTH = struct.Struct(">I")


def pack(plain: dict[str, Any], arrays: dict[str, Array], fingerprint: str) -> bytes:
    """Plain values (numbers, strings, lists, dicts) and arrays as bytes."""
    table = []
    parts = []
    for name, array in arrays.items():
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        assert little.dtype.str in DTYPES, f"{name} is {little.dtype}"
        table.append([name, little.dtype.str, list(array.shape)])
        parts.append(little.tobytes())
    header = {"fingerprint": hashlib.sha256(fingerprint.encode()).hexdigest(), "plain": plain, "arrays": table}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    body = b"".join([_LENGTH.pack(len(text)), text, *parts])
    return _HEAD.pack(MAGIC, VERSION, hashlib.sha256(body).digest()) + body


def unpack(data: bytes, fingerprint: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The values `pack` was given; SnapshotMismatch where they are damaged or were made by something else."""
    if len(data) < _HEAD.size + _LENGTH.size or data[:4] != MAGIC:
        raise SnapshotMismatch("this is not a snapshot of a stream")
    _, version, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        raise SnapshotMismatch(f"snapshot version {version}; this release reads version {VERSION}")
    body = memoryview(data)[_HEAD.size :]
    if hashlib.sha256(body).digest() != digest:
        raise SnapshotMismatch("the snapshot is damaged: its checksum does not match; use an older one")
    (length,) = _LENGTH.unpack_from(body)
    at = _LENGTH.size + length
    header = json.loads(bytes(body[_LENGTH.size : at]))
    if header["fingerprint"] != hashlib.sha256(fingerprint.encode()).hexdigest():
        raise SnapshotMismatch(
            "the snapshot was made with another model bundle or configuration; restore it with the same ones"
        )
    arrays: dict[str, Array] = {}
    for name, dtype, shape in header["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape).copy()
        at += count * np.dtype(dtype).itemsize
    return header["plain"], arrays
