"""From embeddings to speakers."""
