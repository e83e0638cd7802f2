#!/usr/bin/env python3
"""Cameras by ONVIF: found out, pulled, heard, whatever is odd about them; against the simulated camera with its faults."""
import contextlib
import pathlib
import re
import sqlite3
import tempfile

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for
from machine_clock import MachineClock
from onvif_camera import OnvifCamera
from scripted_camera import On, ScriptedCamera, rtp

USER, PASSWORD = "anna", "s:cr@t/%ü"
SECRET_URL = "anna:s%3Acr%40t%2F%25%C3%BC"
cameras = []


def frames(nvrd, name):
    return nvrd.metric(f'nvrd_camera_frames_total{{camera="{name}",kind="video"}}')


def events(nvrd, name, kind="motion"):
    return nvrd.metric(f'nvrd_events_total{{camera="{name}",kind="{kind}"}}')


def heard(nvrd, name):
    return nvrd.metric(f'nvrd_camera_events_up{{camera="{name}"}}') == 1


def simulated(rtsp, **faults):
    camera = OnvifCamera({"second": rtsp.url("sub"), "first": rtsp.url("main")}, USER, PASSWORD)
    camera.sizes = [(640, 360), (1280, 720)]
    for name, value in faults.items():
        if not hasattr(camera, name):
            raise ValueError(name)
        setattr(camera, name, value)
    cameras.append(camera)
    return camera


def source(camera, **options):
    return {"source": f'"{camera.url(user=SECRET_URL)}"', "transport": "tcp", **options}


# What a camera may be like, and yet is pulled and heard.
FAULTS = {
    "usual": {},
    "digest": {"login": "digest"},
    "token": {"login": "token"},
    "nobody": {"login": None},
    "clock": {"login": "token", "clock": -86400},
    "zone": {"login": "token", "local_as_utc": 7200},
    "media": {"services": "media"},
    "relative": {"addresses": "relative"},
    "zero": {"addresses": "zero"},
    "port": {"addresses": "port"},
    "odd": {"prefixes": "odd"},
    "chunked": {"chunked": True},
    "addressing": {"old_addressing": True},
    "busy": {"at_once": True},
    "absolute": {"renew": "absolute", "lifetime": 4},
    "plain": {"renew": "plain", "lifetime": 4},
    "never": {"renew": "no", "lifetime": 4},
    "short": {"lifetime": 4},
    "parameters": {"parameters": True},
}


def check_faults(rtsp, folder):
    sims = {name: simulated(rtsp, **faults) for name, faults in FAULTS.items()}
    nvrd = Nvrd({name: source(sim, record="off") for name, sim in sims.items()}, extra="log: {level: debug}")
    for name, sim in sims.items():
        report(wait_for(lambda: frames(nvrd, name) > 0 and heard(nvrd, name), 90), f"{name}: it is pulled and heard", (sim.operations()[-12:], [line for line in nvrd.log().splitlines() if f"camera {name}" in line][-12:]))
        wait_for(lambda: "PullMessages" in sim.operations(), 10)
        sim.event()
    for name in sims:
        report(wait_for(lambda: events(nvrd, name) == 1, 10), f"{name}: motion is told of", nvrd.metric(f'nvrd_events_total{{camera="{name}",kind="motion"}}'))
    renewing = [name for name, faults in FAULTS.items() if faults.get("lifetime") and faults.get("renew") != "no"]
    for name in renewing:
        report(wait_for(lambda: sims[name].operations().count("Renew") >= 3, 30), f"{name}: it is renewed", sims[name].operations())
        report(sims[name].operations().count("CreatePullPointSubscription") == 1, f"{name}: and stays one", sims[name].operations())
    report(wait_for(lambda: sims["never"].next_subscription >= 3, 30), "never: it is made anew before it ends", sims["never"].operations())
    report(nvrd.metric('nvrd_camera_events_failures_total{camera="never",reason="fault"}') == 0, "never: which is no failure")
    sims["never"].event(source="R2")
    report(wait_for(lambda: events(nvrd, "never") == 2, 10), "never: and tells on")
    report("GetProfiles" not in [word for word, path in sims["usual"].asked if path == "/onvif/media"], "usual: Media2 is asked, Media is not")
    log = nvrd.log()
    report(nvrd.stop() == 0, "nvrd ends well")
    for name, sim in sims.items():
        report(wait_for(lambda: not sim.listeners(), 5), f"{name}: it hears the farewell", sim.operations()[-4:])
    report(not re.search("s:cr@t|s%3Acr|" + re.escape(SECRET_URL), log), "no log has the password")
    for name, sim in sims.items():
        inside = folder / name
        inside.mkdir()
        problems = sim.problems(inside)
        if problems is None:
            skip("what is asked is valid", "NVRD_ONVIF does not name the validator's folder")
            break
        report(problems == "", f"{name}: what it is asked is valid", problems)


