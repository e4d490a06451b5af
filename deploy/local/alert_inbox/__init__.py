"""Simulates WeCom, DingTalk, a mail server and a heartbeat service, and shows the alerts that arrived."""
