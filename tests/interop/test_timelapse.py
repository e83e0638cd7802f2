#!/usr/bin/env python3
"""
Time-lapses of real cameras: keyframes as they were, each shown for 1/fps, in files that play while they are written,
after kill -9 and when they are closed; in the tree, and no footage.
"""
import datetime
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import urllib.error

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for

# open groups: CRA pictures, of which the order is told by 8 bits. 150 pictures apart they need more
H265_OPEN = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "bframes=2:open-gop=1:scenecut=0:log-level=error", "-tag:v", "hvc1"]
JPEG = ["-c:v", "mjpeg", "-strict", "unofficial"]
PICTURES = 8


def decoded(path, *words):
    """The hashes of the pictures that ffmpeg shows, in order."""
    out = media.run("ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v", *words, "-pix_fmt", "yuv420p", "-f", "framemd5", "-").decode()
    return [line.split(",")[5].strip() for line in out.splitlines() if not line.startswith("#")]


def keyframes(path):
    return decoded(path, "-vf", "select=key", "-vsync", "0")


def boxes(path):
    """The types of the boxes at the top."""
    found, data, at = [], path.read_bytes(), 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        found.append(data[at + 4:at + 8].decode())
        at += int.from_bytes(data[at + 8:at + 16], "big") if n == 1 else n
    return found


def check_film(label, path, fps, source, apart):
    """
    Every packet shows for 1/fps and is a picture, of the camera's keyframes those so many apart, more where this machine was
    slow. How many there are, and from which of the camera's to which.
    """
    packets = media.packets(path)
    times = [round(p[0] * fps, 3) for p in packets]
    report(len(packets) >= 2 and times == list(range(len(packets))) and all(p[2] for p in packets), f"{label}: {len(packets)} keyframes, one each 1/{fps} s", packets)
    report(not media.decode_messages(path), f"{label}: it decodes without a message", media.decode_messages(path))
    seen = decoded(path)
    report(len(seen) == len(packets), f"{label}: each packet is shown", (len(seen), len(packets)))
    places = [source.index(picture) if picture in source else None for picture in seen]
    steps = [b - a for a, b in zip(places, places[1:])] if None not in places else [0]
    report(min(steps) == apart, f"{label}: they are the camera's keyframes, {apart} apart, in order", places)
    return len(packets), (places[-1] or 0) - (places[0] or 0)


def check_closed(label, path, fps, n):
    report(boxes(path) == ["ftyp", "mdat", "moov"], f"{label}: it is an ordinary MP4", boxes(path))
    report(abs(media.duration(path) - n / fps) < 0.001, f"{label}: it is {n}/{fps} s long", media.duration(path))


def rows(nvrd, camera):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return database.execute("select path, stream, bytes, (end_us - start_us) / 1e6, state from segments where camera = ? order by path", (camera,)).fetchall()


def films(nvrd, camera):
    return [path for path in nvrd.files(camera) if path.name.startswith("timelapse")]


def check_tree(nvrd, film):
    folder = "/" + str(film.parent.relative_to(nvrd.store)) + "/"
    listing = nvrd.get(folder).decode()
    report('href="./timelapse.mp4"' in listing, "the day's listing has it", listing)
    answer = subprocess.run(["curl", "-sS", "-m", "15", "-X", "PROPFIND", "-H", "Depth: 1", f"http://{nvrd.http}{folder}"], capture_output=True, text=True, check=True).stdout
    report(f"{folder}timelapse.mp4" in answer, "WebDAV lists it", answer)
    report(nvrd.get(folder + film.name) == film.read_bytes(), "HTTP gives it byte for byte")
    try:
        playlist = nvrd.get(folder + "index.m3u8").decode()
        report("timelapse" not in playlist, "the day's playlist is of footage only", playlist)
    except urllib.error.HTTPError as error:
        skip("the day's playlist", f"not served ({error.code})")


def check_vlc(nvrd, film, n):
    """Two IDR pictures of which the slice headers say the same are one picture to it, unless something stands between them."""
    if not shutil.which("cvlc"):
        return skip("VLC", "not installed")
    folder = nvrd.folder / "vlc"
    folder.mkdir()
    folder.chmod(0o777)
    nvrd.folder.chmod(0o755)
    copy, out = folder / "film.mp4", folder / "vlc.ts"
    shutil.copy(film, copy)
    copy.chmod(0o644)
    words = ["cvlc", "--intf", "dummy", "--sout", f"#std{{access=file,mux=ts,dst={out}}}", str(copy), "vlc://quit"]
    if os.getuid() == 0:  # VLC refuses to be root
        words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, env={**os.environ, "HOME": str(folder)})
    seen = decoded(out) if out.exists() and out.stat().st_size else []
    report(len(seen) >= n / 2 and seen == decoded(film)[:len(seen)], f"VLC shows {len(seen)} of {n} pictures", done.stderr[-1000:])


