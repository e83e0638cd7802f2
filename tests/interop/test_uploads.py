#!/usr/bin/env python3
"""Files dropped into uploads/ become recordings, each exactly once; what is none stays as it is.

Parts may be named: forms, times, writers, strangers, kills.
"""
import concurrent.futures
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse

import disk
import media
from daemon import Nvrd, finish, report, wait_for

GATE = {"gate": {"source": '"upload:"'}}
DEBUG = "log:\n  level: debug"
ZONE = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}
SECONDS = 4
PICTURES = SECONDS * 25
TOLERANCE = 0.0001  # of a sample's time
ROUNDED = 0.0011    # where the container rounds the sound's to milliseconds
B_FRAMES = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "scenecut=0:b-adapt=0"]


def start():
    nvrd = Nvrd(GATE, extra=DEBUG, environment=ZONE)
    wait_for((nvrd.store / "uploads" / "gate").is_dir, 10, "the camera's folder")
    return nvrd


def clip(codec=None):
    return media.make("upload", SECONDS, codec=codec, size="320x240", gop=25, bitrate="300k")


def remux(source, name, *words):
    """The same in another container, beside the clips."""
    path = media.CACHE / f"{source.stem}-{name}"
    if not path.exists():
        part = media.CACHE / f"part-{os.getpid()}-{name}"
        media.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(source), *(words or ("-c", "copy")), str(part))
        part.rename(path)
    return path


def folder(nvrd, camera="gate"):
    return nvrd.store / "uploads" / camera


def drop(nvrd, source, name, camera="gate"):
    shutil.copyfile(source, folder(nvrd, camera) / name)
    return folder(nvrd, camera) / name


def count(nvrd, result, camera="gate"):
    return nvrd.metric(f'nvrd_uploads_total{{camera="{camera}",result="{result}"}}')


def wait_gone(path, seconds=40):
    return wait_for(lambda: not path.exists(), seconds, f"{path.name} to be taken")


def is_kept(nvrd, name, why=""):
    """Whether the log says that this upload stays."""
    return wait_for(lambda: f"upload {name}: stays as a file: {why}" in nvrd.log(), 20, f"{name} to be kept")


def shown(path, kind):
    """When the packets of a track are shown, in the order of the file."""
    out = media.run("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time,dts_time", "-of", "json", str(path))
    return [float(p.get("pts_time", p.get("dts_time"))) for p in json.loads(out)["packets"]]


def steps(times):
    return [b - a for a, b in zip(times, times[1:])]


def differs(recorded, source):
    """What the tracks of two files do not have in common: numbers of packets and their distances in time."""
    wrong = []
    for kind in ("v:0", "a:0"):
        a, b = (sorted(shown(path, kind)) for path in (recorded, source))
        if len(a) != len(b) or not a:
            wrong.append(f"{kind}: {len(a)} packets of {len(b)}")
        elif any(abs(x - y) > (ROUNDED if kind == "a:0" and source.suffix in (".mkv", ".flv") else TOLERANCE) for x, y in zip(steps(a), steps(b))):
            wrong.append(f"{kind}: other distances: {steps(a)[:5]} {steps(b)[:5]}")
    starts = [[min(shown(path, kind)) for kind in ("v:0", "a:0")] for path in (recorded, source)]
    if abs((starts[0][0] - starts[0][1]) - (starts[1][0] - starts[1][1])) > 0.001:
        wrong.append(f"sound and picture are apart: {starts}")
    return wrong


# --- forms ---

def check_form(nvrd, label, source, stamp):
    before = set(nvrd.files("gate"))
    gone = wait_gone(drop(nvrd, source, f"RLC_00_{stamp}{source.suffix}"))
    made = set(nvrd.files("gate")) - before
    if not report(gone and len(made) == 1, f"{label}: one recording", nvrd.log()[-1500:]):
        return
    path = made.pop()
    wrong = differs(path, source)
    report(not wrong, f"{label}: every packet, at its time", wrong)
    complaint = re.sub("Guessed Channel Layout.*\n", "", media.decode_messages(path))
    report(not complaint, f"{label}: ffmpeg decodes it without a word", complaint)
    seen = disk.probe(path)
    report(seen.table == seen.frames == PICTURES, f"{label}: it has its sample table", seen)


