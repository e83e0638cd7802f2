"""Runs nvrd and cameras for a test, and reports results as lines `ok - name`."""
import atexit
import base64
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
NVRD = os.environ.get("NVRD", str(HERE.parent.parent / "build" / "nvrd"))
failures = 0
running = []


def report(passed, name, detail=""):
    """One line of result; a failure's detail goes before it."""
    global failures
    if not passed:
        failures += 1
        if detail:
            print("# " + str(detail).replace("\n", "\n# "))
    print(f"{'ok' if passed else 'not ok'} - {name}", flush=True)
    return passed


def skip(name, why):
    print(f"skip - {name}: {why}", flush=True)


def finish():
    sys.exit(1 if failures else 0)


def wait_for(condition, seconds, what=None):
    """Polls until the condition gives something true; returns it, or None after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            result = condition()
            if result:
                return result
        time.sleep(0.05)
    if what:
        print(f"# waited {seconds} s in vain for {what}")
    return None


def spawn(words, **options):
    process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, **options)
    running.append(process)
    return process


def end(process, number=signal.SIGTERM, seconds=10):
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in running:
        running.remove(process)
    return process.returncode


@atexit.register
def end_all():
    for process in list(running):
        end(process, seconds=3)


class Camera:
    """GStreamer's RTSP server in a process of its own; `inside` goes before its command."""

    def __init__(self, *mounts, port=0, options=(), address="127.0.0.1", inside=()):
        # Debian's own Python has the GStreamer bindings, whichever runs this
        self.words = [*inside, "/usr/bin/python3", HERE / "gst_camera.py", "--address", address, *options]
        self.address = address
        self.mounts = mounts
        self.port = port
        self.start()

    def start(self):
        self.process = spawn([*self.words, "--port", str(self.port), *self.mounts], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the camera did not start")
        self.port = int(line)

    def stop(self, number=signal.SIGTERM):
        end(self.process, number)

    def url(self, mount, user=""):
        return f"rtsp://{user + '@' if user else ''}{self.address}:{self.port}/{mount}"


def zone_far_from_the_hour():
    """A TZ in which it is five past: what records by the hour is not cut while a test looks."""
    return f"FAR-00:{(5 - time.gmtime().tm_min) % 60:02}"


class Nvrd:
    """One nvrd with a store of its own; `cameras` maps names to YAML lines of options."""

    def __init__(self, cameras=None, segment="10s", users="", extra="", store=None, start=True, inside=(), environment=None, storage=(), https=False, listen=(), login=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-"))
        self.store = pathlib.Path(store) if store else self.folder / "store"
        self.file = self.folder / "nvrd.yaml"
        self.segment, self.users, self.extra, self.inside = segment, users, extra, list(inside)
        self.environment = environment or {}
        self.storage, self.listen = storage, listen  # further lines of these sections
        self.login = base64.b64encode(":".join(login).encode()).decode() if login else None  # who get() and metric() are
        self.ports = ("127.0.0.1:0", "127.0.0.1:0")
        self.https_at = '"127.0.0.1:0"' if https else "off"
        self.log_file = self.folder / "log"
        self.configure(cameras or {})
        self.process = None
        atexit.register(self.remove)
        if start:
            self.start()

    def configure(self, cameras):
        lines = ["listen:", f'  http: "{self.ports[0]}"', f'  rtsp: "{self.ports[1]}"', f"  https: {self.https_at}",
                 *("  " + line for line in self.listen),
                 "storage:", f"  path: {self.store}", f"  segment: {self.segment}", *("  " + line for line in self.storage)]
        if self.users:
            lines += ["users:", *("  " + u for u in self.users.splitlines())]
        if self.extra:
            lines.append(self.extra)
        if cameras:
            lines.append("cameras:")
        for name, options in cameras.items():
            lines.append(f"  {name}:")
            lines += [f"    {key}: {value}" for key, value in options.items()]
        self.file.write_text("\n".join(lines) + "\n")
        self.file.chmod(0o600)

    def start(self):
        self.log_stream = open(self.log_file, "a")
        start = self.log_file.stat().st_size
        wrapper = os.environ.get("NVRD_WRAPPER", "").split()
        zone = {"TZ": zone_far_from_the_hour()} if self.segment == "1h" else {}
        self.process = spawn([*self.inside, *wrapper, NVRD, "-c", self.file], stderr=self.log_stream, env={**os.environ, **zone, **self.environment})
        if not wait_for(lambda: "runs, recordings in" in self.log()[start:] or self.process.poll() is not None, 20):
            raise RuntimeError("nvrd did not start:\n" + self.log())
        if self.process.poll() is not None:
            return
        self.http = re.findall(r"http://([0-9.:]+)/", self.log()[start:])[-1]
        self.https = (re.findall(r"https://([0-9.:]+)/", self.log()[start:]) or [None])[-1]
        self.rtsp = re.findall(r"rtsp://([0-9.:]+)/", self.log()[start:])[-1]
        self.rtsps = (re.findall(r"rtsps://([0-9.:]+)/", self.log()[start:]) or [None])[-1]

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self, number=signal.SIGTERM):
        status = end(self.process, number)
        self.log_stream.close()
        return status

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def get(self, path, **headers):
        if self.login:
            headers.setdefault("Authorization", "Basic " + self.login)
        if self.inside:
            words = ["curl", "-sSf", "-m", "15", *(f"-H{name}: {value}" for name, value in headers.items())]
            return subprocess.run([*self.inside, *words, f"http://{self.http}{path}"], check=True, stdout=subprocess.PIPE).stdout
        request = urllib.request.Request(f"http://{self.http}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.read()

    def metric(self, line):
        """The value of one series by its exact name and labels; 0 when it is not there."""
        for row in self.get("/metrics").decode().splitlines():
            if row.startswith(line + " "):
                return float(row.rpartition(" ")[2])
        return 0.0

    def files(self, camera):
        return sorted((self.store / "recordings" / camera).glob("*/*.mp4"))

    def remove(self):
        if self.process and self.process.poll() is None:
            end(self.process)
        if failures and self.log_file.exists():
            print("# the log's end:\n# " + "\n# ".join(self.log().splitlines()[-30:]))
        shutil.rmtree(self.folder, ignore_errors=True)
