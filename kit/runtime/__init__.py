"""A process: started, watched and ended; work that is repeated."""
