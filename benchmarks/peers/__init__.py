"""Other people's methods, run on the same inputs as ours."""
