"""Turns text files into a C file of byte arrays: embed.py OUTPUT INPUT..."""
import pathlib
import sys

output, *inputs = sys.argv[1:]
with open(output, "w", encoding="utf-8") as out:
    out.write('#include "report/assets.h"\n')
    for path in map(pathlib.Path, inputs):
        name = "tb_asset_" + path.name.replace(".", "_")
        data = ",".join(str(byte if byte < 128 else byte - 256) for byte in path.read_bytes() + b"\0")
        out.write(f"const char {name}[] = {{{data}}};\n")
