#!/usr/bin/env python3
"""
Low-Latency HLS by a strict player of our own, with main stream, substream, sound, and a camera that changes its codec; by hls.js in
Chromium, ffplay and VLC. NVRD_LONG=1 plays for ten minutes.
"""
import concurrent.futures
import json
import os
import re
import select
import shutil
import subprocess
import time

import llhls
import media
import players
from daemon import HERE, Camera, Nvrd, end, finish, report, skip, spawn, wait_for

SECONDS = 600 if os.environ.get("NVRD_LONG") else 36


def codecs_of(path):
    """As RFC 6381 says, by the bytes of the file's avcC (ISO/IEC 14496-15)."""
    data = path.read_bytes()
    at = data.index(b"avcC") + 5
    return f"avc1.{data[at:at + 3].hex()},mp4a.40.2"


def play_both(nvrd, camera, cameras, files):
    """Both playlists at once, while the main stream changes to another codec and back."""
    faults = []
    variants = llhls.check_index(f"http://{nvrd.http}/live/porch/index.m3u8", faults)
    if not report(len(variants) == 2 and not faults, "the multivariant playlist has both streams", (variants, faults)):
        return
    report([v["RESOLUTION"] for v in variants] == ["640x360", "320x180"] and [v["CODECS"] for v in variants] == list(map(codecs_of, files)),
           "its sizes and codecs are those of the streams", variants)
    report(all(24.9 < float(v["FRAME-RATE"]) < 25.1 for v in variants), "the rate was measured", variants)
    main, sub = (llhls.Player(v["url"], SECONDS, faults, name) for v, name in zip(variants, ("main", "sub")))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(player.play) for player in (main, sub)]
        for i, mount in enumerate(("h265", "main")):
            time.sleep(SECONDS / 3)
            nvrd.configure({"porch": {**cameras["porch"], "source": f'"{camera.url(mount)}"'}})
            nvrd.reload()
        for future in running:
            future.result()
    report(not faults, "a strict player finds nothing", "\n".join(faults[:20]))
    for player in (main, sub):
        counts = player.counts
        print(f"# {player.name}: {counts}")
        report(counts["parts"] > SECONDS and counts["hints"] > SECONDS and counts["blocked"] > SECONDS / 2 and counts["segments"] > SECONDS / 5 and
               counts["reports"] > 2 and counts["deltas"] > SECONDS / 2 and counts["skipped"] > 0 and counts["removed"] > 0 and counts["audio"] > SECONDS,
               f"{player.name}: it saw all of it", counts)
        report(counts["late"] < counts["blocked"] / 3, f"{player.name}: requests are answered as soon as there is what they wait for", counts)
    report(main.counts["discontinuities"] >= 2 and main.counts["maps"] >= 3, "a change of codec is a discontinuity with another EXT-X-MAP", main.counts)
    entries = {entry for init in main.inits.values() for _, entry in init.tracks.values()}
    report(entries == {"avc1", "hvc1", "mp4a"}, "both codecs came", entries)
    report(abs(main.origin - sub.origin) < 0.002, "both streams count decode times from the same instant", (main.origin, sub.origin))
    for player, variant in zip((main, sub), variants):
        report({init.size for init in player.inits.values()} == {variant["RESOLUTION"]}, f"{player.name}: of the size that was said")


