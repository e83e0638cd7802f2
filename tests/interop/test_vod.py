#!/usr/bin/env python3
"""
Recordings as HLS: what the playlists say, and that hls.js in Chromium, VLC, ffmpeg and ffplay play them, seek in them, and go on over
files and gaps; the keyframes alone; a whole day.
"""
import datetime
import email.utils
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

import footage
import media
import players
from daemon import HERE, Nvrd, finish, report, skip, wait_for


class Playlist:
    """A media playlist (RFC 8216), taken apart by the standard's rules."""

    def __init__(self, nvrd, path):
        self.text = nvrd.get(path).decode()
        self.entries, self.tags, entry = [], {}, {}
        for line in self.text.splitlines():
            tag, _, value = line.partition(":")
            if not line.startswith("#"):
                self.entries.append({**entry, "path": urllib.parse.urljoin(path, line)})
                entry = {}
            elif tag in ("#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-GAP", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-MAP", "#EXT-X-DISCONTINUITY"):
                entry[tag[1:]] = value
            else:
                self.tags[tag[1:]] = value
        at, date = 0, None
        for entry in self.entries:
            entry["seconds"] = float(entry["EXTINF"].rstrip(","))
            if "EXT-X-PROGRAM-DATE-TIME" in entry:
                date = datetime.datetime.fromisoformat(entry["EXT-X-PROGRAM-DATE-TIME"].replace("Z", "+00:00")).timestamp()
            entry["time"], entry["date"] = at, date
            at += entry["seconds"]
            date += entry["seconds"]
        self.seconds = at

    def media(self):
        return [entry for entry in self.entries if "EXT-X-GAP" not in entry]


def status(nvrd, path):
    try:
        return bool(nvrd.get(path)) and 200
    except urllib.error.HTTPError as error:
        return error.code


def part(nvrd, path, text):
    """A byte range as playlists write it, with the file's beginning when that is given."""
    n, at = (int(number) for number in text.strip('"').split("@"))
    return nvrd.get(path, Range=f"bytes={at}-{at + n - 1}")


def initial(nvrd, playlist, path):
    fields = dict(re.findall(r'([A-Z]+)="([^"]*)"', playlist.entries[0]["EXT-X-MAP"]))
    return part(nvrd, urllib.parse.urljoin(path, fields["URI"]), fields["BYTERANGE"])


def check_rules(label, playlist):
    target = int(playlist.tags["EXT-X-TARGETDURATION"])
    report(all(round(entry["seconds"]) <= target for entry in playlist.entries), f"{label}: no entry is longer than the target")
    report("EXT-X-MAP" in playlist.entries[0] and playlist.text.startswith("#EXTM3U\n"), f"{label}: it begins as it has to", playlist.text[:300])


def check_range(nvrd, path, frames, hashes):
    """The media playlist of a range from frames[0] on."""
    playlist = Playlist(nvrd, path + "?media")
    check_rules("range", playlist)
    report(playlist.tags["EXT-X-PLAYLIST-TYPE"] == "VOD" and "EXT-X-ENDLIST" in playlist.tags, "range: of what is over it is VOD", playlist.tags)
    head = initial(nvrd, playlist, path)
    file, number, wrong = nvrd.folder / "entry.mp4", 0, []
    for entry in playlist.media():
        file.write_bytes(head + part(nvrd, entry["path"], entry["EXT-X-BYTERANGE"]))
        packets = media.packets(file)
        us, _ = frames[number]
        if not packets[0][2] or abs(entry["date"] - us / 1e6) > 0.0015 or [p[3] for p in packets] != [hashes[n] for _, n in frames[number:number + len(packets)]]:
            wrong.append((entry, us / 1e6))
        if abs(packets[0][0] - playlist.media()[0]["time"] - entry["time"]) > 0.55:
            wrong.append((entry, packets[0]))
        number += len(packets)
    report(not wrong and number >= len(frames) - 20, "range: each entry begins with a keyframe, at the time it says, with the frames that follow", wrong)
    gap = [entry for entry in playlist.entries if "EXT-X-GAP" in entry]
    length = max(b[0] - a[0] for a, b in zip(frames, frames[1:])) / 1e6 - 0.04
    report(gap and abs(sum(entry["seconds"] for entry in gap) - length) < 0.001, "range: the gap is told by EXT-X-GAP", (gap, length))
    report(status(nvrd, gap[0]["path"]) == 404, "range: there is nothing for who does not know it")
    closed = Playlist(nvrd, path + "?media&gaps=close")
    report(not any("EXT-X-GAP" in entry for entry in closed.entries) and abs(playlist.seconds - closed.seconds - length + 0.5) < 0.001,
           "range: gaps=close leaves half a second of it", (playlist.seconds, closed.seconds))
    return playlist, length


def check_iframes(nvrd, path, frames, hashes):
    playlist = Playlist(nvrd, path + "?iframes")
    check_rules("iframes", playlist)
    report("EXT-X-I-FRAMES-ONLY" in playlist.tags, "iframes: it says what it is")
    head, file, keys = initial(nvrd, playlist, path), nvrd.folder / "key.mp4", []
    for entry in playlist.media():
        file.write_bytes(head + part(nvrd, entry["path"], entry["EXT-X-BYTERANGE"]))
        packets = media.packets(file)
        keys.append((packets[0][3], packets[0][2]))
    wanted = [hashes[n] for _, n in frames if n % footage.GROUP == 0]
    report([h for h, _ in keys] == wanted[:len(keys)] and len(keys) >= len(wanted) - 2 and all(k for _, k in keys),
           "iframes: each entry is a keyframe, all of it and nothing more", (len(keys), len(wanted)))
    report(abs(playlist.seconds - Playlist(nvrd, path + "?media").seconds) < 0.001, "iframes: it lasts as long as the media")


def check_variants(nvrd, path):
    text = nvrd.get(path).decode()
    uris = re.findall(r'^(?!#).+$|URI="([^"]+)"', text, re.M)
    report('CODECS="avc1' in text and "RESOLUTION=640x360" in text and "EXT-X-I-FRAME-STREAM-INF" in text and len(uris) == 2, "one playlist names the others", text)


def check_propfind(nvrd, path, from_us, to_us):
    """What a playlist's name tells to WebDAV is what GET tells of it; recorded between these instants."""
    with urllib.request.urlopen(f"http://{nvrd.http}{path}", timeout=15) as answer:
        data, kind = answer.read(), answer.headers["Content-Type"]
    href = path.partition("?")[0]
    wanted = {"resourcetype": "", "displayname": href.rpartition("/")[2], "getcontentlength": str(len(data)), "getcontenttype": kind,
              "creationdate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(from_us // 1000000))}
    for depth in "01":
        request = urllib.request.Request(f"http://{nvrd.http}{path}", method="PROPFIND", headers={"Depth": depth})
        with urllib.request.urlopen(request, timeout=15) as answer:
            responses = ET.fromstring(answer.read()).findall("{DAV:}response")
        found = {p.tag.rpartition("}")[2]: p.text or "" for p in responses[0].find("{DAV:}propstat/{DAV:}prop")}
        modified = email.utils.parsedate_to_datetime(found.pop("getlastmodified")).timestamp()
        report(len(responses) == 1 and responses[0].findtext("{DAV:}href") == href and found == wanted, f"PROPFIND Depth {depth} tells of {wanted['displayname']}", (found, wanted))
        report(0 <= modified - to_us // 1000000 <= 1, "its last change is when it ends", (modified, to_us))


def ffmpeg_seeks_hls(folder):
    """Debian 12's does not."""
    (folder / "own").mkdir()
    media.run("ffmpeg", "-nostdin", "-v", "error", "-i", footage.source(), "-t", "10", "-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_segment_type",
              "fmp4", "-hls_playlist_type", "vod", "own.m3u8", cwd=folder / "own")
    return bool(players.decoded(folder / "own/own.m3u8", "-ss", "4", "-t", "1"))


def check_ffplay(label, address, seconds):
    """From the start, since that of Debian 12 cannot seek here."""
    if not shutil.which("ffplay"):
        return skip("ffplay", "not installed")
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
    done = subprocess.run(["ffplay", "-v", "error", "-autoexit", "-t", str(seconds), address], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60 + seconds, env=environment)
    return report(done.returncode == 0 and "nvalid" not in done.stderr, f"ffplay plays {label}", done.stderr[-500:])


def check_players(nvrd, path, playlist, gap_seconds, frames, files):
    """Of a playlist with a gap, in the files in that order."""
    address = f"http://{nvrd.http}{path}"
    gap = next(entry for entry in playlist.entries if "EXT-X-GAP" in entry)
    out = media.run("ffprobe", "-v", "fatal", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", address).decode()
    times = [float(line.strip(",")) for line in out.split()]
    longest = max(b - a for a, b in zip(times, times[1:]))
    report(len(times) >= len(frames) - 20 and abs(longest - gap_seconds - 0.04) < 0.001, "ffmpeg reads all of it, with the gap", (len(times), len(frames), longest))
    every = [h for file in files for h in players.decoded(file)]
    if ffmpeg_seeks_hls(nvrd.folder):
        for place in (1.5, gap["time"] - 2.5, gap["time"] + gap_seconds + 1.2):
            seen = players.decoded(address, "-ss", f"{place:.2f}", "-t", "1")
            report(len(seen) > 10 and all(h in every for h in seen), f"ffmpeg plays from {place:.1f} s", len(seen))
    else:
        skip("ffmpeg's seeking", "this one cannot seek in fragmented MP4 of its own making either")
    check_ffplay("over the gap", address, gap["time"] + gap_seconds + 2)
    for k, place in enumerate((1, gap["time"] - 3)):
        seen = players.vlc(address, place, gap["time"] + gap_seconds + 2, nvrd.folder / f"vlc-{k}")
        if seen is None:
            skip("VLC", "not installed")
            break
        after = set(players.decoded(files[-1])) | set(players.decoded(files[-2]))
        report(len(seen) > 50 and all(h in every for h in seen[:50]), f"VLC plays from {place:.1f} s", len(seen))
        report(sum(h in after for h in seen) > 10, "VLC goes on after the gap", len(seen))


def check_hls_js(label, nvrd, path, playlist, places):
    if not shutil.which("chromium") or not shutil.which("node"):
        return skip("hls.js", "chromium or node is not installed")
    words = ["node", HERE / "vod.mjs", f"http://{nvrd.http}/recordings/", path, *(f"{place:.2f}" for place in places)]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
    if not report(done.returncode == 0, f"{label}: hls.js in Chromium plays, seeks and goes on", done.stderr[-1500:]):
        return None
    seen = json.loads(done.stdout)
    looks = [seen["first"]] + [look for place in seen["sought"] for look in (place["start"], place["end"])]
    wrong = []
    for look in looks:
        entry = [e for e in playlist.entries if e["time"] <= look["time"] + 0.05][-1]
        date = datetime.datetime.fromisoformat(look["date"].replace("Z", "+00:00")).timestamp()
        if abs(date - entry["date"] - (look["time"] - entry["time"])) > 0.1:
            wrong.append((look, entry))
    report(not wrong, f"{label}: hls.js has the right wall-clock time everywhere", wrong)
    report(not [e for e in seen["errors"] if e[2] or e[1] != "fragGap"], f"{label}: without an error", seen["errors"])
    return seen


def check_recorded():
    path = footage.source()
    hashes = [p[3] for p in media.packets(path)]
    nvrd = Nvrd(segment="4s")
    first = footage.record(nvrd, "porch", path, 3)
    day = first[0][0].split("/")[2]
    index = f"/recordings/porch/{day}/index.m3u8"
    before = Playlist(nvrd, index + "?media")
    second = footage.record(nvrd, "porch", path, 3)
    frames = footage.frames(nvrd, first, hashes) + footage.frames(nvrd, second, hashes)
    files = [nvrd.store / row[0] for row in first + second]
    # the range begins with a keyframe in the first file, and what is in it is over for some time
    key = next(i for i, (us, n) in enumerate(frames) if n % footage.GROUP == 0 and i >= 20)
    chosen = frames[key:]
    range_path = f"/recordings/porch/{footage.name(chosen[0][0] + 1)}--{footage.name(frames[-20][0])}.m3u8"
    wait_for(lambda: time.time() * 1e6 > frames[-20][0] + 10500000, 20)
    check_variants(nvrd, range_path)
    for query in ("", "?gaps=close"):
        check_propfind(nvrd, range_path + query, chosen[0][0] + 1, frames[-20][0])
        check_propfind(nvrd, index + query, frames[0][0], frames[-1][0])
    playlist, gap_seconds = check_range(nvrd, range_path, chosen, hashes)
    check_iframes(nvrd, range_path, chosen, hashes)
    check_players(nvrd, range_path, playlist, gap_seconds, chosen, files)
    gap = next(entry for entry in playlist.entries if "EXT-X-GAP" in entry)
    check_hls_js("range", nvrd, range_path, playlist, [gap["time"] + gap_seconds + 1, 1, gap["time"] - 1.5])
    # the day, which is today and goes on
    now = Playlist(nvrd, index + "?media")
    if first[0][0].split("/")[2] != second[-1][0].split("/")[2]:
        return skip("day", "midnight came")
    check_rules("day", now)
    report(now.tags["EXT-X-PLAYLIST-TYPE"] == "EVENT" and "EXT-X-ENDLIST" not in now.tags, "day: today may go on", now.tags)
    report(before.entries and now.text.startswith(before.text), "day: nothing of it changes but what is added", (before.text, now.text[:len(before.text)]))
    check_hls_js("day", nvrd, index, now, [now.seconds - 4, 1])
    third = footage.record(nvrd, "porch", footage.source("320x180"), 2)
    both = Playlist(nvrd, index + "?media")
    changes = [entry for entry in both.entries if "EXT-X-DISCONTINUITY" in entry]
    report(both.text.startswith(now.text) and len(changes) == 1 and "EXT-X-MAP" in changes[0] and third[0][0].rpartition("/")[2] in changes[0]["EXT-X-MAP"],
           "day: a change of codec is told by EXT-X-DISCONTINUITY, with another start", changes)
    for bad in ("2026-02-30/index.m3u8", "2026-01-01/index.m3u8", "x/index.m3u8", "index.m3u8", f"{day}/other.m3u8"):
        report(status(nvrd, f"/recordings/porch/{bad}") == 404, f"{bad} is nowhere")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])


def check_day():
    """144 files of ten minutes with 1200 fragments each."""
    nvrd = Nvrd({"small": {"source": f'"av:{media.make("day", 12, size="64x48", fps=4, gop=4, audio=False, bitrate="10k")}"'}}, segment="24h")
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="small"}') >= 12, 30)
    nvrd.stop()
    day = datetime.datetime(2026, 3, 4, tzinfo=datetime.timezone.utc)
    footage.make_day(nvrd, "porch", day, nvrd.files("small")[0].read_bytes())
    nvrd.configure({})
    nvrd.start()
    wait_for(lambda: len(footage.rows(nvrd, "porch")) == 144 and all(row[3] for row in footage.rows(nvrd, "porch")), 300)
    path = "/recordings/porch/2026-03-04/index.m3u8"
    for query in ("", "?media", "?iframes"):
        began = time.monotonic()
        text = nvrd.get(path + query)
        print(f"# a day's {query or 'index.m3u8'}: {len(text) >> 10} KiB in {time.monotonic() - began:.3f} s")
    playlist = Playlist(nvrd, path + "?media")
    check_rules("a day", playlist)
    report(abs(playlist.seconds - 86400) < 1 and len(playlist.entries) < 20000, "a day lasts a day", (playlist.seconds, len(playlist.entries)))
    address = f"http://{nvrd.http}{path}"
    report(abs(media.duration(address) - 86400) < 1, "ffprobe says so")
    if ffmpeg_seeks_hls(nvrd.folder):
        report(players.decoded(address, "-ss", "43210", "-t", "1"), "ffmpeg plays from its noon")
    else:
        skip("ffmpeg's seeking", "this one cannot seek in fragmented MP4 of its own making either")
    check_hls_js("a day", nvrd, path, playlist, [43210, 86000, 7])
    check_ffplay("a day", address, 5)
    every = set(players.decoded(nvrd.files("porch")[0]))
    for k, place in enumerate((7, 43195)):  # the second one goes on into the next file
        seen = players.vlc(address, place, place + 10, nvrd.folder / f"vlc-{k}")
        if seen is None:
            skip("VLC", "not installed")
            break
        report(len(seen) >= 30 and all(h in every for h in seen), f"VLC plays ten seconds of a day from {place} s on", len(seen))
    report(nvrd.stop() == 0, "SIGTERM ends it")


check_recorded()
check_day()
finish()
