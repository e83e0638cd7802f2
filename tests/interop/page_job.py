"""What the page's tests show: footage of three runs with gaps, live cameras, and page_views.mjs in a browser."""
import datetime
import json
import os
import signal
import subprocess
import time

import footage
import media
from daemon import HERE, Nvrd, report, wait_for

TEST_FPS = 15  # of test:
EVIL = "<img src=x onerror=window.hacked=1>"
# the page shows days of the browser's zone: one in which it is not about to be midnight
ZONE, OFFSET_H = ("UTC", 0) if datetime.datetime.now(datetime.timezone.utc).hour < 23 else ("Etc/GMT-6", 6)


def record(nvrd, source, seconds, hold=False):
    """
    Lets the camera record for so long; returns the instants (us) at which what it recorded starts and ends, and with `hold` the one from which on
    nvrd stood still: the picture of then lasts as long as twenty.
    """
    held = None
    before = len(footage.rows(nvrd, "porch"))
    fragments = 'nvrd_recorder_fragments_total{camera="porch"}'
    nvrd.configure({"porch": {"source": f'"{source}"'}})
    nvrd.reload()
    if not wait_for(lambda: nvrd.metric(fragments) >= 2 * seconds, 60):
        raise RuntimeError("nothing is recorded:\n" + nvrd.log()[-2000:])
    if hold:
        nvrd.process.send_signal(signal.SIGSTOP)
        held = time.time() * 1e6
        time.sleep(0.5)
        nvrd.process.send_signal(signal.SIGCONT)
        wait_for(lambda: nvrd.metric(fragments) >= 2 * seconds + 6, 60)
    nvrd.configure({})
    nvrd.reload()
    if not wait_for(lambda: len(footage.rows(nvrd, "porch")) > before and all(row[3] for row in footage.rows(nvrd, "porch")), 20):
        raise RuntimeError("the files were not closed:\n" + nvrd.log()[-2000:])
    rows = footage.rows(nvrd, "porch")[before:]
    return rows[0][1], rows[-1][2], held


def start():
    """An nvrd with five cameras, and what was recorded of one of them as record() tells."""
    nvrd = Nvrd(segment="4s", environment={"TZ": ZONE}, start=False)
    nvrd.store = nvrd.folder / EVIL
    nvrd.configure({})
    nvrd.start()
    runs = [record(nvrd, "test:", 10, hold=True)]
    for source, seconds in (("test:", 10), (f"av:{footage.source('320x180')}", 6)):
        wait_for(lambda: time.time() * 1e6 > runs[-1][1] + 3000000, 10)  # a gap is made of time
        runs.append(record(nvrd, source, seconds))
    live = {"source": '"test:"', "record": "off"}
    nvrd.configure({"porch": {**live, "substream": '"test:"'}, "drive": live, "garden": live, "street": live,
                    "cellar": {"source": '"rtsp://127.0.0.1:1/x"', "record": "off"}})
    nvrd.reload()
    (nvrd.store / "uploads" / "porch").mkdir(parents=True, exist_ok=True)
    (nvrd.store / "uploads" / "porch" / f"{EVIL}.txt").write_text("a file")
    return nvrd, runs


def check_clip(nvrd, path, clip):
    """The file that the browser saved is the range that was chosen."""
    name = f"{footage.name(clip['from'] * 1000)}--{footage.name(clip['to'] * 1000)}.mp4"
    report(path.read_bytes() == nvrd.get(f"/recordings/porch/{name}"), "clip: what was downloaded is the range that was chosen")
    seconds = (clip["to"] - clip["from"]) / 1000
    # it begins with a keyframe at or before the range, and these are two seconds apart at most
    report(seconds - 0.1 <= media.duration(path) <= seconds + 2.1, "clip: it lasts as long as the range", (media.duration(path), seconds))
    report(media.decode_messages(path) == "", "clip: it decodes", media.decode_messages(path))


def counters(nvrd, run):
    """What the counter of the test picture says in each picture of a run: a busy machine leaves some out."""
    clip = nvrd.folder / "run.mp4"
    clip.write_bytes(nvrd.get(f"/recordings/porch/{footage.name(run[0])}--{footage.name(run[1])}.mp4"))
    return [round(pts * TEST_FPS) for pts, *_ in media.packets(clip)]


def check_views(nvrd, runs, browser):
    """All of page_views.mjs; `browser`: "chromium" or "firefox"."""
    downloads = nvrd.folder / "downloads"
    downloads.mkdir()
    offset = OFFSET_H * 3600000
    clip = nvrd.folder / "clip.mp4"
    job = {"browser": browser, "downloads": str(downloads), "url": f"http://{nvrd.http}/", "pid": nvrd.process.pid, "store": str(nvrd.store), "zone": ZONE, "offset": offset, "clip": str(clip),
           "runs": [{"start": start / 1000, "end": end / 1000} for start, end, _ in runs], "held": runs[0][2] / 1000, "counters": counters(nvrd, runs[0]), "shots": os.environ.get("NVRD_SCREENSHOTS")}
    done = subprocess.run(["node", str(HERE / "page_views.mjs")], input=json.dumps(job), capture_output=True, text=True, timeout=900)
    if done.returncode:
        report(False, "the page can be used", done.stderr[-2000:])
    for line in done.stdout.splitlines():
        result = json.loads(line)
        if "clip" in result:
            check_clip(nvrd, clip, result["clip"])
        elif "note" in result:
            print("# " + result["note"])
        else:
            report(result["holds"], result["name"], result["detail"])


