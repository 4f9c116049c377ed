"""Who is online, and whether there is room for one more socket: folds of the tail over all edges."""
