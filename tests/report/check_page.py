"""Checks a report as a file: check_page.py WRITE_SAMPLE_REPORT

Well-formed, nothing loaded from elsewhere, hostile names harmless, accessible, colours with enough contrast, data and
scripts complete inside the page.  Uses the standard library only.
"""

import base64
import csv
import gzip
import html.parser
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
FORBIDDEN = {"img", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "image"}


class Page(html.parser.HTMLParser):
    """Tags in balance, ids, references, and what is needed to judge them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.stack, self.problems, self.ids, self.tags, self.text = [], [], [], [], []
        self.scripts = []
        self.feed(text)
        self.close()
        if self.stack:
            self.problems.append(f"not closed: {self.stack}")

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if len({name for name, _ in attributes}) != len(attributes):
            self.problems.append(f"attribute twice in <{tag}>")
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1] != tag:
            self.problems.append(f"</{tag}> at {self.getpos()} closes {self.stack[-1:]}")
        else:
            self.stack.pop()

    def handle_data(self, data):
        (self.scripts if self.stack[-1:] == ["script"] else self.text).append(data)


def check(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def check_contrast(text):
    themes = [dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]{6})", block)) for block in re.findall(r"\{([^{}]*--paper:[^{}]*)\}", text)]
    check(len(themes) == 3, "light, dark by preference and dark by choice")
    check(themes[1] == themes[2] and themes[0] != themes[1], "the two dark themes agree")
    pairs = [("ink", "paper"), ("muted", "paper"), ("link", "paper"), ("ink", "panel"), ("muted", "panel")]
    for word in ("holds", "fails", "undecided"):
        pairs += [(word, word + "-ground"), (word, "paper")]
    pairs += [(word, "fails-ground") for word in ("ink", "muted", "link")]
    pairs += [("paper", "fails")]
    for theme in themes[:2]:
        for front, back in pairs:
            ratio = contrast(theme[front], theme[back])
            check(ratio >= 4.5, f"{front} on {back}: contrast {ratio:.2f}")
        for i in range(1, 9):
            ratio = contrast(theme[f"c{i}"], theme["paper"])
            check(ratio >= 3, f"line colour {i}: contrast {ratio:.2f}")


def check_references(page, text):
    check(len(set(page.ids)) == len(page.ids), f"ids twice: {[i for i in page.ids if page.ids.count(i) > 1][:5]}")
    for tag, attributes in page.tags:
        check(tag not in FORBIDDEN, f"<{tag}> in the page")
        for name, value in attributes.items():
            check(not name.startswith("on"), f"{name}= in <{tag}>")
            if name in ("href", "src", "xlink:href", "action", "srcset"):
                parts = urllib.parse.urlsplit(value)
                check(parts.scheme in ("", "data") and not parts.netloc, f"{name}={value[:60]}")
                if value.startswith("#"):
                    check(urllib.parse.unquote(value[1:]) in page.ids, f"{value} leads nowhere")
    for target in re.findall(r"url\(([^)]*)\)", text):
        check(target.strip("'\"").startswith("#") and target.strip("'\"#") in page.ids, f"url({target})")
    check("@import" not in text and "http:" not in text and "https:" not in text, "something is loaded")


def check_accessibility(page):
    tags = page.tags
    check(any(tag == "html" and attributes.get("lang") == "en" for tag, attributes in tags), "lang")
    check(all("scope" in attributes for tag, attributes in tags if tag == "th"), "scope of every th")
    pictures = [attributes for tag, attributes in tags if attributes.get("role") == "img"]
    check(all(len(attributes.get("aria-label", "")) > 20 for attributes in pictures), "words for every picture")
    check(all(attributes.get("aria-hidden") == "true" for tag, attributes in tags if tag == "svg"), "svg under its label")
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    check(levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), f"headings {levels}")
    return len(pictures)


def check_downloads(page, folder):
    """Every figure carries its CSV and script; both equal the files beside the page."""
    count = 0
    for tag, attributes in page.tags:
        if "download" not in attributes:
            continue
        count += 1
        name = attributes["download"]
        data = gzip.decompress(base64.b64decode(attributes["href"].split(",", 1)[1], validate=True))
        check(re.fullmatch(r"[a-z0-9-]+\.(csv|gp)\.gz", name), f"file name {name}")
        name = name.removesuffix(".gz")
        check((folder / name).read_bytes() == data, f"{name} differs from its file")
        if name.endswith(".csv"):
            rows = list(csv.reader(io.StringIO(data.decode("utf-8")), strict=True))
            check(len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows), f"{name} is ragged")
        else:
            check(data.decode("utf-8").startswith("# "), f"{name} is no script")
    return count


def write(program, folder, *arguments, **environment):
    out = folder / "report.html"
    done = subprocess.run([program, str(out), *arguments], capture_output=True, text=True, check=False, **environment)
    check(done.returncode in (0, 1), done.stderr)
    return out.read_text("utf-8"), done


def check_page(text, folder, drawn):
    page = Page(text)
    check(not page.problems, page.problems[:5])
    check(page.stack == [] and len(page.scripts) == 1, "one script")
    check_references(page, text)
    pictures = check_accessibility(page)
    downloads = check_downloads(page, folder / "report-figures")
    check(downloads >= 4, "data and scripts")
    check(pictures == (downloads // 2 if drawn else 0), f"{pictures} pictures, {downloads} files")
    check_contrast(text)
    return page


def main(program):
    gnuplot = subprocess.run(["sh", "-c", "command -v gnuplot"], capture_output=True, check=False).returncode == 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "fair").mkdir()
        text, done = write(program, folder / "fair")
        page = check_page(text, folder / "fair", gnuplot)
        words = " ".join(page.text)
        for needed in ("1 fails", "fair.broken", "closed form", "tiebreak run separable method=ngf"):
            check(needed in words, f"missing: {needed}")
        if gnuplot:
            check(done.returncode == 0 and "slope 0.9" in done.stdout, "text plots")
            check(all(len((folder / "fair/report-figures" / f"ray-angles.{kind}").read_bytes()) > 1000 for kind in ("svg", "png", "pdf")), "files")
        (folder / "hostile").mkdir()
        text, done = write(program, folder / "hostile", "hostile", cwd=folder)
        check_page(text, folder / "hostile", gnuplot)
        check("<script>alert" not in text and "<img" not in text, "hostile names came through")
        check(not (folder / "x").exists() and not list(folder.rglob("touch*")), "a name was run as a command")
        (folder / "bare").mkdir()
        text, done = write(program, folder / "bare", env={"PATH": "/nonexistent"})
        check_page(text, folder / "bare", False)
        check("gnuplot is not installed" in text, "the page says why there are no pictures")
    print("ok" if gnuplot else "ok (gnuplot is absent: no pictures checked)")


main(str(pathlib.Path(sys.argv[1]).resolve()))
