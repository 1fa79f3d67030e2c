"""What other people's engines make of odd layers and archives: the corpus, the asking, and our reading held to it."""
