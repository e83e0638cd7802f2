#!/usr/bin/env python3
"""A minute of three cameras: no frame is missing or doubled, every file is whole, names and catalogue agree."""
import datetime
import re
import sqlite3

import media
from daemon import Camera, Nvrd, finish, report, wait_for

SECONDS = 60
SLACK = 0.0005  # ffprobe prints microseconds


def wall_clock(path):
    """The instant that a recording's name gives."""
    day, name = path.parent.name, path.stem
    return datetime.datetime.strptime(f"{day} {name[:13]}", "%Y-%m-%d %H-%M-%S%z")


def check_names(camera, files):
    for path in files:
        if not re.fullmatch(r"\d\d-\d\d-\d\d[+-]\d{4}(_\d+)?\.mp4", path.name):
            return report(False, f"{camera}: names follow the design", path.name)
    starts = [wall_clock(path).timestamp() for path in files]
    cuts = [start % 10 for start in starts[1:]]
    return report(all(cut < 2.5 for cut in cuts), f"{camera}: segments are cut at the first keyframe after a boundary", cuts)


def check_catalogue(camera, files, store):
    rows = sqlite3.connect(f"file:{store}/nvrd.db?mode=ro", uri=True).execute(
        "select path, bytes, start_us, end_us from segments where camera = ? order by start_us", (camera,)).fetchall()
    paths = [str(path.relative_to(store)) for path in files]
    report([row[0] for row in rows] == paths, f"{camera}: the catalogue has the files on disk", rows)
    report([row[1] for row in rows] == [path.stat().st_size for path in files], f"{camera}: sizes in the catalogue are right")
    lengths = [abs((row[3] - row[2]) / 1e6 - media.duration(path)) for row, path in zip(rows, files)]
    report(max(lengths) < 0.1, f"{camera}: durations in the catalogue are right", lengths)
    off = [abs(row[2] / 1e6 - wall_clock(path).timestamp()) for row, path in zip(rows, files)]
    report(max(off) <= 1.0, f"{camera}: names tell when the files start", off)


def check_camera(camera, files, source, frame):
    recorded, last_end = [], None
    report(len(files) >= 6, f"{camera}: a minute in segments of 10 s", files)
    check_names(camera, files)
    for path in files:
        packets = media.packets(path)
        steps = [b[1] - a[1] for a, b in zip(packets, packets[1:])]
        report(packets[0][2] and all(abs(s - frame) < SLACK for s in steps), f"{camera}: {path.name} starts with a keyframe and has a frame each {frame} s",
               [s for s in steps if abs(s - frame) >= SLACK][:5])
        complaints = media.decode_messages(path)
        report(not complaints, f"{camera}: {path.name} decodes without a message", complaints)
        recorded += [p[3] for p in packets]
    start = media.run_of(recorded, [p[3] for p in media.packets(source)])
    report(start >= 0, f"{camera}: {len(recorded)} frames are a run of what the camera sent")
    report(len(recorded) >= (SECONDS - 5) / frame, f"{camera}: about a minute was recorded", len(recorded))


def main():
    h264 = media.make("h264", SECONDS + 25)
    h265 = media.make("h265", SECONDS + 25, codec=media.H265, size="1280x720", audio=False, bitrate="1M")
    camera = Camera(f"tcp=file:{h264}", f"udp=file:{h264}", f"hevc=file:{h265}:h265silent")
    nvrd = Nvrd({
        "tcp": {"source": f'"{camera.url("tcp")}"', "transport": "tcp"},
        "udp": {"source": f'"{camera.url("udp")}"', "transport": "udp"},
        "hevc": {"source": f'"{camera.url("hevc")}"'},
    })
    frames = 'nvrd_camera_frames_total{camera="%s",kind="video"}'
    done = wait_for(lambda: all(nvrd.metric(frames % c) >= SECONDS * 25 for c in ("tcp", "udp", "hevc")), SECONDS + 30)
    report(done, "a minute of every camera arrived", nvrd.log()[-2000:])
    lost = [nvrd.metric(f'nvrd_rtp_packets_lost_total{{camera="{c}"}}') for c in ("tcp", "udp", "hevc")]
    report(lost == [0, 0, 0], "no packet was lost", lost)
    report(nvrd.stop() == 0, "SIGTERM ends it with status 0")
    for name, source in (("tcp", h264), ("udp", h264), ("hevc", h265)):
        check_camera(name, nvrd.files(name), source, 0.04)
        check_catalogue(name, nvrd.files(name), nvrd.store)
    for name in ("tcp", "udp"):
        audio = [h for path in nvrd.files(name) for _, _, _, h in media.packets(path, "a:0")]
        report(media.run_of(audio, [p[3] for p in media.packets(h264, "a:0")]) >= 0, f"{name}: {len(audio)} audio frames are a run of what the camera sent")
    camera.stop()
    finish()


main()
