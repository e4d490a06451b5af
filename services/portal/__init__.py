"""portal owns the pages: what people see of the other services. It keeps nothing but sessions and drafts, in Redis."""
