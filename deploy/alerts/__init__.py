"""alert-sender: passes Alertmanager's notifications on to WeCom, DingTalk and e-mail, and its heartbeat to a URL."""
