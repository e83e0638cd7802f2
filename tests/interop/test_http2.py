#!/usr/bin/env python3
"""HTTP/2 by TLS as curl, h2load, Chromium and the library h2 see it: the same answers, many at once, and what abuse comes to."""
import base64
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request

try:
    import http2_client
except ImportError:
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])  # Debian's own has the library

import llhls
import media
from daemon import HERE, NVRD, Camera, Nvrd, finish, report, skip, wait_for

USERS = "anna: {password: secret, role: admin}\neve: {password: secret, role: viewer}\nkim: {password: '%s', role: viewer}"
BASIC = ("authorization", "Basic YW5uYTpzZWNyZXQ=")
CALM = 11  # ENHANCE_YOUR_CALM (RFC 9113 section 7)
UPLOAD_BYTES = 5_000_000


def curl(nvrd, path, *words, version="--http2", user="anna:secret", port=None):
    """What came, and what curl says of it: version, status."""
    login = ["-u", user] if user else []
    done = subprocess.run(["curl", "-sSk", "-m", "30", version, *login, *map(str, words), "-w", "\n%{stderr}%{http_version} %{http_code}",
                           f"https://{port or nvrd.https}{path}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.stdout[:-1], done.stderr.decode(errors="replace").strip()


def both(nvrd, path, *words, **options):
    """The body and the status, if both versions say the same, in the third attempt at last: what is recorded grows; else None."""
    for _ in range(3):
        two, status = both_once(nvrd, path, *words, **options)
        if status:
            break
    return two, status


def both_once(nvrd, path, *words, **options):
    two, said_two = curl(nvrd, path, *words, **options)
    one, said_one = curl(nvrd, path, *words, version="--http1.1", **options)
    kind_two, _, status_two = said_two.rpartition("\n")[2].partition(" ")
    kind_one, _, status_one = said_one.rpartition("\n")[2].partition(" ")
    same = one == two and status_one == status_two and (kind_one, kind_two) == ("1.1", "2")
    if not same:
        print(f"# {path} {words}: {said_one}, {len(one)} bytes; {said_two}, {len(two)} bytes")
    return (two, int(status_two)) if same else (None, None)


def head_of(nvrd, path, version):
    lines = curl(nvrd, path, "-I", version=version)[0].decode().lower().splitlines()[1:]
    return sorted(line for line in lines if line and not line.startswith(("date:", "connection:")))


def check_same(nvrd, recording):
    day = recording.rpartition("/")[0]
    for path in ("/", "/live/", "/recordings/", "/recordings/demo/", day + "/", day + "/index.m3u8", recording, "/config/nvrd.yaml"):
        body, status = both(nvrd, path)
        report(status == 200 and body, f"GET {path.replace(recording, 'a recording').replace(day, 'a day')}: the same bytes as by HTTP/1.1")
    for path, wanted in (("/nothing", 404), ("/live/nobody/media.m3u8", 404), ("/recordings/demo", 301), (recording + "/", 404)):
        report(both(nvrd, path)[1] == wanted, f"a GET that is answered {wanted}: the same")
    whole = (nvrd.store / recording[1:]).read_bytes()
    for words, wanted, part in ((("-r", "0-0"), 206, whole[:1]), (("-r", "1000-70000"), 206, whole[1000:70001]), (("-r", "-500"), 206, whole[-500:]),
                                (("-r", "9999999999-"), 416, None)):
        body, status = both(nvrd, recording, *words)
        report(status == wanted and (part is None or body == part), f"Range {words[1]}: {wanted}, the same bytes")
    parts = curl(nvrd, recording, "-r", "0-9,100-109")[0]
    report(whole[:10] in parts and whole[100:110] in parts and parts.count(b"Content-Range: bytes ") == 2, "several ranges", parts[:200])
    one, two = (head_of(nvrd, recording, version) for version in ("--http1.1", "--http2"))
    report(one == two and any(line.startswith("etag:") for line in one), "HEAD says the same", (one, two))
    etag = next(line for line in two if line.startswith("etag:")).partition(": ")[2]
    report(both(nvrd, recording, "-H", f"If-None-Match: {etag}")[1] == 304, "and is not sent again to who has it")
    report(curl(nvrd, "/", version="--http1.1")[1] == "1.1 200", "who does not ask for HTTP/2 gets HTTP/1.1")


def check_users(nvrd):
    report(both(nvrd, "/live/", user=None)[1] == 401, "without a password: 401")
    fields = curl(nvrd, "/live/", "-I", user=None)[0].decode()
    report(fields.count("www-authenticate: Digest") == 3 and "www-authenticate: Basic" in fields, "with all challenges", fields)
    report(curl(nvrd, "/live/", "--digest")[1] == "2 200", "digest", )
    report(curl(nvrd, "/live/", "--basic")[1] == "2 200", "basic")
    report(curl(nvrd, "/live/", user="anna:wrong")[1] == "2 401", "a wrong password")
    report(curl(nvrd, "/config/nvrd.yaml", user="eve:secret")[1] == "2 403", "a viewer is no admin")


def check_scrypt(nvrd):
    """Of a password whose check takes a worker's time, many at once."""
    fields = {right: ("authorization", "Basic " + base64.b64encode(f"kim:{password}".encode()).decode()) for right, password in ((True, "secret"), (False, "wrong"))}
    client = http2_client.Client(nvrd.https)
    streams = [client.start("GET", "/live/", [fields[i != 7]]) for i in range(30)]
    for stream in streams:
        stream.done.wait(30)
    report([s.status for s in streams] == [200] * 7 + [401] + [200] * 22, "requests that wait for one password's check are answered, each by its own",
           [s.status for s in streams])
    client.close()


def check_changes(nvrd):
    data, file, back = os.urandom(UPLOAD_BYTES), nvrd.folder / "up", nvrd.folder / "down"
    file.write_bytes(data)
    report(curl(nvrd, "/uploads/demo/a.bin", "-T", file)[1] == "2 201", "PUT")
    report(curl(nvrd, "/uploads/demo/a.bin", "-o", back)[1] == "2 200" and back.read_bytes() == data, "what was put is there")
    report(curl(nvrd, "/uploads/demo/b.bin", "--digest", "-T", file)[1] == "2 201", "PUT of who is asked for the password first")
    report(curl(nvrd, "/uploads/demo/a.bin", "-T", file, "-H", "If-None-Match: *")[1] == "2 412", "PUT that is refused")
    report(curl(nvrd, "/recordings/demo/x.mp4", "-T", file)[1] in ("2 403", "2 405"), "PUT where nothing is put", curl(nvrd, "/recordings/demo/x.mp4", "-T", file)[1])
    for words, wanted in ((("-X", "MKCOL", "/uploads/demo/c"), 201), (("-X", "MOVE", "-H", f"Destination: https://{nvrd.https}/uploads/demo/c/b", "/uploads/demo/b.bin"), 201),
                          (("-X", "COPY", "-H", f"Destination: https://{nvrd.https}/uploads/demo/d", "/uploads/demo/c/b"), 201),
                          (("-X", "PROPFIND", "-H", "Depth: 1", "/uploads/demo/"), 207), (("-X", "OPTIONS", "/uploads/"), 200),
                          (("-X", "DELETE", "/uploads/demo/c"), 204), (("-X", "DELETE", "/uploads/demo/a.bin"), 204), (("-X", "DELETE", "/uploads/demo/d"), 204)):
        said = curl(nvrd, words[-1], *words[:-1])[1]
        report(said == f"2 {wanted}", f"{words[1]}: {wanted}", said)
    report(both(nvrd, "/recordings/", "-X", "PROPFIND", "-H", "Depth: 0", "-d", '<propfind xmlns="DAV:"><allprop/></propfind>')[1] == 207, "PROPFIND with a body: the same")


def check_load(nvrd):
    if not shutil.which("h2load"):
        return skip("h2load", "not installed")
    for path, n in (("/live/demo/media.m3u8", 2000), ("/live/demo/snapshot.jpg", 300), ("/live/demo/index.m3u8", 500)):
        done = subprocess.run(["h2load", "-n", str(n), "-c", "5", "-m", "40", "-H", ": ".join(BASIC), f"https://{nvrd.https}{path}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        report(f"{n} succeeded, 0 failed, 0 errored" in done.stdout and f"status codes: {n} 2xx" in done.stdout, f"h2load: {n} of {path}", done.stdout)


def check_llhls(nvrd):
    """All requests of the strict player by one connection."""
    client, faults = http2_client.Client(nvrd.https, [BASIC]), []
    urllib.request.install_opener(urllib.request.build_opener(http2_client.Handler(client)))
    variants = llhls.check_index(f"https://{nvrd.https}/live/demo/index.m3u8", faults)
    player = llhls.Player(variants[0]["url"], 15, faults, "h2")
    player.play()
    urllib.request.install_opener(urllib.request.build_opener())
    print(f"# {player.counts}")
    report(not faults, "a strict player of LL-HLS finds nothing", "\n".join(faults[:20]))
    report(player.counts["parts"] > 15 and player.counts["blocked"] > 7 and player.counts["hints"] > 15, "it saw parts, hints and blocking reloads", player.counts)
    report(client.protocol == "h2" and len(client.streams) > 60 and not client.ended.is_set(), "all of it by one connection", len(client.streams))
    client.close()


def next_part(client):
    text = wait_for(lambda: "#EXTINF" in (it := client.fetch("GET", "/live/demo/media.m3u8").body.decode()) and it, 10)
    number = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)[1]) + text.count("#EXTINF:")
    return number + 1  # the one after the open one


def check_many(nvrd):
    client = http2_client.Client(nvrd.https, [BASIC])
    number = next_part(client)
    waiting = [client.start("GET", f"/live/demo/media.m3u8?_HLS_msn={number}&_HLS_part=0") for _ in range(90)]
    most = wait_for(lambda: nvrd.metric("nvrd_http2_streams") == 90, 5)
    report(most, "90 requests wait on one connection, and are counted", nvrd.metric("nvrd_http2_streams"))
    report(client.fetch("GET", "/live/").status == 200, "another one is answered meanwhile")
    for stream in waiting:
        stream.done.wait(20)
    report({stream.status for stream in waiting} == {200} and len({bytes(s.body) for s in waiting}) <= 2, "all are answered when there is what they wait for",
           {(s.status, s.error) for s in waiting})
    client.close()


def check_stalled(nvrd):
    file = nvrd.folder / "up"
    curl(nvrd, "/uploads/demo/a.bin", "-T", file)
    client = http2_client.Client(nvrd.https, [BASIC])
    held = [client.start("GET", path, held=True) for path in ("/uploads/demo/a.bin", "/live/demo/live.mp4", "/live/demo/live.mjpeg")]
    wait_for(lambda: len(held[0].body) == 65535, 10)
    other = client.fetch("GET", "/uploads/demo/a.bin")
    report(other.body == file.read_bytes() and other.error == 0, "beside streams that nobody reads a download goes on")
    statuses = [client.fetch("GET", path).status for path in ("/live/demo/snapshot.jpg", "/live/demo/media.m3u8", "/metrics")]
    report(statuses == [200, 200, 200], "and all else", statuses)
    live = client.start("GET", "/live/demo/live.mp4")
    report(wait_for(lambda: live.body.count(b"moof") > 3, 15) and not live.done.is_set(), "an endless body goes on")
    report(len(held[0].body) == 65535 and not held[0].done.is_set(), "what is held has a window's bytes", len(held[0].body))
    client.release(held[0])
    held[0].done.wait(20)
    report(held[0].body == file.read_bytes(), "and goes on when it is read")
    client.reset(live)
    report(wait_for(lambda: nvrd.metric("nvrd_http2_streams") == 2, 5), "what is taken back ends", nvrd.metric("nvrd_http2_streams"))
    client.close()
    report(wait_for(lambda: nvrd.metric("nvrd_http2_streams") == 0, 5), "and so do all when the connection goes", nvrd.metric("nvrd_http2_streams"))


def check_uploads_at_once(nvrd):
    client = http2_client.Client(nvrd.https, [BASIC])
    bodies, streams = [os.urandom(700_000) for _ in range(6)], [None] * 6

    def put(i):
        streams[i] = client.fetch("PUT", f"/uploads/other/{i}.bin", body=bodies[i])

    threads = [threading.Thread(target=put, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    report([s.status for s in streams] == [201] * 6, "six uploads by one connection", [(s.status, s.error) for s in streams])
    same = [client.fetch("GET", f"/uploads/other/{i}.bin").body == bodies[i] for i in range(6)]
    report(all(same), "each has its bytes", same)
    client.close()


# --- abuse ---


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Raw:
    """Frames of one's own making, whose answers are not read before the end."""

    def __init__(self, nvrd):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        host, _, port = nvrd.https.rpartition(":")
        self.socket = context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname="localhost")
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))

    def send(self, frames, times):
        """How often they could be sent before the server had enough."""
        for i in range(times):
            try:
                self.socket.sendall(frames(i) if callable(frames) else frames)
            except OSError:
                return i
        return times

    def end(self):
        """Reads until the server ends it. Returns the error of its farewell, or "nothing"; None: it did not end."""
        data = b""
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    break
                data += more
        except TimeoutError:
            return None
        except OSError:
            pass
        while len(data) >= 9:
            n = int.from_bytes(data[:3], "big")
            if data[3] == 7:
                return int.from_bytes(data[13:17], "big")
            data = data[9 + n:]
        return "nothing"


def rss_mb(nvrd):
    with open(f"/proc/{nvrd.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


def is_calmed(nvrd, raw, times):
    """Whether the server has had enough of resets, so many times by now; the kernel may drop its farewell together with what was sent after it was."""
    return raw.end() in (CALM, "nothing") and wait_for(lambda: nvrd.metric('nvrd_http2_refused_total{reason="resets"}') == times, 10)


def check_abuse(nvrd):
    # by indexes of HPACK's table and literals (RFC 7541): GET, https, a body without end, localhost
    path = b"/live/demo/live.mp4"
    head = b"\x82\x87\x04" + bytes([len(path)]) + path + b"\x01\x09localhost" + b"\x0f\x08" + bytes([len(BASIC[1])]) + BASIC[1].encode()
    before = rss_mb(nvrd)
    raw = Raw(nvrd)
    raw.send(lambda i: frame(1, 5, 2 * i + 1, head) + frame(3, 0, 2 * i + 1, struct.pack(">I", 8)), 5000)
    report(is_calmed(nvrd, raw, 1), "who takes back his requests quickly is asked to calm down, which is counted")
    for name, frames in (("PING", frame(6, 0, 0, bytes(8)) * 100), ("SETTINGS", frame(4, 0, 0) * 100)):
        raw = Raw(nvrd)
        sent = raw.send(frames, 20000)
        report(sent < 20000, f"a flood of {name} ends the connection", sent)
    raw = Raw(nvrd)
    raw.send(frame(1, 1, 1, head) + frame(9, 0, 1, b"\x82") * 50, 1)
    report(raw.end() is not None, "a head that does not end, too")
    raw = Raw(nvrd)
    raw.send(lambda i: frame(1, 5, 2 * i + 1, head) + frame(8, 0, 2 * i + 1, b"\x7f\xff\xff\xff"), 3000)
    report(is_calmed(nvrd, raw, 2), "who has his streams reset, by windows that are too large, is asked to calm down, too")
    raw = Raw(nvrd)  # knows of no limit yet, as long as it has not said so
    raw.send(lambda i: frame(1, 5, 2 * i + 1, head), 300)
    report(wait_for(lambda: nvrd.metric("nvrd_http2_streams") == 100, 10), "of 300 streams 100 are served", nvrd.metric("nvrd_http2_streams"))
    raw.send(frame(4, 1, 0) + frame(1, 5, 2001, head), 1)
    report(raw.end() is not None, "who knows the limit and opens more is gone")
    report(wait_for(lambda: nvrd.metric("nvrd_http2_streams") == 0, 10), "nothing is left of it", nvrd.metric("nvrd_http2_streams"))
    print(f"# resident: {before:.0f} MiB, then {rss_mb(nvrd):.0f}")
    report(curl(nvrd, "/live/")[1] == "2 200", "others are served")


def check_page(nvrd):
    if not shutil.which("chromium") or not shutil.which("node"):
        return skip("the page", "chromium or node is not installed")
    done = subprocess.run(["node", str(HERE / "page.mjs"), f"https://anna:secret@{nvrd.https}/"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    if report(done.returncode == 0, "Chromium plays the page", done.stderr[-2000:]):
        seen = json.loads(done.stdout)
        report(seen["protocols"] == ["h2"], "by HTTP/2 alone", seen["protocols"])
        report(not seen["messages"], "without a complaint", seen["messages"])


def main():
    kept = subprocess.run([NVRD, "--hash-password", "kim", "--scrypt"], input="secret\n", capture_output=True, text=True, check=True).stdout.strip()
    # pictures that come as they should however busy the machine is
    camera = Camera(f"main=file:{media.make('small', 120, size='640x360', bitrate='500k')}")
    cameras = {"demo": {"source": f'"{camera.url("main")}"', "record": "continuous"}, "other": {"source": '"test:"', "record": "off"}}
    nvrd = Nvrd(cameras, users=USERS % kept, https=True, segment="10s", login=("anna", "secret"))
    wait_for(lambda: nvrd.metric('nvrd_camera_state{camera="demo",state="playing"}') == 1, 20)
    wait_for(lambda: len(nvrd.files("demo")) > 1, 30, "a closed recording")
    recording = "/" + str(nvrd.files("demo")[0].relative_to(nvrd.store))
    wait_for(lambda: any(line.startswith("cache-control: private, max-age") for line in head_of(nvrd, recording, "--http2")), 10, "its row")
    check_same(nvrd, recording)
    check_users(nvrd)
    check_scrypt(nvrd)
    check_changes(nvrd)
    check_load(nvrd)
    check_llhls(nvrd)
    check_many(nvrd)
    check_stalled(nvrd)
    check_uploads_at_once(nvrd)
    check_abuse(nvrd)
    check_page(nvrd)
    client = http2_client.Client(nvrd.https, [BASIC])
    client.start("GET", f"/live/demo/media.m3u8?_HLS_msn={next_part(client)}")  # is waited for; nothing is on its way
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    client.ended.wait(10)
    report(client.goaway == 0, "and the clients are told so", (client.goaway, client.failure))
    camera.stop()
    finish()


main()
