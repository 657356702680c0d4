"""How expressions are written for people: presentation trees, and from them text and LaTeX."""
