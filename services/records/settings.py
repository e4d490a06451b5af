"""Settings of records."""

from kit.settings import RetentionSettings, ServiceSettings


class Settings(ServiceSettings):
    """What records needs beside what every service does."""

    retention: RetentionSettings = RetentionSettings()
