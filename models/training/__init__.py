"""Training of the project's own presentation-attack net: see README.md in this folder."""
