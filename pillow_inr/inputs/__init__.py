"""Which files paths, folders and patterns name, and how they are read."""
