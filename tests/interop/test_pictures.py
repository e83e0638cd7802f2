#!/usr/bin/env python3
"""Pictures: snapshot.jpg, live.mjpeg and those of recordings are the right ones, and made once however many ask."""
import datetime
import email.utils
import http.client
import http.server
import random
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import footage
import media
from daemon import Nvrd, finish, report, wait_for
from footage import FRAME_US, GROUP

MADE = 'nvrd_pictures_decoded_total{result="made"}'
FAILED = 'nvrd_pictures_decoded_total{result="failed"}'
SKIPPED = 'nvrd_reader_skipped_frames_total{protocol="mjpeg"}'
USERS = """anna: {password: s3cret, role: admin}
guest: {password: look, role: viewer, cameras: [yard]}"""


class Answer:
    def __init__(self, nvrd, path, **headers):
        request = urllib.request.Request(f"http://{nvrd.http}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                self.status, self.fields, self.body = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            self.status, self.fields, self.body = error.code, error.headers, error.read()

    def us(self):
        return instant(self.fields["Content-Disposition"])


def instant(disposition):
    """The instant in inline; filename="porch 20261120T143000.123Z.jpg"."""
    text = re.fullmatch(r'inline; filename="[a-z/-]+ (\d{8}T\d{6}(?:\.\d+)?)Z\.jpg"', disposition)[1]
    date, _, fraction = text.partition(".")
    seconds = datetime.datetime.strptime(date + "+0000", "%Y%m%dT%H%M%S%z").timestamp()
    return int(seconds) * 1000000 + int((fraction + "000000")[:6])


def size(jpeg):
    """What ffprobe says of its size."""
    out = subprocess.run(["ffprobe", "-v", "error", "-f", "image2pipe", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-i", "-"],
                         input=jpeg, stdout=subprocess.PIPE, check=True).stdout
    codec, width, height = out.decode().strip().split(",")[:3]
    return (int(width), int(height)) if codec == "mjpeg" else codec


def pixels(data, form, *options):
    """Small pictures, three bytes for each of 80x45 pixels."""
    words = ["ffmpeg", "-nostdin", "-v", "error", *options, *form, "-vf", "scale=80:45:flags=area,format=rgb24", "-f", "rawvideo", "-vsync", "0", "-"]
    raw = subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout
    return [raw[i:i + 80 * 45 * 3] for i in range(0, len(raw), 80 * 45 * 3)]


def nearest(jpeg, keyframes):
    """Which of them it shows, and how far off it is, per byte."""
    shown = pixels(jpeg, ["-f", "mjpeg", "-i", "pipe:0"])[0]
    far, best = min((sum(abs(a - b) for a, b in zip(shown, k)) / len(k), i) for i, k in enumerate(keyframes))
    return best, far


# --- the clock in the test camera's picture ---

GLYPHS = {"0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e", "4": "02060a121f0202", "5": "1f101e0101110e",
          "6": "0608101e11110e", "7": "1f010204080808", "8": "0e11110e11110e", "9": "0e11110f01020c", ":": "000c0c000c0c00", ".": "00000000000c0c"}


def clock(jpeg):
    """HH:MM:SS.d of server/media/test_source_picture.c, as seconds of the day."""
    grey = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "mjpeg", "-i", "pipe:0", "-pix_fmt", "gray", "-f", "rawvideo", "-"],
                          input=jpeg, stdout=subprocess.PIPE, check=True).stdout
    text = ""
    for i in range(10):
        rows = bytes(sum((grey[(256 + 4 * row + 2) * 640 + 16 + 24 * i + 4 * column + 2] > 128) << (4 - column) for column in range(5)) for row in range(7))
        text += next((c for c, glyph in GLYPHS.items() if bytes.fromhex(glyph) == rows), "?")
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def shows(answer):
    """Whether the clock in the picture is the instant that its name says."""
    return abs(clock(answer.body) - answer.us() / 1000000 % 86400) < 0.11


# --- live ---

