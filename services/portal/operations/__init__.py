"""The dashboard of operators: process status, metrics, dead letters."""
