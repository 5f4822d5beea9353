"""Opens the report in Chromium, offline: browser_test.py WRITE_SAMPLE_REPORT

Light and dark, 400 and 1400 pixels wide: no error on the console, the script ran, every picture is seen once and fits,
nothing sticks out to the side.  Exits 77 (skipped) where Chromium is absent.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PROBE = """<script>
window.addEventListener("load", function () {
  var seen = 0, wide = 0;
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  document.querySelectorAll(".picture").forEach(function (p) {
    var shown = Array.prototype.filter.call(p.querySelectorAll("svg"), function (s) { return s.getBoundingClientRect().width > 0; });
    seen += shown.length === 1 && shown[0].getBoundingClientRect().height > 60;
    wide += shown.length === 1 && shown[0].getBoundingClientRect().right > innerWidth + 1;
  });
  parent.postMessage([document.querySelectorAll(".picture").length, seen, wide,
    document.documentElement.scrollWidth - innerWidth, getComputedStyle(document.body).backgroundColor.replace(/ /g, ""),
    document.getElementById("theme").hidden, innerWidth].join(";"), "*");
});
</script>"""


# Headless windows are at least 500 pixels wide, frames are not.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><script>
window.addEventListener("message", function (m) { document.body.setAttribute("data-probe", m.data); });
</script><iframe src="report.html" style="border:0;width:%dpx;height:1000px"></iframe></body>
"""


def check(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def browse(browser, page, profile, dark):
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--no-first-run",
               "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
               "--window-size=1500,1200", "--hide-scrollbars", "--dump-dom"]
    if dark:
        command.append("--blink-settings=preferredColorScheme=0")
    return subprocess.run(command + [page.as_uri()], capture_output=True, text=True, timeout=100, check=True)


def main(program):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        print("SKIPPED: Chromium is not installed (Debian: apt install chromium)")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        page = folder / "report.html"
        subprocess.run([program, str(page)], check=True, stdout=subprocess.DEVNULL)
        text = page.read_text("utf-8")
        page.write_text(text.replace("</body>", PROBE + "</body>"), "utf-8")
        for width in (400, 1400):
            for dark in (False, True):
                (folder / "frame.html").write_text(FRAME % width, "utf-8")
                done = browse(browser, folder / "frame.html", folder / "profile", dark)
                where = f"{width} pixels, {'dark' if dark else 'light'}"
                errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
                check(not errors, f"{where}: {errors[:3]}")
                probe = re.search(r'data-probe="([^"]*)"', done.stdout)
                check(probe, f"{where}: the page did not load")
                pictures, seen, wide, overflow, ground, hidden, inner = probe.group(1).split(";")
                check(pictures == seen and wide == "0", f"{where}: {seen} of {pictures} pictures seen, {wide} too wide")
                check(int(overflow) <= 0, f"{where}: the page is {overflow} pixels too wide")
                check(ground == ("rgb(21,23,26)" if dark else "rgb(255,255,255)"), f"{where}: background {ground}")
                check(inner == str(width), f"{where}: the window is {inner} wide")
                check(hidden == "false", f"{where}: the script did not run")
                print(f"{where}: {pictures} pictures, console clean")


main(sys.argv[1])
