"""What a person may expect: reads of their file are audited, they can be erased, sealed data get new keys."""
