"""Sound from outside: files, bytes, microphones."""
