"""The pure part: numpy and scipy only; no clock, thread, file, socket or model."""
