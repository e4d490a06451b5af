"""The signature sheet: making, layout, printing."""
