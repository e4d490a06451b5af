"""Captchas: drawn, spoken, used up by one attempt."""