# --- what goes wrong, and what becomes of it ---

def check_refusals(rtsp):
    """Each ends in one clear reason; and is tried again."""
    locked = simulated(rtsp)
    locked.password = "another"
    silent = simulated(rtsp, refuses=True)
    mute = simulated(rtsp, services="none")
    lone = OnvifCamera({"only": rtsp.url("main")}, USER, PASSWORD)
    cameras = {"locked": source(locked), "silent": source(silent), "mute": source(mute), "lone": source(lone), "away": {"source": '"onvif://127.0.0.1:1"'},
               "sub": {"source": '"test:"', "substream": f'"{lone.url(user=SECRET_URL)}"', "substream_always": "yes"}}
    nvrd = Nvrd(cameras, extra="log: {level: debug}")
    for name, reason, words in (("locked", "unauthorized", "wrong user or password"), ("away", "refused", "connection refused"),
                                ("mute", "fault", "the camera says no: it has no media service"), ("sub/sub", "no_video", "the camera offers no video track: it has one stream only")):
        value = lambda: nvrd.metric(f'nvrd_camera_failures_total{{camera="{name}",reason="{reason}"}}')
        report(wait_for(lambda: value() == 1 and f"camera {name}: {words}" in nvrd.log(), 20), f"{name}: one reason, in log and metric", nvrd.log()[-3000:])
    report(locked.operations().count("GetProfiles") <= 4, "locked: few wrong logins", locked.operations())
    report(wait_for(lambda: nvrd.metric('nvrd_camera_events_failures_total{camera="silent",reason="fault"}') >= 2, 20), "silent: its events are asked for again", nvrd.log()[-2000:])
    report("CreatePullPointSubscription ActionNotSupported" in nvrd.log(), "silent: and the reason is told")
    report(frames(nvrd, "silent") > 0, "silent: it is pulled all the same")
    silent.refuses = False
    report(wait_for(lambda: heard(nvrd, "silent"), 20), "silent: in the end it tells", nvrd.log()[-2000:])
    report(wait_for(lambda: frames(nvrd, "lone") > 0, 20) and b"lone/sub" not in nvrd.get("/live/lone/index.m3u8"), "lone: one stream, and no smaller one")
    report(PASSWORD not in nvrd.log() and SECRET_URL not in nvrd.log(), "no log has the password")
    report(nvrd.stop() == 0, "nvrd ends well")
    lone.stop()


