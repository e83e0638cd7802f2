#!/usr/bin/env python3
"""The tree by curl, cadaver and a browser's eyes: what is downloaded is what is on disk."""

import email
import email.policy
import re
import shutil
import subprocess

from daemon import Nvrd, finish, report, skip, wait_for

def curl(*words):
    return subprocess.run(["curl", "-sS", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)

def header(answer, name):
    found = re.search(rb"(?im)^" + name.encode() + rb":\s*(.*?)\r$", answer)
    return found[1].decode() if found else None

def check_ranges(base, path, data):
    url = f"{base}/{path}"
    report(curl(url).stdout == data, "curl gets the file byte for byte")
    for label, text, expected in (("the first bytes", "0-99", data[:100]), ("bytes in the middle", "1000-1999", data[1000:2000]),
                                  ("the last bytes", "-50", data[-50:]), ("an open end", f"{len(data) - 7}-", data[-7:])):
        report(curl("-r", text, url).stdout == expected, f"curl -r {text}: {label}")
    answer = curl("-i", "-r", f"{len(data)}-", url).stdout
    report(b" 416 " in answer.split(b"\r\n")[0] and header(answer, "Content-Range") == f"bytes */{len(data)}", "a range after the end is 416")
    head = curl("-I", url).stdout
    report(header(head, "Content-Length") == str(len(data)) and header(head, "Content-Type") == "video/mp4", "HEAD tells length and type", head)
    etag = header(head, "ETag")
    report(b" 304 " in curl("-i", "-H", f"If-None-Match: {etag}", url).stdout.split(b"\r\n")[0], "If-None-Match gives 304")
    report(b" 206 " in curl("-i", "-r", "0-9", "-H", f"If-Range: {etag}", url).stdout.split(b"\r\n")[0], "If-Range with the ETag gives the range")
    report(b" 200 " in curl("-i", "-r", "0-9", "-H", 'If-Range: "other"', url).stdout.split(b"\r\n")[0], "If-Range with another gives all")

def parts(answer):
    """What Python's own parser finds in a multipart answer: Content-Range -> bytes."""
    message = email.message_from_bytes(answer.partition(b"\r\n")[2], policy=email.policy.HTTP)
    return {p["Content-Range"]: p.get_payload(decode=True) for p in message.iter_parts()} if message.is_multipart() else {}

def check_several_ranges(base, path, data):
    url, size = f"{base}/{path}", len(data)
    answer = curl("-i", "-r", "0-9,-5,1000-1999", url).stdout
    expected = {f"bytes 0-9/{size}": data[:10], f"bytes {size - 5}-{size - 1}/{size}": data[-5:], f"bytes 1000-1999/{size}": data[1000:2000]}
    found = parts(answer)
    report(b" 206 " in answer.split(b"\r\n")[0] and found == expected and list(found) == list(expected), "several ranges come as parts, in the order asked for", answer[:500])
    report(curl("-r", "0-99,50-149,150-159", url).stdout == data[:160], "those that overlap are one")
    many = ",".join(f"{i * 200}-{i * 200}" for i in range(17))
    report(curl("-r", many, url).stdout == data, "more than 16 are not understood: all of it comes")

def check_cadaver(nvrd, folder, name, data):
    if not shutil.which("cadaver"):
        return skip("cadaver", "not installed")
    target = nvrd.folder / "got.mp4"
    script = f"open http://{nvrd.http}/{folder}\nls\nget {name} {target}\nquit\n"
    done = subprocess.run(["cadaver"], input=script, capture_output=True, text=True, timeout=30, env={"HOME": str(nvrd.folder), "PATH": "/usr/bin:/bin"})
    report(name in done.stdout and str(len(data)) in done.stdout, "cadaver ls shows the file and its size", done.stdout + done.stderr)
    report(target.exists() and target.read_bytes() == data, "cadaver get fetches it byte for byte", done.stdout + done.stderr)

def check_propfind(base, folder, name):
    body = '<?xml version="1.0"?><D:propfind xmlns:D="DAV:" xmlns:n="urn:nvrd:dav"><D:prop><D:getcontentlength/><n:camera/><n:codec/><D:nonsense/></D:prop></D:propfind>'
    answer = curl("-i", "-X", "PROPFIND", "-H", "Depth: 1", "-H", "Content-Type: application/xml", "--data", body, f"{base}/{folder}").stdout
    report(b" 207 " in answer.split(b"\r\n")[0], "PROPFIND Depth 1 gives 207", answer)
    report(name.replace("+", "%2B").encode() in answer or name.encode() in answer, "it lists the file", answer)
    report(b">porch<" in answer and b"avc1" in answer or b"h264" in answer, "with the live properties of a recording", answer)
    report(b"404 Not Found" in answer, "and 404 for a property that is not there")
    infinite = curl("-i", "-X", "PROPFIND", "-H", "Depth: infinity", f"{base}/recordings/").stdout
    report(b" 403 " in infinite.split(b"\r\n")[0] and b"propfind-finite-depth" in infinite, "Depth: infinity is refused with the precondition")

def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, segment="5s")
    base = f"http://{nvrd.http}"
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') >= 1, 30), "a segment was closed")
    file = nvrd.files("porch")[0]
    data = file.read_bytes()
    path = str(file.relative_to(nvrd.store))
    folder = path.rpartition("/")[0] + "/"
    check_ranges(base, path, data)
    check_several_ranges(base, path, data)
    check_propfind(base, folder, file.name)
    check_cadaver(nvrd, folder, file.name, data)
    page = curl(f"{base}/{folder}").stdout.decode()
    links = re.findall(r'href="([^"]+)"', page)
    report(any(file.name in link.replace("%2B", "+") for link in links), "the HTML listing links the file", page)
    report(b" 301 " in curl("-i", f"{base}/recordings").stdout.split(b"\r\n")[0], "a folder without its slash is redirected")
    running = nvrd.files("porch")[-1]
    report(len(curl(f"{base}/{running.relative_to(nvrd.store)}").stdout) > 1000, "the running segment is in the tree too")
    for bad in ("/recordings/../nvrd.db", "/nvrd.db", "/recordings/%2e%2e/nvrd.db", "/recordings/porch/..%2f..%2fnvrd.db", "/recordings/porch/nope/"):
        status = curl("-i", "--path-as-is", base + bad).stdout.split(b"\r\n")[0]
        report(b" 404 " in status or b" 400 " in status, f"{bad} is nowhere", status)
    nvrd.stop()
    finish()

main()
