"""attachments owns the scans of records, one for each: their files, checks and verdicts."""