def check_outages(rtsp):
    """The camera reboots, forgets, is deaf: what happens later is heard."""
    camera = simulated(rtsp)
    nvrd = Nvrd({"yard": source(camera, record="off")})
    report(wait_for(lambda: heard(nvrd, "yard"), 20), "a camera is heard", nvrd.log()[-1500:])
    camera.event()
    report(wait_for(lambda: events(nvrd, "yard") == 1, 10), "an event")
    for number, (what, outage) in enumerate((("a reboot", camera.reboot), ("an expired subscription", camera.forget), ("another that takes the place", camera.usurp)), 2):
        before = camera.operations().count("PullMessages")
        outage()
        report(wait_for(lambda: camera.listeners() and camera.operations().count("PullMessages") > before, 30), f"after {what} it is subscribed to anew", camera.operations()[-9:])
        camera.event(source=f"R{number}")
        report(wait_for(lambda: events(nvrd, "yard") == number, 10), f"and after {what} an event is heard", nvrd.log()[-1500:])
    camera.lifetime = 4
    camera.forget()
    wait_for(lambda: camera.listeners(), 20)
    camera.deaf = True
    report(wait_for(lambda: nvrd.metric('nvrd_camera_events_failures_total{camera="yard",reason="timeout"}') >= 1, 30), "a camera that went deaf is noticed", nvrd.log()[-1500:])
    camera.deaf = False
    report(wait_for(lambda: heard(nvrd, "yard") and camera.listeners(), 90), "and heard when it is not any more", nvrd.log()[-1500:])
    camera.event(source="R5")
    report(wait_for(lambda: events(nvrd, "yard") == 5, 10), "with what happens then", nvrd.log()[-1500:])
    report(nvrd.stop() == 0, "nvrd ends well")


# --- what is recorded ---

PRE, POST, LASTS = 3, 2, 4


def check_recording(rtsp):
    """Motion makes a recording from before its begin to after its end; the camera's smaller stream is the substream."""
    camera = simulated(rtsp)
    url = rtsp.url("main", user=SECRET_URL)
    nvrd = Nvrd({"porch": source(camera, record="events", pre_event=f"{PRE}s", post_event=f"{POST}s"),
                 "beside": {"source": f'"{url}"', "transport": "tcp", "record": "off"}}, segment="1h")
    report(wait_for(lambda: frames(nvrd, "porch") > (PRE + 3) * 25 and camera.listeners(), 30), "seconds arrive")
    camera.event()
    began = frames(nvrd, "porch")
    report(wait_for(lambda: events(nvrd, "porch") == 1, 2), "motion is heard of at once")
    report(wait_for(lambda: frames(nvrd, "porch") > began + LASTS * 25, 20), "it lasts")
    camera.event(value="false")
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') == 1, 30), "and is recorded", nvrd.log()[-1500:])
    report(wait_for(lambda: b"sub" in nvrd.get("/live/porch/index.m3u8"), 20), "the smaller stream is there", nvrd.get("/live/porch/index.m3u8"))
    report(nvrd.get("/live/porch/sub/snapshot.jpg")[:2] == b"\xff\xd8", "and gives a picture")
    report(wait_for(lambda: frames(nvrd, "porch/sub") > 0, 20), "pulled by itself")
    report(nvrd.stop() == 0, "nvrd ends well")
    packets = media.packets(nvrd.files("porch")[0])
    seconds = len(packets) / 25
    # its begin is a keyframe, which come each two seconds
    report(PRE + LASTS + POST - 1 <= seconds <= PRE + LASTS + POST + 6, "from before it began to after it ended", seconds)
    shown = media.run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(nvrd.files("porch")[0])).decode().strip()
    report(shown == "1280,720", "of the larger stream", shown)


def check_hold(rtsp):
    """A camera that never says that it is over (Q128); one whose subscription was away while it said so."""
    camera = simulated(rtsp)
    nvrd = Nvrd({"hall": source(camera, record="off", event_hold="3s")})
    report(wait_for(lambda: heard(nvrd, "hall") and camera.listeners(), 20), "a camera is heard", nvrd.log()[-1500:])
    camera.event(source="never over")
    report(wait_for(lambda: "nobody says that the motion is over" in nvrd.log(), 20), "what nobody says is over is over when the configuration says so", nvrd.log()[-1500:])
    camera.event(source="never over")
    report(wait_for(lambda: events(nvrd, "hall") == 2, 10), "and may begin again")
    report(nvrd.stop() == 0, "nvrd ends well")
    with contextlib.closing(sqlite3.connect(nvrd.store / "nvrd.db")) as database:
        lengths = [row[0] / 1e6 for row in database.execute("select end_us - start_us from events order by start_us")]
    report(len(lengths) == 2 and lengths[0] >= 3, "it is written down so", lengths)


