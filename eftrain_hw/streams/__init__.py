"""Payloads, ports, commands and the small stream parts that everything is wired with."""
