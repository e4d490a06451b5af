"""Erasures: requested, approved, carried out."""