def check_beside(rtsp):
    """`onvif:` beside a source of RTSP."""
    camera = simulated(rtsp, services="media")
    nvrd = Nvrd({"gate": {"source": f'"{rtsp.url("sub", user=SECRET_URL)}"', "onvif": f'"{camera.url(user=SECRET_URL)}"', "record": "off"}})
    report(wait_for(lambda: heard(nvrd, "gate") and frames(nvrd, "gate") > 0 and camera.listeners(), 20), "beside an RTSP source it is heard", nvrd.log()[-1500:])
    camera.event("tns1:Device/Trigger/DigitalInput", name="LogicalState")
    report(wait_for(lambda: events(nvrd, "gate", "input") == 1, 10), "a digital input")
    report("GetProfiles" not in camera.operations(), "and is not asked for its streams", camera.operations())
    nvrd.configure({"gate": {"source": '"test:"'}})
    nvrd.reload()
    report(wait_for(lambda: not camera.listeners(), 10), "when the configuration no longer names it, it hears the farewell", camera.operations()[-4:])
    report(nvrd.stop() == 0, "nvrd ends well")


METADATA = ("<tt:MetadataStream xmlns:tt='http://www.onvif.org/ver10/schema' xmlns:wsnt='http://docs.oasis-open.org/wsn/b-2'><tt:Event><wsnt:NotificationMessage>"
            "<wsnt:Topic>tns1:RuleEngine/CellMotionDetector/Motion</wsnt:Topic><wsnt:Message><tt:Message UtcTime='2001-01-01T00:00:00Z' PropertyOperation='Changed'>"
            "<tt:Source><tt:SimpleItem Name='Rule' Value='{}'/></tt:Source><tt:Data><tt:SimpleItem Name='IsMotion' Value='true'/></tt:Data>"
            "</tt:Message></wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>")


def tell_beside(session, n, unit, packets):
    """Each second other motion, beside the pictures."""
    if n % 10 == 5 and 1 in session.tracks:
        packets = [On(session.tracks[1].channel, rtp(METADATA.format(n).encode(), n, n * 9000, 77, True, 107)), *packets]
    return packets


