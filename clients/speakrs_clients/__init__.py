"""Programs and libraries that talk to speakrs-stream."""
