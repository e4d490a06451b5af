"""Sessions of browsers: cookies, tokens, drafts, and the context of a request."""