def main():
    h264 = media.make("lapse264", 75, size="640x360", gop=25, bitrate="500k")
    h265 = media.make("lapse265", 75, codec=H265_OPEN, size="640x360", gop=25, audio=False, bitrate="500k")
    jpeg = media.make("lapsejpeg", 75, codec=JPEG, size="320x240", fps=5, audio=False, bitrate="500k")
    camera = Camera(f"h264=file:{h264}", f"slow=file:{h264}", f"h265=file:{h265}:h265silent")
    nvrd = Nvrd({
        "h264": {"source": f'"{camera.url("h264")}"', "timelapse": "{every: 1s, fps: 25}"},
        "slow": {"source": f'"{camera.url("slow")}"', "record": "off", "timelapse": "{every: 2s, fps: 1}"},
        "h265": {"source": f'"{camera.url("h265")}"', "record": "off", "timelapse": "{every: 6s}"},
        "jpeg": {"source": f'"av:{jpeg}"', "record": "off", "timelapse": "{every: 1s, fps: 10}"},
    })

    def written(name):
        return nvrd.metric(f'nvrd_timelapse_pictures_total{{camera="{name}",result="written"}}')

    report(wait_for(lambda: written("h264") >= PICTURES, 30), "a camera makes a time-lapse", nvrd.log()[-2000:])
    first = films(nvrd, "h264")[0]
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")
    report(re.fullmatch(r"\d{4}-\d\d-\d\d", first.parent.name) and first.name == "timelapse.mp4" and abs(int(first.parent.name[8:]) - int(day[8:])) <= 1,
           "in the day's folder, beside the recordings", first)
    copy = nvrd.folder / "open.mp4"
    copy.write_bytes(nvrd.get("/" + str(first.relative_to(nvrd.store))))
    check_film("what is downloaded while it grows", copy, 25, keyframes(h264), 1)

    nvrd.stop(signal.SIGKILL)
    cut, _ = check_film("after kill -9", first, 25, keyframes(h264), 1)
    report("moof" in boxes(first), "it is open")
    nvrd.start()
    report(wait_for(lambda: any(path.endswith("/timelapse.mp4") and state for path, _, _, _, state in rows(nvrd, "h264")), 20), "the next start closes it", rows(nvrd, "h264"))
    check_closed("which", first, 25, cut)
    check_film("closed", first, 25, keyframes(h264), 1)
    report(wait_for(lambda: written("h264") >= PICTURES and written("slow") >= PICTURES and written("h265") >= 4 and written("jpeg") >= PICTURES, 60),
           "all of them go on", nvrd.log()[-2000:])
    report(len(films(nvrd, "h264")) >= 2, "in another file", films(nvrd, "h264"))
    check_tree(nvrd, first)
    report(nvrd.stop() == 0, "SIGTERM ends it with status 0")

    for name, fps, source, apart in (("h264", 25, h264, 1), ("slow", 1, h264, 2), ("h265", 25, h265, 6), ("jpeg", 10, jpeg, 5)):
        film = films(nvrd, name)[-1]
        n, span = check_film(name, film, fps, keyframes(source), apart)
        check_closed(name, film, fps, n)
        path, stream, size, seconds, state = rows(nvrd, name)[-1]
        report((path, stream, size, state) == (str(film.relative_to(nvrd.store)), "timelapse", film.stat().st_size, 1), f"{name}: the catalogue says what it is", rows(nvrd, name)[-1])
        report(abs(seconds - 1 / fps - span * (0.2 if name == "jpeg" else 1)) < 0.5, f"{name}: and of how much time", (seconds, span))
    check_vlc(nvrd, films(nvrd, "slow")[-1], len(media.packets(films(nvrd, "slow")[-1])))
    report(not [path for path in nvrd.files("slow") if path not in films(nvrd, "slow")], "record: off leaves only films", nvrd.files("slow"))
    report({row[1] for row in rows(nvrd, "h264")} == {"main", "timelapse"}, "recordings are there as ever", rows(nvrd, "h264"))
    camera.stop()
    finish()


main()