def check_forms():
    h264, h265, ordered = clip(), clip(media.H265), clip(B_FRAMES)
    mjpeg = remux(h264, "mjpeg.avi", "-c:v", "mjpeg", "-c:a", "pcm_mulaw", "-ar", "8000")
    nvrd = start()
    for i, (label, source) in enumerate((
            ("H.264 and AAC in MP4", h264), ("H.265 in MP4", h265), ("B-frames in MP4", ordered),
            ("B-frames in Matroska", remux(ordered, "b.mkv")), ("B-frames in MPEG-TS", remux(ordered, "b.ts")),
            ("MPEG-TS", remux(h264, "h264.ts")), ("H.265 in MPEG-TS", remux(h265, "h265.ts")), ("FLV", remux(h264, "h264.flv")),
            ("fragmented MP4", remux(h264, "fragments.mp4", "-c", "copy", "-movflags", "frag_keyframe+empty_moov")),
            ("Motion JPEG and G.711 in AVI", mjpeg))):
        check_form(nvrd, label, source, f"202411201430{i:02}")
    first = nvrd.files("gate")[0]
    report([p[3] for p in media.packets(first)] == [p[3] for p in media.packets(h264)], "the pictures are the upload's own bytes")
    listing = nvrd.get("/recordings/gate/2024-11-20/").decode()
    report(urllib.parse.quote(first.name) in listing or first.name in listing, "the listing shows it", listing)
    words = ["curl", "-sS", "-X", "PROPFIND", "-H", "Depth: 1", f"http://{nvrd.http}/recordings/gate/2024-11-20/"]
    answer = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30).stdout
    report(answer.count("<D:getcontentlength>") + answer.count(":getcontentlength>") >= len(nvrd.files("gate")), "WebDAV lists them", answer[:2000])
    row = disk.rows(nvrd.store)[str(first.relative_to(nvrd.store))]
    wanted = datetime.datetime(2024, 11, 20, 13, 30, tzinfo=datetime.timezone.utc).timestamp()
    report(row.start_us == wanted * 1e6 and row.bytes == first.stat().st_size and abs(row.end_us - row.start_us - SECONDS * 1e6) < 50000,
           "the catalogue has its start, its end and its bytes", row)
    before = nvrd.files("gate")
    report(wait_gone(drop(nvrd, h264, "RLC_00_20241120143000.mp4")) and wait_for(lambda: count(nvrd, "known") == 1, 5) and nvrd.files("gate") == before,
           "the same file again makes no second recording", nvrd.log()[-1000:])
    report(wait_gone(drop(nvrd, h265, "RLC_00_20241120143000.mp4")) and first.with_name(first.stem + "_2.mp4") in nvrd.files("gate"),
           "another one of the same second is named _2", nvrd.files("gate"))
    paths = {str(path.relative_to(nvrd.store)) for path in nvrd.files("gate")}
    report(nvrd.stop() == 0 and set(disk.rows(nvrd.store)) == paths, "the catalogue has all of them")
    nvrd.start()
    report(wait_for(lambda: "looked: 0 files" in nvrd.log(), 20) and "recovery" not in nvrd.log(), "recovery finds nothing to put right", nvrd.log()[-1500:])
    nvrd.stop()


# --- times ---

def check_times():
    h264 = clip()
    said = remux(h264, "said.mp4", "-c", "copy", "-metadata", "creation_time=2024-07-01T10:20:30.000000Z")
    unset = remux(h264, "unset.mp4", "-c", "copy", "-metadata", "creation_time=2000-01-01T00:00:07.000000Z")
    nvrd = start()
    changed = nvrd.folder / "clip.mp4"
    shutil.copyfile(h264, changed)
    os.utime(changed, (1720000000, 1720000000))  # 2024-07-03T09:46:40Z
    drop(nvrd, said, "20241120143000.mp4")
    drop(nvrd, unset, "20241120_143001.mp4")
    drop(nvrd, h264, "20241120T143002Z.mp4")
    changed.rename(folder(nvrd) / changed.name)
    wanted = ["2024-07-01/12-20-30+0200.mp4", "2024-07-03/11-46-40+0200.mp4", "2024-11-20/14-30-01+0100.mp4", "2024-11-20/15-30-02+0100.mp4"]
    made = lambda: [str(path.relative_to(nvrd.store / "recordings" / "gate")) for path in nvrd.files("gate")]
    report(wait_for(lambda: made() == wanted, 20), "time from the container, the name in spite of a senseless container, UTC, the last change", made())
    nvrd.stop()


# --- those who write ---

