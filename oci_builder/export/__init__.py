"""Where a finished image goes on this machine: files that engines load."""
