"""The report of a built recipe: what is in it, what was left out, and what could leak."""
