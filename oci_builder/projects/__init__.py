"""Projects of others: the locks of uv, Poetry, PDM and pipenv, and what a folder without a recipe is."""
