"""What other pipelines compute for a recording, by their documented algorithms, on networks we have.

Only networks, filter bank and pooling are counted; clustering and output, small beside them, are given for free.
"""

from __future__ import annotations

import numpy as np

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32
from speakrs_stream.core.embedding.fbank import fbank
from speakrs_stream.core.embedding.pooling import pool, resample_nearest
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.core.powerset import LOCAL_SPEAKERS, decode
from speakrs_stream.inference.networks import Networks

BATCH = 32
"""Windows that both pass through a network together."""


def windows(audio: F32, step: int) -> F32:
    """Whole windows of a recording, (B, 160000)."""
    starts = range(0, len(audio) - WINDOW + 1, step)
    return np.stack([audio[start : start + WINDOW] for start in starts])


def normalised(window: F32) -> F32:
    """Filter bank of one window with its mean taken off, (998, 80)."""
    bank = fbank(window)
    return np.asarray(bank - bank.mean(axis=0), np.float32)


def pyannote_way(networks: Networks, audio: F32, step: int) -> int:
    """pyannote.audio 4: segmentation, then the whole embedding network once for each local speaker of each window.

    networks: of a bundle cut into trunk and head; returns the number of embeddings
    (pipelines/speaker_diarization.py, `get_embeddings`: batches run over windows times local speakers, silent ones too)
    """
    heard, made = windows(audio, step), 0
    for start in range(0, len(heard), BATCH):
        batch = heard[start : start + BATCH]
        for window, logits in zip(batch, networks.segment(batch), strict=True):
            masks = Activity(decode(logits)).masks()
            for mask in masks:
                features = networks.trunk(normalised(window)[None])[0]
                weights = resample_nearest(mask[None], len(features))
                networks.head(np.nan_to_num(pool(features, weights)))
                made += 1
    return made


def speakrs_way(networks: Networks, audio: F32, step: int) -> int:
    """speakrs on the processor: segmentation one window at a time, then one pass for the local speakers of a window.

    networks: of a bundle with the fused network for three masks; returns the number of embeddings
    (pipeline-spec §9.1: mode cpu, multimask path, strictly sequential)
    """
    heard, made = windows(audio, step), 0
    for window in heard:
        activity = decode(networks.segment(window[None])[0])
        if not activity.any():
            continue
        networks.multimask(normalised(window)[None], Activity(activity).masks()[None])
        made += LOCAL_SPEAKERS
    return made
