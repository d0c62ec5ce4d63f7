"""Upkeep of the database: what is done to its tables over time, and whether the server fits the fleet."""