def check_snapshot(nvrd):
    answer = Answer(nvrd, "/live/porch/snapshot.jpg")
    report(answer.status == 200 and answer.fields["Content-Type"] == "image/jpeg" and size(answer.body) == (640, 360), "snapshot.jpg is a JPEG as large as the camera's",
           (answer.status, answer.fields))
    now = time.time() * 1e6
    report(shows(answer) and -100000 < now - answer.us() < 6000000, "of a keyframe of now, and its name says of which instant", (clock(answer.body), answer.us(), now))
    modified = email.utils.parsedate_to_datetime(answer.fields["Last-Modified"]).timestamp()
    report(modified == answer.us() // 1000000, "Last-Modified is that instant", answer.fields)
    sizes = {width: size(Answer(nvrd, f"/live/porch/snapshot.jpg?width={width}").body) for width in (16, 100, 320, 321, 640, 5000)}
    report(sizes == {16: (16, 8), 100: (100, 56), 320: (320, 180), 321: (320, 180), 640: (640, 360), 5000: (640, 360)}, "?width= is kept, and the proportions", sizes)
    refused = {text: Answer(nvrd, f"/live/porch/snapshot.jpg?width={text}").status for text in ("15", "0", "", "x", "-5", "999999", "320x")}
    report(set(refused.values()) == {400}, "no width: 400", refused)
    report(Answer(nvrd, "/live/porch/sub/snapshot.jpg").status == 200, "a substream has one, pulled for it")
    report(Answer(nvrd, "/live/away/snapshot.jpg").status == 503 and Answer(nvrd, "/live/none/snapshot.jpg").status == 404, "a camera that is away: 503; none: 404")
    head = subprocess.run(["curl", "-sI", f"http://{nvrd.http}/live/porch/snapshot.jpg"], check=True, stdout=subprocess.PIPE, text=True).stdout
    report("200 OK" in head and "image/jpeg" in head, "HEAD tells the same", head)


def check_once(nvrd):
    """So many requests at once, and one after the other: one decode for each keyframe among the answers."""
    before, seen, wrong = nvrd.metric(MADE), {}, []
    for label, threads, each in (("100 requests at once", 100, 1), ("1600 one after the other", 8, 200)):

        def ask():
            connection = http.client.HTTPConnection(nvrd.http, timeout=30)
            for _ in range(each):
                connection.request("GET", "/live/porch/snapshot.jpg?width=480")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or seen.setdefault(answer.headers["ETag"], body) != body:
                    wrong.append(answer.status)
            connection.close()
        run = [threading.Thread(target=ask) for _ in range(threads)]
        start = time.monotonic()
        for thread in run:
            thread.start()
        for thread in run:
            thread.join()
        print(f"# {label}: {threads * each / (time.monotonic() - start):.0f} a second, {len(seen)} keyframes")
        report(not wrong and nvrd.metric(MADE) - before == len(seen), f"{label} cost one decode for each keyframe", (wrong, nvrd.metric(MADE) - before, len(seen)))
    answer = Answer(nvrd, "/live/porch/snapshot.jpg?width=480", If_None_Match="*")
    report(answer.status == 304 and not answer.body, "who has it already gets 304", answer.status)


class Viewer(threading.Thread):
    """Reads live.mjpeg by its lengths; the pictures are (instant, JPEG)."""

    def __init__(self, nvrd, path):
        super().__init__(daemon=True)
        self.answer = urllib.request.urlopen(f"http://{nvrd.http}{path}", timeout=30)
        self.type = self.answer.headers["Content-Type"]
        self.pictures, self.wrong, self.end = [], [], False
        self.start()

    def run(self):
        boundary = b"--" + self.type.partition("boundary=")[2].encode() + b"\r\n"
        try:
            while not self.end:
                if self.answer.readline() != boundary:
                    self.wrong.append("boundary")
                    break
                fields = {}
                while (line := self.answer.readline().strip()):
                    name, _, value = line.decode().partition(": ")
                    fields[name] = value
                self.pictures.append((instant(fields["Content-Disposition"]), self.answer.read(int(fields["Content-Length"]))))
                if self.answer.readline() != b"\r\n" or fields["Content-Type"] != "image/jpeg":
                    self.wrong.append(fields)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            if not self.end:
                self.wrong.append(error)

    def stop(self):
        self.end = True
        self.join(20)
        self.answer.close()


def check_mjpeg(nvrd):
    frames = 'nvrd_camera_frames_total{camera="porch",kind="video"}'
    before = nvrd.metric(MADE)
    viewers = [Viewer(nvrd, "/live/porch/live.mjpeg?width=638") for _ in range(5)]  # which nobody has asked for before
    report(wait_for(lambda: all(len(v.pictures) >= 3 for v in viewers), 30), "live.mjpeg: five viewers see pictures", [len(v.pictures) for v in viewers])
    for viewer in viewers:
        viewer.stop()
    report(viewers[0].type.startswith("multipart/x-mixed-replace; boundary=") and not any(v.wrong for v in viewers), "in parts that say how long they are", [v.wrong for v in viewers])
    shown = {us: jpeg for v in viewers for us, jpeg in v.pictures}
    report(nvrd.metric(MADE) - before in (len(shown), len(shown) + 1), "each keyframe is decoded once for all of them", (nvrd.metric(MADE) - before, sorted(shown)))
    report(all(0 < b - a < 2500000 for a, b in zip(sorted(shown), sorted(shown)[1:])), "and every keyframe is there", sorted(shown))
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "mpjpeg", "-i", f"http://{nvrd.http}/live/porch/live.mjpeg?width=160", "-frames:v", "2",
                           "-f", "framemd5", "-"], capture_output=True, text=True, timeout=60)
    report(done.stdout.count("\n0,") == 2 and "#dimensions 0: 160x90" in done.stdout and not done.stderr, "ffmpeg sees them, as wide as it asked for", done.stdout + done.stderr)
    report(wait_for(lambda: nvrd.metric('nvrd_sessions{protocol="mjpeg"}') == 0, 10), "viewers who left have left")
    before, now = nvrd.metric(MADE), nvrd.metric(frames)
    wait_for(lambda: nvrd.metric(frames) > now + 75, 30)
    report(nvrd.metric(MADE) == before and nvrd.metric(FAILED) == 0, "nothing is decoded while nobody looks", nvrd.metric(MADE) - before)


