"""Shares reference RTTMs out: meetings to tune by, to check with and to fit the PLDA on never share a recording."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

TUNE, CHECK, FIT = (0,), (4,), (1, 2, 6, 7)
"""Remainders modulo nine of a VoxConverse recording's number in alphabetical order."""


def share_out(reference: Path, out: Path) -> None:
    """Copy AMI to `ami`, and parts of VoxConverse to `voxa` (tune), `voxb` (check) and `voxc` (PLDA)."""
    for name in ("ami", "voxa", "voxb", "voxc"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for path in (reference / "ami_dev").glob("*.rttm"):
        shutil.copy(path, out / "ami")
    for number, path in enumerate(sorted((reference / "voxconverse_dev").glob("*.rttm"))):
        for name, remainders in (("voxa", TUNE), ("voxb", CHECK), ("voxc", FIT)):
            if number % 9 in remainders:
                shutil.copy(path, out / name)


def main() -> None:
    """`python -m training.references REFERENCE OUT`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    share_out(options.reference, options.out)


if __name__ == "__main__":
    main()
