"""settings of the clustering for one's own rooms: what `speakrs-stream tune` does"""
