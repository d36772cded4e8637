"""`python -m speakrs_stream` is `speakrs-stream`."""

from speakrs_stream.cli import main

if __name__ == "__main__":
    main()
