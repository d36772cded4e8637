"""The recipe that makes the embedded bundle: data, augmentation, networks, export, PLDA and tuning."""
