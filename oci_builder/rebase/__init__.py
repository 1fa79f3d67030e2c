"""Another base below an image whose recipe is lost: its own layers stay, and it is proved or refused."""
