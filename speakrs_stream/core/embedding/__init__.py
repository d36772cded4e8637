"""From a window and its local speakers to one embedding each."""