def check_writers():
    h264 = clip()
    data = h264.read_bytes()
    nvrd = start()
    report((folder(nvrd).stat().st_mode & 0o777) == ((nvrd.store / "recordings").stat().st_mode & 0o777), "the camera's folder is there")
    nvrd.stop()
    slow = open(folder(nvrd) / "20241120143000.mp4", "wb")
    slow.write(data[:len(data) // 2])
    slow.flush()
    drop(nvrd, h264, "20241120143100.mp4")
    nvrd.start()
    report(wait_gone(folder(nvrd) / "20241120143100.mp4"), "what was there before the start is taken")
    report(wait_for(lambda: nvrd.log().count("idle -> converting") >= 2 and nvrd.log().rstrip().endswith("-> idle"), 20), "it has looked at the other one")
    report(len(nvrd.files("gate")) == 1 and os.path.getsize(slow.name) == len(data) // 2 and not count(nvrd, "kept"), "a file that is still written is not touched")
    slow.write(data[len(data) // 2:])
    slow.close()
    report(wait_gone(folder(nvrd) / "20241120143000.mp4", 4), "once it is closed, at once it is taken", nvrd.log()[-1000:])
    moved = nvrd.folder / "20241120143200.mp4"
    shutil.copyfile(h264, moved)
    moved.rename(folder(nvrd) / moved.name)
    report(wait_gone(folder(nvrd) / moved.name, 4), "so is what is moved in")
    deep = folder(nvrd) / "2024" / "11"
    deep.mkdir(parents=True)
    shutil.copyfile(h264, deep / "20241120143300.mp4")
    report(wait_gone(deep / "20241120143300.mp4"), "and what comes in folders of its own")
    (folder(nvrd) / ".20241120143400.mp4").write_bytes(data)
    torn = folder(nvrd) / "20241120143500.mp4"
    torn.write_bytes(data[:len(data) - 20000])
    report(is_kept(nvrd, torn.name), "a file without its end stays", nvrd.log()[-1000:])
    with open(torn, "ab") as rest:
        rest.write(data[len(data) - 20000:])
    report(wait_gone(torn, 4), "and is taken when it has one")
    report((folder(nvrd) / ".20241120143400.mp4").exists(), "hidden files are left alone")
    report(all(not differs(path, h264) for path in nvrd.files("gate")) and len(nvrd.files("gate")) == 5, "all of them are whole", nvrd.files("gate"))
    nvrd.configure({**GATE, "yard": {"source": '"test:"'}})
    nvrd.reload()
    report(wait_for(folder(nvrd, "yard").is_dir, 10), "a camera that is added gets its folder")
    report(wait_gone(drop(nvrd, h264, "20241120143000.mp4", "yard")), "a camera that records takes uploads as well")
    report(wait_for(lambda: len(nvrd.files("yard")) == 2, 10), "beside what it records", nvrd.files("yard"))
    report(not nvrd.metric('nvrd_recorder_gap_seconds{camera="gate"}'), "nothing is missing of a camera that nobody pulls")
    nvrd.stop()


# --- strangers ---

def check_strangers():
    h264 = clip()
    nvrd = start()
    secret = nvrd.folder / "secret.mp4"
    shutil.copyfile(h264, secret)
    beside = folder(nvrd) / ".beside.ts"
    shutil.copyfile(remux(h264, "h264.ts"), beside)
    strangers = {
        "text.mp4": b"no picture at all\n" * 100,
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{beside}\n#EXTINF:4,\n{beside.name}\n#EXT-X-ENDLIST\n".encode(),
        "list.ffconcat": f"ffconcat version 1.0\nfile '{beside.name}'\nfile '{secret}'\n".encode(),
        "call.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "manifest.mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>'.encode(),
        "still.jpg": media.run("ffmpeg", "-v", "error", "-i", str(h264), "-frames:v", "1", "-f", "image2pipe", "-c:v", "mjpeg", "-"),
        "sound.m4a": remux(h264, "sound.m4a", "-vn", "-c:a", "copy").read_bytes(),
        "other.mkv": remux(h264, "mpeg4.mkv", "-c:v", "mpeg4", "-c:a", "copy").read_bytes(),
        "words.mkv": remux(h264, "flac.mkv", "-c:v", "copy", "-c:a", "flac").read_bytes(),
    }
    for name, data in strangers.items():
        (folder(nvrd) / name).write_bytes(data)
    link = folder(nvrd) / "link.mp4"
    link.symlink_to(secret)
    (folder(nvrd) / "door").symlink_to(nvrd.folder)
    os.mkfifo(folder(nvrd) / "pipe.mp4")
    nobody = nvrd.store / "uploads" / "nobody"
    nobody.mkdir()
    shutil.copyfile(h264, nobody / "20241120143000.mp4")
    report(wait_for(lambda: count(nvrd, "kept") == len(strangers), 30), f"{len(strangers)} files that are no recordings are counted", nvrd.log()[-3000:])
    report(all(is_kept(nvrd, name) for name in strangers if name not in ("still.jpg",)), "each is named in the log")
    for i in range(2):
        looks = nvrd.log().count("uploads: looked:")
        (folder(nvrd) / f"empty{i}").mkdir()
        report(wait_for(lambda: nvrd.log().count("uploads: looked:") > looks, 20), "a folder is made, and it looks again")
    conversions = nvrd.log().count("idle -> converting")
    open(folder(nvrd) / "text.mp4", "r+b").close()
    report(wait_for(lambda: nvrd.log().count("idle -> converting") > conversions, 10), "a file is closed that nobody has changed")
    report(all((folder(nvrd) / name).read_bytes() == data for name, data in strangers.items()), "they stay as they are")
    report(link.is_symlink() and secret.exists() and (nobody / "20241120143000.mp4").exists() and not nvrd.files("gate"),
           "links lead nowhere, and folders of no camera are nobody's", nvrd.files("gate"))
    report(wait_gone(drop(nvrd, h264, "20241120143000.mp4")) and count(nvrd, "kept") == len(strangers), "none is read again, and what comes after them is taken")
    nvrd.stop()


# --- kills ---

def check_kill_in_the_middle():
    long = media.make("upload-long", 20, size="1280x720", bitrate="20M")
    nvrd = start()
    upload = drop(nvrd, long, "20241120143000.mp4")
    part = nvrd.store / "recordings" / ".upload" / "part.mp4"
    middle = wait_for(lambda: part.stat().st_size > long.stat().st_size // 4, 30)
    nvrd.stop(signal.SIGKILL)
    report(middle and upload.exists() and not nvrd.files("gate"), "kill -9 in the middle: the upload is there, no recording is")
    nvrd.start()
    report(wait_gone(upload) and len(nvrd.files("gate")) == 1 and not part.exists(), "the next start makes one recording of it", nvrd.log()[-1500:])
    wrong = differs(nvrd.files("gate")[0], long)
    report(not wrong, "which is whole", wrong)
    nvrd.stop()


def kill_before(source, number):
    """Kills it before operation `number` on the store since the upload. What was hit, and what is wrong afterwards."""
    nvrd = Nvrd(GATE, extra=DEBUG, start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = {**ZONE, **faults.environment}
    nvrd.start()
    wrong = []
    if not wait_for(lambda: "looked: 0 files" in nvrd.log(), 20):
        wrong.append("it does not look")
    faults.forget()
    faults.choose(at=number, kill=True)
    upload = drop(nvrd, source, "20241120143000.mp4")
    if not wait_for(lambda: nvrd.process.poll() is not None or not upload.exists(), 20):
        wrong.append("it is neither killed nor done")
    hit = faults.operation(number) if faults.chosen else None
    nvrd.stop(signal.SIGKILL)
    faults.calm()
    nvrd.start()
    if not wait_gone(upload):
        wrong.append("the upload stays")
    if len(nvrd.files("gate")) != 1:
        wrong.append(f"recordings: {nvrd.files('gate')}")
    elif differs(nvrd.files("gate")[0], source):
        wrong.append("it is not whole")
    nvrd.stop()
    files = disk.files(nvrd.store)
    rows = {path: row.bytes for path, row in disk.rows(nvrd.store).items()}
    if rows != files:
        wrong.append(f"the catalogue says {rows}, the disk {files}")
    if wrong:
        wrong.append(nvrd.log()[-1500:])
    shutil.rmtree(nvrd.folder, ignore_errors=True)
    return number, hit, wrong


def check_kills():
    check_kill_in_the_middle()
    tiny = media.make("tiny-upload", 1, size="160x120", gop=10, bitrate="100k")
    kinds, number = [], 1
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        while number == 1 or kinds[-1]:
            results = list(pool.map(lambda n: kill_before(tiny, n), range(number, number + 8)))
            for n, hit, wrong in results:
                if wrong:
                    report(False, f"kill -9 before operation {n}, {hit and hit[1:]}", "\n".join(wrong))
                kinds.append(hit and f"{hit.kind} {hit.path}")
            number += len(results)
    done = [kind for kind in kinds if kind]
    print("# " + "; ".join(done))
    report(any(kind.startswith("rename") for kind in done) and any(kind.startswith("remove uploads/") for kind in done),
           f"kill -9 before each of the {len(done)} operations on the disk, the upload's removal the last: exactly one recording")


CHECKS = {"forms": check_forms, "times": check_times, "writers": check_writers, "strangers": check_strangers, "kills": check_kills}
for chosen in sys.argv[1:] or CHECKS:
    CHECKS[chosen]()
finish()
