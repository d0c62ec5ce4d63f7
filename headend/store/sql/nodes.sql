SELECT name, roles, started_at, seen_at, numbers FROM node ORDER BY name