def check_metadata(rtsp):
    """What the metadata track tells counts only while nothing tells by ONVIF."""
    track = ScriptedCamera(on_frame=tell_beside, sdp=lambda usual: usual + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=1\r\n")
    camera = simulated(rtsp, refuses=True)
    nvrd = Nvrd({"dock": {"source": f'"rtsp://127.0.0.1:{track.port}/stream"', "transport": "tcp", "onvif": f'"{camera.url(user=SECRET_URL)}"', "record": "off"}})
    report(wait_for(lambda: events(nvrd, "dock") >= 2, 20), "without a subscription the metadata track is heard", nvrd.log()[-1500:])
    camera.refuses = False
    report(wait_for(lambda: heard(nvrd, "dock"), 30), "until there is one", nvrd.log()[-1500:])
    before, seen = events(nvrd, "dock"), frames(nvrd, "dock")
    wait_for(lambda: frames(nvrd, "dock") > seen + 30, 20)
    report(events(nvrd, "dock") <= before + 1, "from then on it is not", events(nvrd, "dock") - before)
    report(nvrd.stop() == 0, "nvrd ends well")


# --- their clocks ---

def check_clock(rtsp, folder):
    """Cameras are told the time where they have another one, and we have the right one."""
    clock = MachineClock()
    behind, ahead = simulated(rtsp, clock=-3600, login="token"), simulated(rtsp, clock=86400)
    right, alone, guarded, stubborn = simulated(rtsp), simulated(rtsp, clock=5), simulated(rtsp, clock=-60, sets=None), simulated(rtsp, clock=60, sets="nothing")
    simple = {"substream_always": "no", "record": "off"}
    cameras = {name: source(camera, set_clock="yes", **simple) for name, camera in (("behind", behind), ("ahead", ahead), ("right", right), ("guarded", guarded), ("stubborn", stubborn))}
    cameras["alone"] = source(alone, **simple)
    nvrd = Nvrd(cameras, environment=clock.environment, extra="log: {level: debug}")
    says = lambda name, words: wait_for(lambda: re.search(f"camera {name}: its clock {words}", nvrd.log()), 30)
    for name, camera in (("behind", behind), ("ahead", ahead)):
        report(says(name, r"is \d+\.\d s \w+ and is not set: nobody has set ours"), f"{name}: a clock that nobody has set is no clock to set others by", nvrd.log()[-2000:])
        report("SetSystemDateAndTime" not in camera.operations(), f"{name}: it is left as it is")
    clock.say(0, True)
    wait_for(lambda: nvrd.metric("nvrd_clock_set") == 1, 30)
    for camera in (behind, ahead, guarded, stubborn):
        camera.reboot()
    for name, camera, words in (("behind", behind, r"was 3\d\d\d\.\d s behind and is set"), ("ahead", ahead, r"was 86\d\d\d\.\d s ahead and is set")):
        report(says(name, words) and abs(camera.clock) < 10, f"{name}: when it connects it is told the time", (camera.clock, nvrd.log()[-2000:]))
        before = events(nvrd, name)
        report(wait_for(lambda: heard(nvrd, name) and not camera.event(value="true") and events(nvrd, name) > before, 30), f"{name}: and goes on telling", nvrd.log()[-2000:])
    report(says("stubborn", r"is \d+\.\d s ahead and is not set: it was told the time, and has another one"), "stubborn: what it did not do is told", nvrd.log()[-2000:])
    nvrd.stop()
    nvrd = Nvrd(cameras, environment=clock.environment, extra="log: {level: debug}")
    says = lambda name, words: wait_for(lambda: re.search(f"camera {name}: its clock {words}", nvrd.log()), 30)
    report(says("guarded", r"is \d+\.\d s behind and is not set: .*SetSystemDateAndTime NotAuthorized"), "guarded: that the user may not is told", nvrd.log()[-2000:])
    told, asked = (guarded.operations().count(operation) for operation in ("SetSystemDateAndTime", "GetSystemDateAndTime"))
    guarded.reboot()
    report(wait_for(lambda: guarded.listeners() and guarded.operations().count("GetSystemDateAndTime") > asked, 40), "guarded: it is looked at when it comes back", guarded.operations()[-20:])
    report(not {"SetSystemDateAndTime"} & {*right.operations(), *alone.operations()} and alone.clock == 5, "what is right, and what is not to be set, is left as it is")
    for name, camera in (("behind", behind), ("guarded", guarded)):
        (folder / f"clock-{name}").mkdir()
        problems = camera.problems(folder / f"clock-{name}")
        if problems is not None:
            report(problems == "", f"{name}: what it is asked is valid", problems)
    report(nvrd.stop() == 0, "nvrd ends well")
    report(guarded.operations().count("SetSystemDateAndTime") == told and nvrd.log().count("camera guarded: its clock is") == 1, "guarded: but not told soon again, which is said once", nvrd.log()[-2000:])


def main():
    with tempfile.TemporaryDirectory() as folder:
        big = media.make("onvif-main", 60, size="1280x720", bitrate="800k")
        small = media.make("onvif-sub", 60, size="640x360", bitrate="300k")
        rtsp = Camera(f"main=file:{big}", f"sub=file:{small}", options=("--user", f"{USER}:{PASSWORD}"))
        check_faults(rtsp, pathlib.Path(folder))
        check_refusals(rtsp)
        check_outages(rtsp)
        check_recording(rtsp)
        check_hold(rtsp)
        check_beside(rtsp)
        check_metadata(rtsp)
        check_clock(rtsp, pathlib.Path(folder))
    finish()


main()
