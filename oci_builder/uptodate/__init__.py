"""What a command made before, if it would make the same again: remembered, looked at, and written again."""
