"""Writes files so that they are complete or absent, on this machine and at URLs. Knows no file format."""
