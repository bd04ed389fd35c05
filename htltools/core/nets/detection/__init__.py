"""Nets that find several objects of several classes."""
