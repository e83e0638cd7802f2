"""A store with footage of one source in several files, with a gap; and one of a whole day, made of a short file."""
import datetime
import sqlite3
import struct
import time

import media
from daemon import wait_for

FRAME_US = 40000
GROUP = 25  # frames from keyframe to keyframe


def name(us):
    """An instant as clips are named by it."""
    text = datetime.datetime.fromtimestamp(us // 1000000, datetime.timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{text}.{us % 1000000:06}Z" if us % 1000000 else f"{text}Z"


def rows(nvrd, camera):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return database.execute("select path, start_us, end_us, state from segments where camera = ? order by start_us", (camera,)).fetchall()


def source(size="640x360"):
    return media.make("footage", 60, size=size, bitrate="1M", gop=GROUP)


def record(nvrd, camera, path, files):
    """
    Records an av: source anew until so many further files are there; returns the rows of this run. nvrd is restarted then: between two files
    all rows are closed, too, and nothing else says that there will be no further one.
    """
    before = len(rows(nvrd, camera))
    if before:  # a gap is made of time
        wait_for(lambda: time.time() * 1e6 > rows(nvrd, camera)[-1][2] + 2000000, 10)
    nvrd.configure({camera: {"source": f'"av:{path}"'}})
    nvrd.reload()
    if not wait_for(lambda: len(rows(nvrd, camera)) >= before + files, 60):
        raise RuntimeError("nothing is recorded:\n" + nvrd.log()[-2000:])
    fragments = f'nvrd_recorder_fragments_total{{camera="{camera}"}}'
    now = nvrd.metric(fragments)
    wait_for(lambda: nvrd.metric(fragments) >= now + 3, 20)
    nvrd.stop()
    nvrd.configure({})
    nvrd.start()
    if not all(row[3] for row in rows(nvrd, camera)):
        raise RuntimeError("the files were not closed:\n" + nvrd.log()[-2000:])
    return rows(nvrd, camera)[before:]


def frames(nvrd, run, hashes):
    """The frames of a run as (instant, number in the source)."""
    seen = [packet[3] for row in run for packet in media.packets(nvrd.store / row[0])]
    first = media.run_of(seen, hashes)
    if first < 0:
        raise RuntimeError("what was recorded is not one piece of the source")
    return [(run[0][1] + i * FRAME_US, first + i) for i in range(len(seen))]


def boxes(data):
    at = 0
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        if n == 1:
            n = 16  # the closed file's mdat: what is in it stands at the top of an open one
        if kind == b"moov" and at > 8192:
            return  # the tables at the end
        yield kind, at, n
        at += n


def stretch(data, seconds, padding):
    """An open file's head and fragments, those of a short closed file again and again, for so many seconds; and where its clock is.

    Each fragment says that so many bytes more than are given belong to its media, behind its samples.
    """
    parts = {kind: (at, n) for kind, at, n in reversed(list(boxes(data)))}
    start, head = parts[b"moof"][0], bytearray(data[:parts[b"moof"][0]])
    head[28:44] = struct.pack(">I4sQ", 16, b"free", 0)
    fragments, end = [], 0
    for kind, at, n in boxes(data):
        if kind == b"moof":
            fragments.append(bytearray(data[at:at + n]))
        elif kind == b"mdat" and at > start:
            fragments[-1] += struct.pack(">I", n + padding) + data[at + 4:at + n]
    fragments = fragments[:-1]  # the last may be shorter than the others
    times = []
    for fragment in fragments:
        at = fragment.index(b"tfdt") + 8
        times.append((at, struct.unpack(">Q", fragment[at:at + 8])[0]))
    length = times[-1][1] + (times[1][1] - times[0][1]) - times[0][1]
    out, k = [head], 0
    while end < seconds * 90000:
        for fragment, (at, time) in zip(fragments, times):
            end = k * length + time
            if end >= seconds * 90000:
                break
            fragment[at:at + 8] = struct.pack(">Q", end)
            out.append(bytes(fragment))
        k += 1
    return out, parts[b"prft"][0] + 16


def make_day(nvrd, camera, day, data, minutes=10, padding=0):
    """Files of so many minutes for a whole day (midnight in UTC), from one short recording without sound; padding is holes in them."""
    pieces, clock_at = stretch(data, minutes * 60, padding)
    folder = nvrd.store / "recordings" / camera / day.strftime("%Y-%m-%d")
    folder.mkdir(parents=True)
    for second in range(0, 86400, minutes * 60):
        start = day + datetime.timedelta(seconds=second)
        pieces[0][clock_at:clock_at + 8] = struct.pack(">Q", (int(start.timestamp()) + 2208988800) << 32)
        with open(folder / start.strftime("%H-%M-%S+0000.mp4"), "wb") as file:
            file.write(pieces[0])
            for piece in pieces[1:]:
                file.write(piece)
                file.seek(padding, 1)
            file.truncate()
