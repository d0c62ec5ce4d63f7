"""The object model: what the octets of an attribute mean, by interface class and version."""
