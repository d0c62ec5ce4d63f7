"""Session files: one reading of one meter in one file, which an engineer brings from the pole to the office.

A zip of `manifest.json`, `tables.json` (what `headend open` shows, whatever becomes of meter types), `answers.json`
(every answer to a GET, from which `headend import` makes rows as a collection does) and `transcript.txt` (every frame,
as `--trace` writes it).

The one rule: there is no key and no secret in it, and nothing in it proves that a meter said it.
"""
