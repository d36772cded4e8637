"""Runs in an environment of its own: sherpa-onnx's offline diarization; a path a line in, seconds and turns out.

Arguments: segmentation network, embedding network, threads. The first line it writes says that all is loaded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np


def diarizer(segmentation: str, embedding: str, threads: int) -> Any:
    """Its pipeline with its published defaults; the number of speakers unknown."""
    import sherpa_onnx as sherpa

    config = sherpa.OfflineSpeakerDiarizationConfig(
        segmentation=sherpa.OfflineSpeakerSegmentationModelConfig(
            pyannote=sherpa.OfflineSpeakerSegmentationPyannoteModelConfig(model=segmentation), num_threads=threads
        ),
        embedding=sherpa.SpeakerEmbeddingExtractorConfig(model=embedding, num_threads=threads),
        clustering=sherpa.FastClusteringConfig(num_clusters=-1, threshold=0.5),
        min_duration_on=0.3,
        min_duration_off=0.5,
    )
    if not config.validate():
        raise SystemExit("sherpa-onnx does not take these networks")
    return sherpa.OfflineSpeakerDiarization(config)


def main() -> None:
    """Answer until standard input ends."""
    pipeline = diarizer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        audio = np.load(line.strip())
        begin = time.process_time()
        turns = pipeline.process(audio).sort_by_start_time()
        print(json.dumps({"seconds": time.process_time() - begin, "turns": len(turns)}), flush=True)


if __name__ == "__main__":
    main()
