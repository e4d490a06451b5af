"""Files in the bucket: kept, sealed, named by documents, swept away."""
