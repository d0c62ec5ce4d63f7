"""Translate APDUs to XML with gurux-dlms: a program of its own, since gurux-dlms is GPL; no test imports it. One APDU
in hex a line on stdin; a line of JSON for each: its XML.
"""

from __future__ import annotations

import json
import sys

from gurux_dlms.enums import TranslatorOutputType
from gurux_dlms.GXByteBuffer import GXByteBuffer
from gurux_dlms.GXDLMSTranslator import GXDLMSTranslator


def main() -> None:
    translator = GXDLMSTranslator(TranslatorOutputType.SIMPLE_XML)
    for line in sys.stdin:
        print(json.dumps(translator.pduToXml(GXByteBuffer(line.strip()))))


if __name__ == "__main__":
    main()
