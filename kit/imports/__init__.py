"""Imports: files of rows that become documents."""
