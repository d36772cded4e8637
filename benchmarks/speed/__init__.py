"""How fast, how soon, how large: measurements of cost, medians of repeated runs taken in turn."""
