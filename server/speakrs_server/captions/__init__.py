"""captions out of the box: a recognizer beside the diarizer"""
