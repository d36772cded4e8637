"""The WebSocket server of speakrs-stream."""
