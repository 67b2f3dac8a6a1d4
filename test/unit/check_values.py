"""Reads what test_value_repr.c says of values and compares it with Python: one claim in each line, fields by tabs.

R text            the text is what repr() prints of it
C text text sign  = equal, e equal without an order, < and >, ! neither
S text text       the second is the first sorted
"""
import sys

NAMES = {"inf": float("inf"), "nan": float("nan")}


def value(text):
    return eval(text, NAMES.copy())


def sign(a, b):
    try:
        return "=" if a == b and not a < b else "<" if a < b else ">" if a > b else "!"
    except TypeError:
        return "e" if a == b else "!"


claims = wrong = 0
for line in open(sys.stdin.fileno(), encoding="utf-8", newline="\n"):
    kind, *fields = line.rstrip("\n").split("\t")
    first = value(fields[0])
    if kind == "R":
        said, true = fields[0], repr(first)
    elif kind == "C":
        said, true = fields[2], sign(first, value(fields[1]))
    else:
        said, true = fields[1], repr(sorted(first))
    claims += 1
    if said != true:
        wrong += 1
        print(ascii(line), "should be", ascii(true), file=sys.stderr)
sys.exit(1 if wrong or claims < 100 else 0)
