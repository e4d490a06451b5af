"""Metrics of the portal."""

from prometheus_client import Gauge

waiting_people = Gauge("login_waiting_people", "People in the waiting room, at the last look of one of them")
pace = Gauge("login_pace", "People a second who are let in to log in, at the last look")
