"""Sessions of browsers: cookies, tokens, drafts, and the request as every page sees it."""
