"""attachments owns the scans behind records, one for each: the files, what a check says of them, who may see them."""
