"""records owns the professional records of all kinds: their rules, their history, what others may know of them."""
