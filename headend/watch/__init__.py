"""What an engineer watches in the field: ports, who answers on a line, pushes as they come, values as they change."""