# --- cameras that send JPEGs ---

class JpegCamera(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pictures, fps):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def do_GET(self):
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n")
                try:
                    for i in range(100000):
                        picture = pictures[i % len(pictures)]
                        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture))
                        time.sleep(1 / fps)
                except OSError:
                    pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


def jpegs(picture_size, quality, n=20):
    raw = media.run("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size={picture_size}:rate=10,noise=alls=40:allf=t", "-frames:v", str(n),
                    "-c:v", "mjpeg", "-q:v", str(quality), "-huffman", "default", "-f", "image2pipe", "-")
    return [b"\xff\xd8\xff" + part for part in raw.split(b"\xff\xd8\xff")[1:]]


def check_jpeg_cameras():
    small, large = jpegs("320x240", 8), jpegs("1280x720", 2)
    cameras = {"small": JpegCamera(small, 10), "large": JpegCamera(large, 10)}
    turned = {"source": f'"{JpegCamera(small, 5).url}"', "rotate": "90", "record": "off"}
    nvrd = Nvrd({**{name: {"source": f'"{camera.url}"'} for name, camera in cameras.items()}, "turned": turned}, segment="1h")
    wait_for(lambda: all(Answer(nvrd, f"/live/{name}/snapshot.jpg").status == 200 for name in ("small", "large")), 20)
    before = nvrd.metric(MADE)
    report(Answer(nvrd, "/live/small/snapshot.jpg").body in small, "a camera's JPEG is passed through byte by byte")
    viewer = Viewer(nvrd, "/live/small/live.mjpeg")
    wait_for(lambda: len(viewer.pictures) > 25, 20)
    viewer.stop()
    numbers = [small.index(jpeg) if jpeg in small else -1 for _, jpeg in viewer.pictures]
    steps = {(b - a) % len(small) for a, b in zip(numbers, numbers[1:])}
    report(steps == {1} and -1 not in numbers and not viewer.wrong, "live.mjpeg has every picture of it", (numbers, viewer.wrong))
    report(nvrd.metric(MADE) == before, "and none is decoded")
    report(size(Answer(nvrd, "/live/large/snapshot.jpg?width=320").body) == (320, 180), "a smaller one is made")
    report(wait_for(lambda: size(Answer(nvrd, "/live/turned/snapshot.jpg").body) == (240, 320), 10), "one that hangs on its side is turned")

    # a viewer who does not read
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    slow.connect(("127.0.0.1", int(nvrd.http.rpartition(":")[2])))
    slow.sendall(b"GET /live/large/live.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    report(wait_for(lambda: nvrd.metric(SKIPPED) > 5, 30), "who does not read misses pictures")
    skipped = nvrd.metric(SKIPPED)
    wait_for(lambda: nvrd.metric(SKIPPED) > skipped + 50, 30)
    behind, data = [time.time() * 1e6], b""
    slow.settimeout(20)
    while behind[-1] > 1500000 and len(behind) < 40:
        data = data[-200:] + slow.recv(1 << 20)
        behind += [time.time() * 1e6 - instant(line.decode()) for line in re.findall(rb"Content-Disposition: ([^\r]*)\r", data)]
        data = data[data.rfind(b"Content-Disposition") + 1:] if b"Content-Disposition" in data else data
    old = len(behind) - 2
    report(behind[-1] <= 1500000 and old <= 14, f"then gets what the kernel had taken and one more, and goes on with the newest, while 50 of {len(large[0]) // 1024} KiB passed", behind)
    slow.close()
    report(wait_for(lambda: nvrd.metric('nvrd_sessions{protocol="mjpeg"}') == 0, 20), "who closes is gone")

    # what was recorded of them
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="small"}') > 8, 20)
    first = footage.rows(nvrd, "small")[0][1]
    answer = Answer(nvrd, f"/recordings/small/{footage.name(first + 1000000)}.jpg")
    report(answer.status == 200 and answer.body in small, "the recordings of a JPEG camera give its own JPEGs", (answer.status, answer.body[:100]))
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])


