"""Runs many small trials at once, each with scripted cameras of its own, beside one nvrd.

A trial is a generator: what comes before its first `yield` makes cameras; each `yield` hands over a
condition (a function, or one and the seconds it may take), and goes on when it is true.
"""
import re
import time

from daemon import Nvrd, finish, report
from scripted_camera import ScriptedCamera

TRIALS = []
SECONDS = 45


class Failed(Exception):
    pass


def quirk(ids, words):
    """Registers a trial that shows the rows of these ids."""
    def register(function):
        TRIALS.append(Trial(ids.split(), words, function))
        return function
    return register


class World:
    """One look at nvrd: its metrics and its log."""

    def __init__(self, nvrd):
        self.nvrd, self.log_bytes, self.lines, self.metrics = nvrd, 0, {}, {}
        self.rest = ""

    def look(self):
        with open(self.nvrd.log_file, errors="replace") as stream:
            stream.seek(self.log_bytes)
            text = self.rest + stream.read()
            self.log_bytes = stream.tell()
        *lines, self.rest = text.split("\n")
        for line in lines:
            name = re.search(r" camera ([\w-]+):", line)
            if name:
                self.lines.setdefault(name[1], []).append(line)
        # after the log, so that what the log said is counted
        rows = (row.rpartition(" ") for row in self.nvrd.get("/metrics").decode().splitlines() if not row.startswith("#"))
        self.metrics = {name: float(value) for name, _, value in rows}


class Trial:
    def __init__(self, ids, words, function):
        self.ids, self.words = ids, words
        self.generator = function(self)
        self.cameras, self.problems, self.world = {}, [], None
        self.condition, self.limit, self.end, self.done = None, 0, 0, False

    # for the trials

    def camera(self, suffix="", user="", path=None, yaml=None, hidden=False, **options):
        """A new camera, pulled by nvrd unless it is `hidden`; `yaml` are more lines of its configuration."""
        camera = ScriptedCamera(**options)
        camera.name = "-".join([self.ids[0], *([suffix] if suffix else [])])
        if path:
            camera.path = path
        camera.yaml = None if hidden else {"source": f'"{camera.url(user)}"', "record": "off", **(yaml or {})}
        self.cameras[camera.name] = camera
        return camera

    def metric(self, name, camera, **labels):
        inside = "".join(f',{k}="{v}"' for k, v in labels.items())
        return self.world.metrics.get(f'nvrd_camera_{name}{{camera="{camera.name}"{inside}}}', 0)

    def is_up(self, camera):
        return self.metric("up", camera) == 1

    def frames(self, camera, kind="video"):
        return self.metric("frames_total", camera, kind=kind)

    def failures(self, camera, reason=None):
        if reason:
            return self.metric("failures_total", camera, reason=reason)
        start = f'nvrd_camera_failures_total{{camera="{camera.name}",'
        return sum(v for k, v in self.world.metrics.items() if k.startswith(start))

    def log(self, camera):
        return self.world.lines.get(camera.name, [])

    def waits(self, camera):
        """The waits that the log announced, in seconds."""
        return [float(w) for w in re.findall(r"trying again in ([0-9.]+) s", "\n".join(self.log(camera)))]

    def flows(self, *cameras, frames=8):
        """A condition: media of all of them arrives."""
        return lambda: all(self.is_up(c) and self.frames(c) >= frames for c in cameras)

    def check(self, passed, *words):
        if not passed:
            self.problems.append(" ".join(str(w) for w in words))
        return passed

    def equal(self, value, expected, *words):
        return self.check(value == expected, *words, f"{value!r} instead of {expected!r}")

    def check_first_time(self, *cameras):
        """It worked on the first connection, with no frame dropped."""
        for c in cameras:
            self.equal(self.metric("connects_total", c), 1, c.name, "connections", self.log(c)[-3:])
            self.equal(self.metric("dropped_frames_total", c), 0, c.name, "dropped frames")

    # for the runner

    def step(self):
        try:
            condition = next(self.generator)
        except StopIteration:
            self.done = True
            return
        except Exception as error:  # a trial's own mistake is a failure of that trial alone
            self.problems.append(f"{type(error).__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})")
            self.done = True
            return
        self.condition, self.limit = condition if isinstance(condition, tuple) else (condition, SECONDS)
        self.end = time.monotonic() + self.limit

    def poll(self):
        """Goes on as far as it can; false while it waits."""
        while not self.done:
            try:
                met = self.condition()
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")
                met = self.done = True
            if self.done or (not met and time.monotonic() < self.end):
                return self.done
            if not met:
                self.problems.append(f"waited {self.limit} s in vain in line {self.generator.gi_frame.f_lineno}")
                self.problems += [f"  {c.name}: {self.frames(c):.0f} frames of {c.frames_sent}" for c in self.cameras.values() if c.yaml]
                for c in self.cameras.values():
                    if not self.is_up(c) or self.metric("connects_total", c) > 1:
                        self.problems.append(f"  {c.name} was asked {' '.join(c.methods()[-12:])}")
                        self.problems += ["  " + line for line in self.log(c)[-3:]]
                self.done = True
                return True
            self.step()
        return True

    def report(self):
        for name in self.ids:
            report(not self.problems, f"{name} {self.words}", "\n".join(self.problems) if name == self.ids[0] else "")


def run(only=()):
    """Runs all trials, or those of the ids; returns nvrd, still running, and the trials."""
    trials = [t for t in TRIALS if not only or set(only) & set(t.ids)]
    for trial in trials:
        trial.step()
    cameras = {c.name: c.yaml for t in trials for c in t.cameras.values() if c.yaml}
    assert len(cameras) == sum(bool(c.yaml) for t in trials for c in t.cameras.values()), "two cameras of one name"
    nvrd = Nvrd(cameras)
    world = World(nvrd)
    started = time.monotonic()
    for trial in trials:
        trial.world = world
        trial.end = started + trial.limit
    waiting = list(trials)
    while waiting:
        world.look()
        for trial in list(waiting):
            if trial.poll():
                trial.report()
                waiting.remove(trial)
        if nvrd.process.poll() is not None:
            report(False, "nvrd goes on", f"it ended with {nvrd.process.returncode}")
            finish()
        time.sleep(0.1)
    return nvrd, world, trials
