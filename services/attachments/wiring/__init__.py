"""The one place where attachments' concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.attachments.settings import Settings

NAME = "attachments"
SERVICE = Service(NAME, Settings, __name__)
