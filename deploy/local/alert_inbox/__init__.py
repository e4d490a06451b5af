"""Stands in for WeCom, DingTalk, a mail server and a heartbeat service: shows the alerts that arrived."""
