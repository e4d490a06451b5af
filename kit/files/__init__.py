"""Files in the bucket: stored, encrypted, named by documents, swept."""
