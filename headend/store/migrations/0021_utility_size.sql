-- A table of one row is never analysed by itself, and what was never analysed is planned for as if it had hundreds:
-- joined first, it made the planner read all meters for a few.
ANALYZE utility;
