"""Measuring the project: quality, parity with recorded pipelines, and the material both need."""
