"""What operators see: processes, dead letters, figures."""
