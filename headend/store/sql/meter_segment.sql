SELECT s.name, s.kind FROM meter m JOIN segment s ON s.id = m.segment_id WHERE m.id = %(meter)s
