SELECT l.line, m.id FROM listed l JOIN meter m ON m.name = l.name ORDER BY l.line
