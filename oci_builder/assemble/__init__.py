"""From a recipe to an image: the conductor and what it puts on top; and where images go.

Each module is imported by its own name: who only carries an image that is there loads nothing of building one.
"""
