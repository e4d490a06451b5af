"""The one place where subscriptions' concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.subscriptions.settings import Settings

NAME = "subscriptions"
SERVICE = Service(NAME, Settings, __name__)
