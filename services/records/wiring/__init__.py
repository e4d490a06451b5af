"""The one place where records' concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.records.settings import Settings

NAME = "records"
SERVICE = Service(NAME, Settings, __name__)
