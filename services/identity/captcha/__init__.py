"""Captchas: as an image or as audio, used up by one attempt."""
