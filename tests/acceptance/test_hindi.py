"""What a field engineer sees in Hindi: a table, a verdict, an act and its confirmation; data stays English."""

from __future__ import annotations

import json
import re

from raw_ways import keys
from screen import Screen
from terminal import Terminal

HINDI = {"LANG": "hi_IN.UTF-8", "LC_ALL": ""}

TABLE = """\
 · 534D4159934C77B1 · is15959-1ph · समय Asia/Kolkata का

ब्लॉक लोड · 15 मिनट के 3 अंतराल

                   voltage  current  wh import  wh export  vah import  vah export                  signal
 आरंभ                     V        A         Wh         Wh         VAh         VAh  meter health  strength
 ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 2026-02-28 06:00   230.24    0.145          8          0           8           0             0       -55
 2026-02-28 06:15   228.36    0.174         10          0          10           0             0       -53
 2026-02-28 06:30   227.80    0.217         12          0          13           0             0       -56

"""
ACT = [
    "रिले 0.0.96.3.10.255: बंद (off)",
    "पहले: आपूर्ति चालू, रिले जुड़ा हुआ, कंट्रोल मोड 4",
    "आदेश: बिजली काटें",
    "चेतावनी: रिले खुलने से उपभोक्ता की बिजली कट जाएगी",
    "आगे बढ़ने के लिए मीटर का क्रमांक लिखें: SERIAL",
    "रिले 0.0.96.3.10.255: बंद (off)",
    "पहले: आपूर्ति चालू, रिले जुड़ा हुआ, कंट्रोल मोड 4",
    "आदेश: बिजली काटें",
    "बाद में: आपूर्ति बंद, रिले कटा हुआ, कंट्रोल मोड 4",
]


def test_a_table_a_verdict_and_an_act_are_told_in_hindi(terminal: Terminal) -> None:
    then = ("--at", "2026-03-01T06:37:00Z", "--start", "2026-02-26T00:00:00Z", "--end", "2026-03-01T06:30:00Z")
    meters = terminal.meters(1, *then)
    row, address, way = meters.rows[0], meters.address(), (*keys(meters), "--type", "is15959-1ph")
    span = ("--from", "2026-02-28T06:00", "--to", "2026-02-28T06:45")
    read = ("read", address, "block-load", *span, *way)
    assert terminal.run(*read, **HINDI).stdout == address + TABLE
    data = json.loads(terminal.run(*read, "--json", **HINDI).stdout)
    assert not re.search("[ऀ-ॿ]", json.dumps(data, ensure_ascii=False)), "data is English"

    screen = Screen(terminal, "check", address, *way, "--days", "1", **HINDI)
    assert screen.ends() == 1
    seen = re.sub(r"\x1b\[[0-9;]*m", "", screen.seen)
    assert "headend: meter reader (32) से प्रवेश माँगा जा रहा है" in seen
    assert "निष्कर्ष: सुधारें" in seen
    assert re.search(r" सुधारें +घड़ी +घड़ी \d+ सेकंड पीछे है; 300 सेकंड तक की अनुमति है।", seen)
    assert "→ उसे मिलाएँ: headend clock ADDRESS --set" in seen

    screen = Screen(terminal, "relay", address, "off", *way, **HINDI)
    screen.shows("मीटर का क्रमांक लिखें: ")
    screen.types(b"\n")
    assert screen.ends() == 1
    assert screen.seen.splitlines()[-1] == "headend: कुछ नहीं बदला गया"
    screen = Screen(terminal, "relay", address, "off", *way, **HINDI)
    screen.shows("मीटर का क्रमांक लिखें: ")
    screen.types(row["serial"].encode() + b"\n")
    assert screen.ends() == 0, screen.seen
    assert screen.seen.replace(row["serial"], "SERIAL").splitlines() == ACT
