"""Checks that links in Markdown files lead to a file of the repository, and to a heading in it.

usage: python3 tools/lint-links.py FILE...

Links to other hosts are not followed.
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def prose(text):
    """The text without code, whose brackets are no links."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """Names of headings, as GitHub makes them."""
    found = set()
    for title in re.findall(r"^#+\s+(.*)$", path.read_text(), flags=re.M):
        title = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        number = 0
        name = title
        while name in found:
            number += 1
            name = f"{title}-{number}"
        found.add(name)
    return found


def problems(path):
    for link in LINK.findall(prose(path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists():
            yield f"{link} does not exist"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{link}: no such heading"


found = [f"{path}: {problem}" for path in sys.argv[1:] for problem in problems(Path(path))]
print("\n".join(found) or f"links of {len(sys.argv) - 1} files are right")
sys.exit(bool(found))
