#!/usr/bin/env python3
"""HTTP cameras: an ESP32-like one that gives a JPEG per request, one that streams, ffmpeg's mpjpeg.

With NVRD_LONG=1 at one picture a second.
"""
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import media
from daemon import Nvrd, end, finish, report, skip, spawn, wait_for

INTERVAL = 1.0 if os.environ.get("NVRD_LONG") == "1" else 0.2  # an ESP32 gives one picture a second
REALM, NONCE = "ESP32", "0123456789abcdef"


def pictures():
    """Fifty JPEGs, each another."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10", "-frames:v", "50",
                        "-q:v", "8", f"{folder}/%02d.jpg"], check=True)
        return [open(f"{folder}/{i:02d}.jpg", "rb").read() for i in range(1, 51)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def refused(self):
        """Digest for /digest.jpg, and a moment of 503 for all single pictures."""
        state = self.server.state
        if self.path == "/digest.jpg":
            words = dict(re.findall(r'(\w+)="?([^",]+)"?', self.headers.get("Authorization", "")))
            ha1 = hashlib.md5(f"anna:{REALM}:secret".encode()).hexdigest()
            ha2 = hashlib.md5(f"GET:{self.path}".encode()).hexdigest()
            if words.get("response") != hashlib.md5(f"{ha1}:{NONCE}:{ha2}".encode()).hexdigest():
                self.send_response(401)
                self.send_header("WWW-Authenticate", f'Digest realm="{REALM}", nonce="{NONCE}"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True
        if self.path == "/busy.jpg" and state["asked"].get("/busy.jpg", 0) in (8, 9):
            self.send_error(503, "busy")
            return True
        return False

    def do_GET(self):
        state = self.server.state
        state["under_way"][self.path] = state["under_way"].get(self.path, 0) + 1
        state["most"][self.path] = max(state["most"].get(self.path, 0), state["under_way"][self.path])
        try:
            if self.path == "/stream":
                self.stream()
                return
            if self.refused():
                state["asked"][self.path] = state["asked"].get(self.path, 0) + 1
                return
            n = state["asked"].get(self.path, 0)
            state["asked"][self.path] = n + 1
            picture = state["pictures"][n % 50]
            if self.path == "/slow.jpg":
                time.sleep(0.7)
            if self.path == "/esp32.jpg" and n % 5 == 4:
                picture = picture[:len(picture) // 2]
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)
            state["whole"].setdefault(self.path, []).append(n)
        except OSError:
            pass
        finally:
            state["under_way"][self.path] -= 1

    def stream(self):
        """A stream as badly spelt as they come: no lengths, LF alone, a boundary with other dashes."""
        self.close_connection = True
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-type: multipart/x-mixed-replace;boundary=--frame\r\n\r\n")
        for i in range(600):
            self.wfile.write(b"--frame\ncontent-TYPE:image/jpeg\n\n" + self.server.state["pictures"][i % 50] + b"\n")
            self.wfile.flush()
            time.sleep(0.1)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.state = {"pictures": pictures(), "asked": {}, "whole": {}, "under_way": {}, "most": {}}
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path, user=""):
        return f"http://{user}127.0.0.1:{self.server_address[1]}{path}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def frames(path):
    """Times and hashes of the pictures in a file."""
    out = subprocess.run(["ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "md5", "-of", "json", str(path)],
                         capture_output=True, text=True, check=True).stdout
    packets = json.loads(out)["packets"]
    return [(float(p["pts_time"]), p["data_hash"].partition(":")[2]) for p in packets]


def check_times(name, got, step, tolerance):
    steps = [b[0] - a[0] for a, b in zip(got, got[1:])]
    report(all(s > 0 for s in steps), f"{name}: times rise")
    report(abs(sum(steps) / len(steps) - step) < tolerance, f"{name}: they are those of the pictures", sum(steps) / len(steps))


def check_vlc(path):
    if not shutil.which("cvlc"):
        skip("VLC", "not installed")
        return
    folder = tempfile.mkdtemp(prefix="nvrd-test-")
    subprocess.run(["chmod", "777", folder], check=True)
    subprocess.run(["chmod", "-R", "a+rX", str(path.parents[4])], check=True)
    words = ["cvlc", "--intf", "dummy", "--no-audio", "--sout",
             f"#transcode{{vcodec=mp2v,vb=800}}:std{{access=file,mux=ts,dst={folder}/out.ts}}", str(path), "vlc://quit"]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "nobody", "--", "env", f"HOME={folder}", *words]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    out = subprocess.run(["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0",
                          f"{folder}/out.ts"], capture_output=True, text=True).stdout.split()
    report(out and int(out[0].split(",")[0]) >= 20, "VLC plays the recording", (done.stderr[-500:], out))
    shutil.rmtree(folder, ignore_errors=True)


def main():
    server = Server()
    port = free_port()
    ffmpeg = spawn(["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10", "-q:v", "8",
                    "-f", "mpjpeg", "-content_type", "multipart/x-mixed-replace;boundary=ffmpeg", "-listen", "1",
                    f"http://127.0.0.1:{port}/x"], stderr=subprocess.DEVNULL)
    single = f"{int(INTERVAL * 1000)}ms"
    nvrd = Nvrd({
        "esp32": {"source": f'"{server.url("/esp32.jpg")}"', "interval": single},
        "slow": {"source": f'"{server.url("/slow.jpg")}"', "interval": single},
        "busy": {"source": f'"{server.url("/busy.jpg")}"', "interval": single},
        "digest": {"source": f'"{server.url("/digest.jpg", "anna:secret@")}"', "interval": single},
        "wrong": {"source": f'"{server.url("/digest.jpg", "anna:wrong@")}"', "interval": single},
        "stream": {"source": f'"{server.url("/stream")}"'},
        "ffmpeg": {"source": f'"http://127.0.0.1:{port}/x"'},
    }, segment="1h")

    def count(camera, kind="frames_total", label=',kind="video"'):
        return nvrd.metric(f'nvrd_camera_{kind}{{camera="{camera}"{label}}}')

    report(wait_for(lambda: count("esp32") >= 40 and count("stream") >= 60 and count("slow") >= 6 and count("digest") >= 20
                    and count("busy") >= 20, 60 + 60 * INTERVAL), "pictures of all kinds arrive", nvrd.log()[-2000:])
    report(wait_for(lambda: count("ffmpeg") >= 20, 20), "ffmpeg's mpjpeg arrives too")
    sent = server.state["asked"]["/esp32.jpg"]
    dropped = count("esp32", "dropped_frames_total", "")
    report(abs(dropped - sent // 5) <= 1, "h2: every fifth is truncated, counted and left out", (sent, dropped))
    report(max(server.state["most"].values()) <= 2 and server.state["most"]["/slow.jpg"] == 1, "h3: never two requests at once",
           server.state["most"])
    report(nvrd.metric('nvrd_camera_connects_total{camera="busy"}') == 1, "h3: a 503 is a beat that is skipped")
    report(nvrd.metric('nvrd_camera_failures_total{camera="wrong",reason="unauthorized"}') == 1, "a wrong password is said")
    report("secret" not in nvrd.log(), "no password is in the log")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    end(ffmpeg)

    hashes = [hashlib.md5(p).hexdigest() for p in server.state["pictures"]]
    for name, step, tolerance in (("esp32", INTERVAL * 5 / 4, 0.02), ("slow", max(0.8, INTERVAL), 0.1), ("digest", INTERVAL, 0.02), ("stream", 0.1, 0.02)):
        files = nvrd.files(name)
        if not report(len(files) == 1, f"{name}: one file", files):
            continue
        got = frames(files[0])
        report(len(got) >= 5 and all(h in hashes for _, h in got), f"{name}: every picture is one of the camera's", len(got))
        check_times(name, got, step, tolerance)
        report(not media.decode_messages(files[0]), f"{name}: decodes without a message", media.decode_messages(files[0]))
    order = [hashes.index(h) for _, h in frames(nvrd.files("esp32")[0])]
    report(all(i % 5 != 4 for i in order), "h2: the truncated ones are not there", order)
    check_vlc(nvrd.files("esp32")[0])
    finish()


main()