def ffplay_clocks(address):
    """What ffplay's clock showed, until it had gone on for some seconds."""
    process = spawn(["ffplay", "-v", "error", "-stats", address], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    env={**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"})
    clocks, text, limit = [], b"", time.monotonic() + 30
    while time.monotonic() < limit and not (clocks and clocks[-1] - clocks[0] > 4):
        if select.select([process.stderr], [], [], 1)[0]:
            text += os.read(process.stderr.fileno(), 4096) or b"\r"
            *lines, text = text.split(b"\r")
            clocks += [float(words[0]) for words in map(bytes.split, lines) if len(words) > 1 and re.fullmatch(rb"\d+\.\d+", words[0])]
    end(process)
    return clocks


def check_players(nvrd, files):
    """The same playlists by players that know nothing of low latency."""
    index = f"http://{nvrd.http}/live/porch/index.m3u8"
    every = [players.decoded(path) for path in files]
    seen = players.decoded(index, "-t", "6")  # of both streams, as they come
    runs = [[h for h in seen if h in hashes] for hashes in every]
    report(all(len(run) > 100 and media.run_of(run, hashes) >= 0 for run, hashes in zip(runs, every)) and sum(map(len, runs)) == len(seen),
           "ffmpeg plays both streams without a hole", [len(run) for run in runs])
    seen = players.decoded(index.replace("index", "sub/media"), "-t", "3")
    report(len(seen) > 50 and media.run_of(seen, every[1]) >= 0, "ffmpeg plays a media playlist", len(seen))
    if shutil.which("ffplay"):
        clocks = ffplay_clocks(index)
        report(len(clocks) > 10 and clocks[-1] - clocks[0] > 4, "ffplay plays it", clocks[-20:])
    else:
        skip("ffplay", "not installed")
    # VLC goes over a change of the codec as it likes
    wait_for(lambda: all(b"#EXT-X-DISCONTINUITY\n" not in nvrd.get(f"/live/porch/{which}.m3u8") for which in ("media", "sub/media")), 90)
    seen = players.vlc_live(index.replace("index", "media"), 8, nvrd.folder / "vlc-media")
    if seen is None:
        return skip("VLC", "not installed")
    report(len(seen) > 100 and media.run_of(seen, every[0]) >= 0, "VLC plays a media playlist without a hole", len(seen))
    # it begins with the smaller one and goes over to the larger one, of which ffmpeg makes the size of the first
    seen = players.vlc_live(index, 8, nvrd.folder / "vlc-index")
    return report(len(seen) > 100 and seen[0] in every[0] + every[1], "VLC plays both", len(seen))


def check_hls_js():
    """In Chromium, of a camera with a clock in its picture."""
    if not shutil.which("chromium") or not shutil.which("node"):
        return skip("hls.js", "chromium or node is not installed")
    nvrd = Nvrd({"demo": {"source": '"test:"', "record": "off"}})
    words = ["node", HERE / "live.mjs", f"http://{nvrd.http}/", "/live/demo/index.m3u8", min(SECONDS, 60) / 2]
    for _ in range(3):  # a machine that is busy with other things decodes too late
        done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
        seen = json.loads(done.stdout) if done.returncode == 0 else {"looks": []}
        behind = {kind: sorted(look[kind] for look in seen["looks"] if look[kind] is not None) for kind in ("date", "clock")}
        medians = {kind: values[len(values) // 2] if len(values) > len(seen["looks"]) / 2 else None for kind, values in behind.items()}
        print(f"# seconds behind, median: {medians}")
        if done.returncode or all(median is not None and median < 2 for median in medians.values()):
            break
    if report(done.returncode == 0, "hls.js plays", done.stderr[-1500:]):
        for kind, median in medians.items():
            busy = os.getloadavg()[0] > 4 * os.cpu_count()
            if busy and not (median is not None and median < 2):
                skip(f"hls.js is less than 2 s behind, by the {kind}", f"{median} s; others want the machine, a load of {os.getloadavg()[0]:.0f}")
            else:
                report(median is not None and median < 2, f"hls.js is less than 2 s behind, by the {kind}", behind[kind])
        report(seen["lowLatency"] and seen["parts"] > 10, "by parts", seen)
        report(not [e for e in seen["errors"] if e[2]], "without a fatal error", seen["errors"])
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])


def main():
    large = media.make("small", 120, size="640x360", bitrate="500k")
    other = media.make("small5", 120, codec=media.H265, size="640x360", bitrate="300k")
    small = media.make("tiny", 120, size="320x180", bitrate="200k")
    camera = Camera(f"main=file:{large}", f"h265=file:{other}:h265", f"sub=file:{small}")
    cameras = {"porch": {"source": f'"{camera.url("main")}"', "substream": f'"{camera.url("sub")}"', "record": "off"}}
    nvrd = Nvrd(cameras)
    wait_for(lambda: nvrd.metric('nvrd_camera_state{camera="porch",state="playing"}') == 1, 20)
    play_both(nvrd, camera, cameras, (large, small))
    check_players(nvrd, (large, small))
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    camera.stop()
    check_hls_js()
    finish()


main()
