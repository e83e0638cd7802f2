#!/usr/bin/env python3
"""
The page in Chromium: moving pictures, one camera on its main stream, transports, sound, the timeline of a day with gaps and two codecs, steps, a clip;
its size, its policy, axe-core, phones, light and dark, Chinese; scripts in names. NVRD_SCREENSHOTS is a folder for pictures of all views.
"""
import gzip
import shutil
import urllib.request

import page_job
from daemon import finish, report, skip


def check_answers(nvrd):
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/manifest.webmanifest", "application/manifest+json")):
        address = f"http://{nvrd.http}{path}"
        with urllib.request.urlopen(address) as answer:
            plain, plain_tag = answer.read(), answer.headers["ETag"]
        with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept-Encoding": "br, gzip"})) as answer:
            packed, fields = answer.read(), answer.headers
        report(fields["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain and fields["Vary"] == "Accept-Encoding", f"{path} comes by gzip to who takes it", fields)
        report(plain_tag != fields["ETag"], f"{path}: each form has its own ETag", plain_tag)
        policy = fields["Content-Security-Policy"]
        report("default-src 'none'" in policy and "unsafe" not in policy and fields["X-Content-Type-Options"] == "nosniff" and fields["Referrer-Policy"] == "no-referrer"
               and fields["Content-Type"].startswith(kind), f"{path} has a strict policy", fields)
        try:
            urllib.request.urlopen(urllib.request.Request(address, headers={"Accept-Encoding": "gzip", "If-None-Match": fields["ETag"]}))
            report(False, f"{path}: 304")
        except urllib.error.HTTPError as error:
            report(error.code == 304, f"{path}: 304 for who has it", error.code)


def main():
    if not shutil.which("chromium") or not shutil.which("node"):
        skip("page", "chromium or node is not installed")
        return finish()
    nvrd, runs = page_job.start()
    check_answers(nvrd)
    page_job.check_views(nvrd, runs, "chromium")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    finish()


main()
