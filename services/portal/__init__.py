"""portal owns the pages for practitioners and staff. It stores only sessions and drafts, in Redis."""
