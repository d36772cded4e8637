"""Model bundles: what they hold, where they come from."""
