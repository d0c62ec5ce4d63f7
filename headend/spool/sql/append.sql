INSERT INTO entry (kind, at, origin, weight, octets) VALUES (:kind, :at, :origin, :weight, :octets)
