"""notify owns the SMS sent to people: their texts, their delivery through carriers, and the receipts."""