# --- recordings ---

class Shown:
    """What was recorded: (instant, number in the source) of each frame, of one file after the other; `keyframes` are the source's pixels."""

    def __init__(self, frames, keyframes):
        self.frames, self.keyframes = frames, keyframes
        self.starts = [i for i in range(len(frames)) if i == 0 or frames[i][0] - frames[i - 1][0] > 500000]

    def at(self, us):
        """The frame of the keyframe at or before; None: nothing is recorded then."""
        before = [i for i, (at, _) in enumerate(self.frames) if at <= us]
        if not before or us >= self.frames[before[-1]][0] + FRAME_US and before[-1] + 1 in [*self.starts, len(self.frames)]:
            return None
        return max(i for i in before if self.frames[i][1] % GROUP == 0)


def check_instants(nvrd, shown, label):
    seed = random.randrange(1 << 30)
    pick = random.Random(seed)
    first, last = shown.frames[0][0], shown.frames[-1][0]
    borders = [us + d for i in shown.starts for us in (shown.frames[i][0],) for d in (0, 2, FRAME_US * GROUP - 1, FRAME_US * GROUP + 2)]
    wrong = []
    for us in [pick.randrange(first, last) for _ in range(20)] + borders + [last]:
        answer = Answer(nvrd, f"/recordings/porch/{footage.name(us)}.jpg?width=320")
        expected = shown.at(us)
        if expected is None:
            if answer.status != 404 or b"there is a gap from" not in answer.body:
                wrong.append((us, answer.status, answer.body[:200]))
            continue
        at, number = shown.frames[expected]
        if answer.status != 200 or abs(answer.us() - at) > 1 or size(answer.body) != (320, 180):
            wrong.append((us, answer.status, at, answer.fields.items()))
            continue
        best, off = nearest(answer.body, shown.keyframes)
        if best != number // GROUP or off > 3:
            wrong.append((us, best, number // GROUP, off))
    report(not wrong, f"{label}: 20 random instants and the borders show the keyframe at or before (seed {seed})", wrong)


def keyframes_of(path):
    return pixels(b"", ["-i", str(path)], "-skip_frame", "nokey")


def check_recordings():
    nvrd = Nvrd(segment="4s")
    h264, h265 = footage.source(), media.make("pictures-h265", 30, codec=media.H265, size="640x360", gop=GROUP, bitrate="1M")
    sets = []
    for path, files in ((h264, 3), (h264, 2), (h265, 2)):
        hashes = [p[3] for p in media.packets(path)]
        sets.append((footage.frames(nvrd, footage.record(nvrd, "porch", path, files), hashes), keyframes_of(path)))
    first, second, third = (frames for frames, _ in sets)
    check_instants(nvrd, Shown(first + second, sets[0][1]), "H.264")
    check_instants(nvrd, Shown(third, sets[2][1]), "H.265")

    def text(us):
        return Answer(nvrd, f"/recordings/porch/{footage.name(us)}.jpg").body.decode().strip()
    end, begin = first[-1][0] + FRAME_US, second[0][0]
    told = re.fullmatch(r"nothing is recorded at \S+: there is a gap from (\S+) to (\S+)", text((end + begin) // 2))
    report(told and all(abs(instant(f'inline; filename="x {name}.jpg"') - us) <= 1 for name, us in zip(told.groups(), (end, begin))), "in a gap: 404, from when to when",
           (text((end + begin) // 2), footage.name(end), footage.name(begin)))
    report(": the recordings begin at " in text(first[0][0] - 3600000000), "before all: since when there are any", text(first[0][0] - 3600000000))
    report(": the recordings end at " in text(third[-1][0] + 3600000000), "after all: up to when", text(third[-1][0] + 3600000000))
    report(all(Answer(nvrd, f"/recordings/porch/{name}").status == 404 for name in ("2026.jpg", "20261320T000000Z.jpg", footage.name(end) + ".jpeg", footage.name(end) + ".jpg/")),
           "what is no instant: 404")

    # one for all, and none for who has it
    wanted = f"/recordings/porch/{footage.name(first[40][0])}.jpg?width=240"
    before, answers = nvrd.metric(MADE), []
    run = [threading.Thread(target=lambda: answers.append(Answer(nvrd, wanted))) for _ in range(100)]
    for thread in run:
        thread.start()
    for thread in run:
        thread.join()
    report(nvrd.metric(MADE) - before == 1 and len({a.body for a in answers}) == 1 and {a.status for a in answers} == {200}, "100 requests at once for one of them: one decode",
           (nvrd.metric(MADE) - before, {a.status for a in answers}))
    other = Answer(nvrd, f"/recordings/porch/{footage.name(first[41][0])}.jpg?width=240")
    report(other.body == answers[0].body and nvrd.metric(MADE) - before == 1, "another instant with the same keyframe costs none")
    answer = Answer(nvrd, wanted, If_None_Match=other.fields["ETag"])
    report(answer.status == 304 and not answer.body and answer.fields["Cache-Control"] == "private, max-age=86400", "who has it gets 304, and may keep it for a day",
           (answer.status, answer.fields.items()))
    changed = Answer(nvrd, f"/recordings/porch/{footage.name(third[40][0])}.jpg?width=240", If_None_Match=other.fields["ETag"])
    report(changed.status == 200 and changed.fields["ETag"] != other.fields["ETag"], "another picture has another ETag")
    report(b".jpg" not in nvrd.get("/recordings/porch/"), "they are in no listing")
    kept = nvrd.metric("nvrd_pictures_kept_bytes")
    report(0 < kept <= 32 << 20, "what is kept is counted", kept)
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])


def check_turned():
    """A camera that hangs on its side, live and recorded; the future is not recorded yet."""
    source = media.make("pictures-turned", 30, size="320x240", gop=GROUP, bitrate="500k")
    nvrd = Nvrd({"porch": {"source": f'"av:{source}"', "rotate": "90"}}, segment="1h")
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') >= 4, 30), "a camera on its side")
    live, at = Answer(nvrd, "/live/porch/snapshot.jpg"), footage.rows(nvrd, "porch")[0][1]
    recorded = Answer(nvrd, f"/recordings/porch/{footage.name(at)}.jpg")
    upright = pixels(b"", ["-i", str(source), "-frames:v", "1"])[0]
    turned_back = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "mjpeg", "-i", "pipe:0", "-vf", "transpose=cclock", "-q:v", "2", "-f", "mjpeg", "-"],
                                 input=recorded.body, stdout=subprocess.PIPE, check=True).stdout
    _, off = nearest(turned_back, [upright, bytes(len(upright))])
    report(size(live.body) == size(recorded.body) == (240, 320) and off < 8, "its pictures are turned clockwise, live and recorded", (size(live.body), size(recorded.body), off))
    future = Answer(nvrd, f"/recordings/porch/{footage.name(int(time.time() * 1e6) + 3600000000)}.jpg")
    report(future.status == 404 and b": the recordings end at " in future.body, "what is still to come is not there", (future.status, future.body[:100]))
    viewer = Viewer(nvrd, "/live/porch/live.mjpeg")
    wait_for(lambda: viewer.pictures, 20)
    viewer.end = True
    report(nvrd.stop() == 0, "SIGTERM ends it while somebody looks", nvrd.log()[-2000:])


def check_users():
    nvrd = Nvrd({"porch": {"source": '"test:"'}, "yard": {"source": '"test:"'}}, users=USERS, login=("anna", "s3cret"))
    wait_for(lambda: len(nvrd.files("porch")) and len(nvrd.files("yard")), 20)
    wait_for(lambda: nvrd.get("/live/porch/snapshot.jpg") and nvrd.get("/live/yard/snapshot.jpg"), 20)
    at = footage.name(footage.rows(nvrd, "porch")[0][1] + 1000000)

    def status(who, path):
        words = ["curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", *(["-u", who] if who else []), f"http://{nvrd.http}{path}"]
        return subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout
    for path in ("/live/%s/snapshot.jpg", f"/recordings/%s/{at}.jpg"):
        wait_for(lambda: status("anna:s3cret", path % "porch") == "200", 20)
        seen = [status(who, path % camera) for who, camera in (("", "porch"), ("guest:look", "porch"), ("guest:look", "yard"), ("anna:s3cret", "porch"))]
        report(seen == ["401", "404", "200", "200"], f"{path}: as for all else of the camera", seen)
    report(status("guest:look", "/live/porch/live.mjpeg") == "404", "live.mjpeg likewise")
    nvrd.stop()


def main():
    h265 = media.make("pictures-live-h265", 30, codec=media.H265, size="320x180", gop=GROUP, bitrate="300k")
    nvrd = Nvrd({"porch": {"source": '"test:"', "substream": '"test:"'}, "yard": {"source": f'"av:{h265}"'}, "away": {"source": '"rtsp://127.0.0.1:1/"'}},
                segment="1h", environment={"TZ": "UTC"})
    wait_for(lambda: Answer(nvrd, "/live/porch/snapshot.jpg").status == 200, 20)
    check_snapshot(nvrd)
    report(wait_for(lambda: size(Answer(nvrd, "/live/yard/snapshot.jpg").body) == (320, 180), 20), "H.265 as well")
    check_once(nvrd)
    check_mjpeg(nvrd)
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    check_jpeg_cameras()
    check_recordings()
    check_turned()
    check_users()
    finish()


main()
