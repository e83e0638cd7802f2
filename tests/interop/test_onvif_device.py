#!/usr/bin/env python3
"""nvrd as an ONVIF device: each operation by role, every answer by the strict schemas, and three clients that others have written."""
import base64
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

from daemon import HERE, Nvrd, finish, report, skip, spawn, end, wait_for
from onvif_soap import KIT, Soap, envelope, now, operations, problems, token
from replay_client import Replay
from scripted_camera import On, ScriptedCamera, rtp

USERS = """anna: {password: "secret", role: admin}
olga: {password: "open sesame", role: operator}
vic: {password: "view", role: viewer, cameras: [yard]}
pat: {password: "porch", role: viewer, cameras: [porch]}
hal: {password: "$nvrd$1$8ecb4a2a2bd0a3d4c3e5ff3a8d6c9f11$0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0", role: admin}"""
PASSWORDS = {"anna": "secret", "olga": "open sesame", "vic": "view"}
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-onvif-"))

HAPPENED = ("<tt:MetadataStream xmlns:tt='http://www.onvif.org/ver10/schema' xmlns:wsnt='http://docs.oasis-open.org/wsn/b-2'><tt:Event><wsnt:NotificationMessage>"
          "<wsnt:Topic>tns1:{}</wsnt:Topic><wsnt:Message><tt:Message UtcTime='2001-01-01T00:00:00Z' PropertyOperation='Changed'>"
          "<tt:Source><tt:SimpleItem Name='Rule' Value='R1'/></tt:Source><tt:Data><tt:SimpleItem Name='State' Value='{}'/></tt:Data>"
          "</tt:Message></wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>")
MOTION = "RuleEngine/CellMotionDetector/Motion"


class Motion:
    """What the camera says next in its metadata, and when it has said it."""

    def __init__(self):
        self.value, self.topic, self.said, self.at, self.sequence, self.told = None, MOTION, threading.Event(), 0, 0, {}

    def tell(self, value, topic=MOTION):
        self.said.clear()
        self.value, self.topic, self.told = value, topic, {}
        self.said.wait(20)
        return self.at

    def on_frame(self, session, n, unit, packets):
        if self.value and 1 in session.tracks and not self.told.get(session):  # the substream's session hears of it, too
            packets = [On(session.tracks[1].channel, rtp(HAPPENED.format(self.topic, self.value).encode(), self.sequence, n * 9000, 77, True, 107)), *packets]
            self.told[session] = True
            self.at = time.monotonic()
            self.sequence += 1
            self.said.set()
        return packets


# --- what there is, and who may: ONVIF Core Specification, "Access classes" and "Default Access Policy" ---

SETUP = "<{0}:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport></{0}:StreamSetup>"
KINDS = ("VideoSource", "VideoEncoder", "AudioSource", "AudioEncoder")
ANYBODY, VIEWER, OPERATOR, ADMIN = 0, 1, 2, 3
ROWS = [
    *((f"tds:{name}", "", ANYBODY) for name in ("GetSystemDateAndTime", "GetServiceCapabilities", "GetCapabilities", "GetWsdlUrl", "GetHostname", "GetEndpointReference")),
    ("tds:GetServices", "<tds:IncludeCapability>true</tds:IncludeCapability>", ANYBODY),
    *((f"{prefix}:GetServiceCapabilities", "", ANYBODY) for prefix in ("trt", "tr2", "tptz", "timg", "tev", "trc", "tse", "trp")),
    *((f"tds:{name}", "", VIEWER) for name in ("GetDeviceInformation", "GetScopes", "GetDiscoveryMode", "GetNetworkInterfaces", "GetNetworkProtocols",
                                               "GetNetworkDefaultGateway", "GetDNS", "GetNTP")),
    ("tds:GetUsers", "", ADMIN),
    *((f"trt:{name}", "", VIEWER) for name in ("GetProfiles", "GetVideoSources", "GetAudioSources")),
    *((f"trt:{name}", "<trt:ProfileToken>yard</trt:ProfileToken>", VIEWER) for name in ("GetProfile", "GetSnapshotUri", "SetSynchronizationPoint")),
    ("trt:GetStreamUri", SETUP.format("trt") + "<trt:ProfileToken>yard</trt:ProfileToken>", VIEWER),
    ("trt:GetGuaranteedNumberOfVideoEncoderInstances", "<trt:ConfigurationToken>yard</trt:ConfigurationToken>", VIEWER),
    *((f"trt:Get{kind}Configurations", "", VIEWER) for kind in KINDS),
    *((f"trt:GetCompatible{kind}Configurations", "<trt:ProfileToken>yard</trt:ProfileToken>", VIEWER) for kind in KINDS),
    *((f"trt:Get{kind}Configuration", "<trt:ConfigurationToken>yard</trt:ConfigurationToken>", VIEWER) for kind in KINDS),
    *((f"trt:Get{kind}ConfigurationOptions", "<trt:ConfigurationToken>yard</trt:ConfigurationToken>", VIEWER) for kind in KINDS),
    ("tr2:GetProfiles", "<tr2:Type>All</tr2:Type>", VIEWER),
    *((f"tr2:Get{kind}Configurations", "", VIEWER) for kind in KINDS),
    *((f"tr2:Get{kind}ConfigurationOptions", "<tr2:ProfileToken>yard</tr2:ProfileToken>", VIEWER) for kind in KINDS),
    ("tr2:GetVideoEncoderInstances", "<tr2:ConfigurationToken>yard</tr2:ConfigurationToken>", VIEWER),
    ("tr2:GetStreamUri", "<tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>yard</tr2:ProfileToken>", VIEWER),
    ("tr2:GetSnapshotUri", "<tr2:ProfileToken>yard</tr2:ProfileToken>", VIEWER),
    ("tr2:SetSynchronizationPoint", "<tr2:ProfileToken>yard</tr2:ProfileToken>", VIEWER),
    ("trc:GetRecordings", "", VIEWER),
    ("trc:GetRecordingJobs", "", VIEWER),
    ("trc:GetRecordingConfiguration", "<trc:RecordingToken>yard</trc:RecordingToken>", VIEWER),
    ("trc:GetRecordingOptions", "<trc:RecordingToken>yard</trc:RecordingToken>", VIEWER),
    ("trc:GetTrackConfiguration", "<trc:RecordingToken>yard</trc:RecordingToken><trc:TrackToken>video</trc:TrackToken>", VIEWER),
    ("trc:GetRecordingJobConfiguration", "<trc:JobToken>yard</trc:JobToken>", VIEWER),
    ("trc:GetRecordingJobState", "<trc:JobToken>yard</trc:JobToken>", VIEWER),
    ("tse:GetRecordingSummary", "", VIEWER),
    ("tse:GetRecordingInformation", "<tse:RecordingToken>yard</tse:RecordingToken>", VIEWER),
    ("tse:GetMediaAttributes", f"<tse:RecordingTokens>yard</tse:RecordingTokens><tse:Time>{now()}</tse:Time>", VIEWER),
    ("tse:FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>", VIEWER),
    ("tse:FindEvents", f"<tse:StartPoint>{now(-60)}</tse:StartPoint><tse:Scope/><tse:SearchFilter/><tse:IncludeStartState>true</tse:IncludeStartState>"
     "<tse:KeepAliveTime>PT10S</tse:KeepAliveTime>", VIEWER),
    ("trp:GetReplayUri", SETUP.format("trp") + "<trp:RecordingToken>yard</trp:RecordingToken>", VIEWER),
    ("trp:GetReplayConfiguration", "", VIEWER),
    ("trp:SetReplayConfiguration", "<trp:Configuration><tt:SessionTimeout>PT60S</tt:SessionTimeout></trp:Configuration>", OPERATOR),
    ("tev:GetEventProperties", "", VIEWER),
    ("tev:CreatePullPointSubscription", "<tev:InitialTerminationTime>PT10S</tev:InitialTerminationTime>", VIEWER),
]


def check_roles(nvrd):
    wrong = []
    for rank, user in enumerate((None, "vic", "olga", "anna")):
        client = Soap(nvrd.http, user, PASSWORDS.get(user), FOLDER)
        for operation, body, least in ROWS:
            answer = client.call(operation, body)
            may = rank >= least
            expected = (200, "") if may else (400 if user else 401, "NotAuthorized")
            if (answer.status, answer.fault) != expected:
                wrong.append((user, operation, answer.status, answer.fault))
    report(not wrong, f"{len(ROWS)} operations are for nobody, viewers, operators and admins as the access classes say", wrong)
    anna, vic = (Soap(nvrd.http, user, PASSWORDS[user], FOLDER) for user in ("anna", "vic"))
    report(anna.call("trt:GetProfiles").tokens("Profiles") == ["porch", "porch/sub", "yard"], "a profile for each stream")
    report(vic.call("trt:GetProfiles").tokens("Profiles") == ["yard"] and vic.call("trc:GetRecordings").all("RecordingToken") == ["yard"]
           and vic.call("trt:GetStreamUri", "<trt:ProfileToken>porch</trt:ProfileToken>").fault == "NoProfile"
           and vic.call("trp:GetReplayUri", "<trp:RecordingToken>porch</trp:RecordingToken>").fault == "NoRecording", "of cameras that a user may not see, he is not told")
    report(anna.call("trt:CreateProfile").fault == "ActionNotSupported" and anna.call("tptz:SetConfiguration").fault == "ActionNotSupported", "what is not supported says so")


# --- logins ---

def check_logins(nvrd):
    anybody = Soap(nvrd.http, folder=FOLDER)
    ask = "<tds:GetUsers/>"

    def asked(header, source="127.0.0.1"):
        answer = anybody.post("/onvif/device_service", envelope(ask, header), source=source)
        return answer.status, answer.fault

    once = token("anna", "secret")
    refused = (400, "NotAuthorized")
    report(asked(once) == (200, ""), "a token is good")
    report(asked(once, "127.0.0.2") == refused, "once")
    report(asked(once) == (200, ""), "but for the host that has just used it")
    report(asked(token("anna", "wrong")) == refused, "a wrong password is refused")
    report(asked(token("anna", "secret", created=now(-290))) == (200, "") and asked(token("anna", "secret", created=now(290))) == (200, ""), "a clock may be five minutes off")
    report(asked(token("anna", "secret", created=now(-310))) == refused and asked(token("anna", "secret", created=now(310))) == refused, "and no more")
    report(asked(token("anna", "secret", kind="#PasswordText")) == refused, "a password as it is, is refused")
    report(asked(token("nobody", "")) == refused and asked(token("hal", "x")) == refused, "who is not known is refused, and whose password is kept as a hash")
    answer = anybody.post("/onvif/device_service", envelope(ask))
    report(answer.status == 401 and 'Digest realm="nvrd"' in str(answer.fields), "who says nothing is asked by HTTP", answer.fields)
    words = ["curl", "-sS", "--digest", "-u", "anna:secret", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/soap+xml", "--data-binary", envelope(ask),
             f"http://{nvrd.http}/onvif/device_service"]
    report(subprocess.run(words, capture_output=True, text=True).stdout == "200", "HTTP Digest is good, too")
    words[words.index("anna:secret")] = "vic:view"
    report(subprocess.run(words, capture_output=True, text=True).stdout == "400", "and has the user's role")


# --- what nobody should send ---

def check_hostile(nvrd):
    client = Soap(nvrd.http, "anna", "secret", FOLDER)
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(8)) + "]>"
    whole = envelope("<tds:GetHostname/>")
    body = whole.partition("?>")[2]
    cases = {
        "an entity bomb": bomb + body.replace("<tds:GetHostname/>", "<tds:GetHostname>&i;</tds:GetHostname>"),
        "an external entity": "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + body,
        "deep nesting": envelope("<a>" * 5000 + "</a>" * 5000),
        "a tag with 20000 attributes": envelope("<a " + " ".join(f"a{i}=''" for i in range(20000)) + "/>"),
        "half a message": whole[:-20],
        "no XML": "GetHostname",
        "an empty body": envelope(""),
        "UTF-16": whole.encode("utf-16"),
    }
    for name, text in cases.items():
        answer = client.post("/onvif/device_service", text)
        report(answer.status == 400 and answer.fault == "WellFormed", f"{name} is refused", (answer.status, answer.text[:300]))
    large = client.post("/onvif/device_service", envelope("<tds:GetHostname>" + " " * (256 << 10) + "</tds:GetHostname>"))
    report(large.status == 413, "more than 256 KiB are refused", large.status)
    nothing = client.post("/onvif/device_service", "")
    report(nothing.status == 401, "nothing at all is asked who it is", nothing.status)
    foreign = client.post("/onvif/device_service", envelope("<x:GetHostname xmlns:x='urn:x'/>"))
    report(foreign.fault == "UnknownAction", "another namespace is another operation", foreign.text)
    same = client.post("/onvif/recording_service", envelope("<h:GetHostname xmlns:h='http://www.onvif.org/ver10/device/wsdl'/>"))
    report(same.status == 200, "prefix and path do not count", same.text)
    foreign = [client.post("/onvif/device_service", whole, {"Content-Type": kind, "Origin": "http://evil.example"}).status for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")]
    report(foreign == [415, 415, 415], "a web page cannot send it without being asked", foreign)
    filters = {"count(" + "//*" * 60 + ")>0": 200, "(" * 200: 400, "//Track" + "[1]" * 200: 400}
    for text, status in filters.items():
        answer = client.call("tse:FindRecordings", f"<tse:Scope><tt:RecordingInformationFilter>{text}</tt:RecordingInformationFilter></tse:Scope><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>")
        report(answer.status == status, f"the filter {text[:20]}… is answered {status}", answer.text)
    while client.call("tse:FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>").status == 200:
        pass
    report(client.call("tse:FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>").fault == "OutofMemory", "there is a limit of searches")
    report(wait_for(lambda: client.call("tse:FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>").status == 200, 30), "those that nobody asks for are forgotten")


# --- searching ---

TOPICS = "<wsnt:TopicExpression Dialect='http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet'>{}</wsnt:TopicExpression>"


CONTENT = "<wsnt:MessageContent Dialect='http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter'>{}</wsnt:MessageContent>"


def find_results(client, start, finish_at=None, topics="", with_start=False, camera="yard", matches=None, content="", results=2):
    """(track, topic, value, whether it is how it was where that begins, instant) of each."""
    answer = client.call("tse:FindEvents", f"<tse:StartPoint>{start}</tse:StartPoint>{f'<tse:EndPoint>{finish_at}</tse:EndPoint>' if finish_at else ''}<tse:Scope><tt:IncludedRecordings>{camera}"
                         f"</tt:IncludedRecordings></tse:Scope><tse:SearchFilter>{TOPICS.format(topics) if topics else ''}{CONTENT.format(content) if content else ''}</tse:SearchFilter>"
                         f"<tse:IncludeStartState>{str(with_start).lower()}</tse:IncludeStartState>{f'<tse:MaxMatches>{matches}</tse:MaxMatches>' if matches else ''}"
                         "<tse:KeepAliveTime>PT10S</tse:KeepAliveTime>")
    search, found = answer.one("SearchToken"), []
    for _ in range(100):
        answer = client.call("tse:GetEventSearchResults", f"<tse:SearchToken>{search}</tse:SearchToken><tse:MaxResults>{results}</tse:MaxResults><tse:WaitTime>PT5S</tse:WaitTime>")
        times = [datetime.datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp() for t in answer.all("Time")]
        found += list(zip(answer.all("TrackToken"), answer.all("Topic"), re.findall(r'<tt:Data>.*?Value="(\w+)"', answer.text, re.DOTALL), answer.all("StartStateEvent"), times))
        if answer.one("SearchState") == "Completed":
            break
    ended = client.call("tse:EndSearch", f"<tse:SearchToken>{search}</tse:SearchToken>").status
    return found if ended == 200 else None


def find_events(*words, **more):
    return [result[:4] for result in find_results(*words, **more)]


def check_search(nvrd):
    client, olga = (Soap(nvrd.http, user, PASSWORDS[user], FOLDER) for user in ("anna", "olga"))
    track, recording = "tns1:RecordingHistory/Track/State", "tns1:RecordingHistory/Recording/State"
    begins = [("video", recording, "true", "false"), ("video", track, "true", "false"), ("audio", track, "true", "false")]
    report(find_events(client, now(-600)) == begins, "FindEvents says when a recording began, in pages", find_events(client, now(-600)))
    backward = find_events(client, now(), now(-600), "tns1:RecordingHistory/Track//.", with_start=True)
    report(backward == [(*event[:3], "true") for event in begins[1:]] + begins[1:], "backward, by topic, from how it was where that begins", backward)
    report(find_events(client, now(-600), now(-500), with_start=True) == [("video", recording, "false", "true"), ("video", track, "false", "true")], "and how it was where it begins")
    search = client.call("tse:FindRecordings", "<tse:Scope><tt:IncludedSources><tt:Token>yard</tt:Token></tt:IncludedSources></tse:Scope><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>").one("SearchToken")
    ask = f"<tse:SearchToken>{search}</tse:SearchToken>"
    report(olga.call("tse:GetRecordingSearchResults", ask).fault == "InvalidToken", "a search is its user's")
    report(client.call("tse:GetRecordingSearchResults", ask).all("RecordingToken") == ["yard"] and client.call("tse:GetSearchState", ask).one("State") == "Completed", "it has what its scope has")
    report(client.call("tse:EndSearch", ask).status == 200 and client.call("tse:GetRecordingSearchResults", ask).fault == "InvalidToken", "and is over when it was ended")
    bad = client.call("tse:FindRecordings", "<tse:Scope><tt:RecordingInformationFilter>((</tt:RecordingInformationFilter></tse:Scope><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>")
    report(bad.fault == "InvalidFilterFault", "a filter that is none is refused")


# What the camera says, and what is found of it: the table of docs/ONVIF.md.
HAPPENS = {
    MOTION: (MOTION, "VideoSource/MotionAlarm"),
    "RuleEngine/TamperDetector/Tamper": ("VideoSource/GlobalSceneChange/ImagingService",),
    "Device/Trigger/DigitalInput": ("Device/Trigger/DigitalInput",),
    "RuleEngine/PeopleDetector/People": ("RuleEngine/MyRuleDetector/PeopleDetect",),
    "RuleEngine/MyRuleDetector/VehicleDetect": ("RuleEngine/MyRuleDetector/VehicleDetect",),
}


def this_instant():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_happened(nvrd, motion):
    """What the camera tells is found later, with its times."""
    client = Soap(nvrd.http, "anna", "secret", FOLDER)
    events = "tns1:RuleEngine//.|tns1:VideoSource//.|tns1:Device//."
    wait_for(lambda: [result[2] for result in find_results(client, now(-600), topics="tns1:" + MOTION, camera="porch")][-1:] == ["false"], 30, "what was told before is over")
    started, told, steps = this_instant(), [], []

    def found(topics=events, **more):
        return find_results(client, started, topics=topics, camera="porch", **more)

    for said, topics in HAPPENS.items():
        for value in ("true", "false"):
            before = time.time()
            motion.tell(value, said)
            steps.append(wait_for(lambda: len(found()) == len(told) + len(topics), 30))
            told += [("tns1:" + topic, value, before, time.time()) for topic in topics]
    results = found()
    report([result[1:3] for result in results] == [event[:2] for event in told], f"FindEvents finds the begins and ends of {len(HAPPENS)} kinds of events, in the order of time", results)
    report(all(steps), "what is under way has begun, and no end")
    wrong = [(result, event) for result, event in zip(results, told) if not event[2] - 0.1 <= result[4] <= event[3]]
    report(not wrong and len(results) == len(told), "each between the camera's telling and our finding it", wrong)
    report(find_results(client, this_instant(), started, events, camera="porch") == sorted(results, key=lambda result: -result[4]), "backward, too")
    report(found(matches=3) == results[:3] and find_results(client, this_instant(), started, events, camera="porch", matches=3) == results[-3:][::-1], "and no more than are wanted")
    report(found("tns1:VideoSource/MotionAlarm", with_start=True) == [("video", "tns1:VideoSource/MotionAlarm", "false", "true", found(with_start=True)[0][4]), *results[1:4:2]], "by topic")
    filtered = found("", content='boolean(//tt:SimpleItem[@Name="State" and @Value="true"]) and not(boolean(//tt:SimpleItem[@Name="Source" and @Value="yard"]))')
    report(filtered == [result for result in results if result[2] == "true" and result[1] not in ("tns1:" + MOTION, "tns1:Device/Trigger/DigitalInput")], "and by content", filtered)
    motion.tell("7", "RuleEngine/LineDetector/Crossed")
    report(wait_for(lambda: [r[1] for r in found("tns1:RuleEngine/LineDetector/Crossed")] == ["tns1:RuleEngine/LineDetector/Crossed"], 30), "a line that is crossed has no end", found())


def check_many(nvrd, count=1300):
    """More than the catalogue is asked for at once, of recordings and of events: each begins and ends."""
    client = Soap(nvrd.http, "anna", "secret", FOLDER)
    start, step = 1_000_000_000, 20
    rows = [(start + i * step) * 10**6 for i in range(count)]
    with contextlib.closing(sqlite3.connect(nvrd.store / "nvrd.db", timeout=30)) as database, database:
        database.executemany("insert into segments (camera, stream, path, folder, start_us, end_us, bytes, codecs, width, height, state)"
                             " values ('yard', 'main', 'recordings/yard/old/' || ?1, 'recordings/yard/old', ?1, ?1 + 8000000, 1000, 'avc1.42c01e', 640, 360, 1)", [(us,) for us in rows])
        database.executemany("insert into events (camera, start_us, kind, end_us) values ('yard', ?1 + 1000000, 0, ?1 + 2000000)", [(us,) for us in rows])
    wanted = [(topic, value, start + i * step + after) for i in range(count) for topic, value, after in (
        ("tns1:RecordingHistory/Recording/State", "true", 0), ("tns1:VideoSource/MotionAlarm", "true", 1), ("tns1:VideoSource/MotionAlarm", "false", 2),
        ("tns1:RecordingHistory/Recording/State", "false", 8))]
    at = [datetime.datetime.fromtimestamp(start + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") for seconds in (-step, count * step)]
    topics = "tns1:RecordingHistory/Recording/State|tns1:VideoSource/MotionAlarm"
    for how, expected, (first, last) in (("in the order of time", wanted, at), ("backward", wanted[::-1], at[::-1])):
        found = [(*result[1:3], result[4]) for result in find_results(client, first, last, topics, results=1000)]
        report(found == expected, f"FindEvents finds {len(wanted)} changes of many recordings and events, {how}", (len(found), [pair for pair in zip(found, expected) if pair[0] != pair[1]][:3]))


def check_zeep(nvrd):
    if not KIT:
        skip("zeep", "NVRD_ONVIF does not name the folder with ONVIF's WSDLs")
        return
    words = ["/usr/bin/python3", HERE / "onvif_zeep.py", KIT, nvrd.http, "anna", "secret"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if "No module named 'zeep'" in done.stderr:
        skip("zeep", "python3-zeep is not installed")
        return
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    report(found.get("recordings") == ["porch", "yard"] and found["states"] == ["Completed"] * 2 and found["tracks"] == ["Video", "Audio"], "zeep finds the recordings", done.stderr[-2000:] or found)
    report(found.get("events") == [["yard", track, found.get("earliest")] for track in ("video", "video", "audio")], "and FindEvents what has happened", found.get("events"))
    if not report(found.get("uri") == f"rtsp://{nvrd.rtsp}/recordings/yard", "and where to replay one", found.get("uri")):
        return
    login = {"Authorization": "Basic " + base64.b64encode(b"anna:secret").decode()}
    start = datetime.datetime.fromtimestamp(found["earliest"] + 2, datetime.timezone.utc)
    replay = Replay(nvrd.rtsp, found["uri"].split("/", 3)[3])
    replay.describe(**login)
    replay.set_up(**login)
    replay.play(Range=f"clock={start:%Y%m%dT%H%M%S.%fZ}-", Rate_Control="no", **login)
    first = next(replay.units(most=1)).packets[0].us / 1e6
    report(0 <= start.timestamp() - first <= 2, "and plays from the right instant on what GetReplayUri says", (start, first))
    replay.close()


# --- clients ---

def read_lines(process, said, times):
    for line in process.stdout:
        row = json.loads(line)
        times.append((time.monotonic(), row))
        said.setdefault(row["what"], row["value"])


def is_motion(row, value):
    return row["what"] == "event" and "MotionAlarm" in row["value"]["topic"]["_"] and json.dumps(row["value"]["message"]).count(f'"Value": {json.dumps(value)}') > 0


def check_npm(nvrd, motion):
    node = shutil.which("node")
    if not node or not any((pathlib.Path(p) / "onvif" / "package.json").is_file() for p in os.environ.get("NODE_PATH", "").split(":")):
        skip("npm's onvif", "node or the package is not there")
        return
    host, port = nvrd.http.split(":")
    process = spawn([node, HERE / "onvif_client.mjs", host, port, "anna", "secret"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said, times = {}, []
    threading.Thread(target=read_lines, args=(process, said, times), daemon=True).start()
    report(wait_for(lambda: "snapshot" in said or "error" in said, 30) and "error" not in said, "npm's onvif connects", said)
    report(said.get("information", {}).get("manufacturer") == "nvrd", "it has the device's information", said)
    report(said.get("profiles") == ["porch", "porch/sub", "yard"], "the profiles", said)
    url = said.get("stream", "").replace("rtsp://", "rtsp://anna:secret@")
    probe = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url], capture_output=True, text=True, timeout=60)
    report("h264" in probe.stdout, "the stream, which ffprobe plays", (url, probe.stderr))
    report(nvrd.get("/" + said.get("snapshot", "").split("/", 3)[-1])[:2] == b"\xff\xd8", "the snapshot, which is a JPEG")
    wait_for(lambda: any(row["what"] == "event" for _, row in times), 20)
    for value in ("true", "false"):
        before = len(times)
        at = motion.tell(value)
        heard = wait_for(lambda: next((when for when, row in times[before:] if is_motion(row, value == "true")), None), 20)
        report(heard is not None and heard - at < 1, f"motion that is {value} is heard within a second", (heard, at, times[before:]))
    end(process)


# --- events ---

def check_events(nvrd, motion):
    client, vic = (Soap(nvrd.http, user, PASSWORDS[user], FOLDER) for user in ("anna", "vic"))
    answer = client.call("tev:CreatePullPointSubscription", "<tev:Filter><wsnt:TopicExpression Dialect='http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet'>tns1:RuleEngine//.|"
                         "tns1:VideoSource/SignalLoss</wsnt:TopicExpression></tev:Filter>", header="<wsa:MessageID>urn:uuid:7</wsa:MessageID>")
    path = "/" + answer.one("Address").split("/", 3)[3]
    report("<wsa:RelatesTo>urn:uuid:7</wsa:RelatesTo>" in answer.text, "an answer says what it relates to")

    def pull(seconds, who=client):
        return who.call("tev:PullMessages", f"<tev:Timeout>PT{seconds}S</tev:Timeout><tev:MessageLimit>50</tev:MessageLimit>", path=path, timeout=seconds + 15)

    first = pull(0)
    report(set(first.all("Topic")) - {"tns1:RuleEngine/CellMotionDetector/Motion"} == {"tns1:VideoSource/SignalLoss"} and 'PropertyOperation="Initialized"' in first.text,
           "a subscription begins with how everything is, by its filter", first.text)
    started = time.monotonic()
    report(not pull(1).all("Topic") and time.monotonic() - started > 0.9, "and waits when nothing happens")
    motion.tell("true")
    heard = pull(20)
    report(heard.all("Topic") == ["tns1:RuleEngine/CellMotionDetector/Motion"] and 'Name="IsMotion" Value="true"' in heard.text and 'Value="porch"' in heard.text, "motion is told", heard.text)
    motion.tell("false")
    report('Name="IsMotion" Value="false"' in pull(20).text, "and its end")
    report(pull(0, vic).status == 400, "a subscription is its user's")
    client.call("tev:SetSynchronizationPoint", path=path)
    report('PropertyOperation="Initialized"' in pull(0).text, "SetSynchronizationPoint: how everything is, once more")
    report(client.call("wsnt:Renew", "<wsnt:TerminationTime>PT30S</wsnt:TerminationTime>", path=path).status == 200, "it is renewed by a duration")
    report(client.call("wsnt:Renew", f"<wsnt:TerminationTime>{now(30)}</wsnt:TerminationTime>", path=path).status == 200, "and by an instant")
    report(nvrd.metric("nvrd_onvif_subscriptions") >= 1, "it is counted")
    report(client.call("wsnt:Unsubscribe", path=path).status == 200 and pull(0).status == 400, "and is over when it was ended")
    path = "/" + client.call("tev:CreatePullPointSubscription").one("Address").split("/", 3)[3]
    states = pull(0)
    report({"tns1:RecordingConfig/JobState", "tns1:Device/HardwareFailure/StorageFailure", "tns1:VideoSource/MotionAlarm"} <= set(states.all("Topic"))
           and 'Name="RecordingJobToken" Value="porch"' in states.text and 'Name="State" Value="Active"' in states.text, "without a filter all is told, recording jobs and the store, too", states.text)
    answer = client.call("tev:CreatePullPointSubscription", "<tev:Filter>" + CONTENT.format('boolean(//tt:SimpleItem[@Value="porch"]) and boolean(//tt:SimpleItem[@Name="IsMotion" and @Value="true"])') + "</tev:Filter>")
    path = "/" + answer.one("Address").split("/", 3)[3]
    before = pull(0).all("Topic")
    motion.tell("true")
    motion.tell("false")
    motion.tell("true")
    heard = [pull(20)]
    if len(heard[0].all("Topic")) == 1:
        heard.append(pull(20))
    told = [(topic, value) for answer in heard for topic, value in zip(answer.all("Topic"), re.findall(r'Name="IsMotion" Value="(\w+)"', answer.text))]
    report(not before and told == [("tns1:" + MOTION, "true")] * 2, "a filter by content is met by what is told", (before, told))
    motion.tell("false")
    client.call("wsnt:Unsubscribe", path=path)
    for filters in ("<wsnt:TopicExpression Dialect='x'>a b</wsnt:TopicExpression>", CONTENT.format("count(//tt:SimpleItem) > 1"), CONTENT.format("")):
        bad = client.call("tev:CreatePullPointSubscription", f"<tev:Filter>{filters}</tev:Filter>")
        report(bad.fault == "InvalidFilterFault", f"a filter that is none is refused: {filters[-40:]}")


def check_messages():
    if not KIT:
        skip("the strict schemas", "NVRD_ONVIF does not name their folder")
        return
    said = problems(FOLDER)
    report(not said, f"all {len(list(FOLDER.iterdir()))} answers are valid by the strict schemas", said)
    names = {"tds": "device", "trt": "media", "tr2": "media2", "tptz": "ptz", "timg": "imaging", "tev": "events", "trc": "recording", "tse": "search", "trp": "replay"}
    seen = operations(FOLDER)
    missing = [row[0] for row in ROWS if (names[row[0].partition(":")[0]], row[0].partition(":")[2]) not in seen]
    report(not missing, "each operation's answer was among them", missing)


def check_another_nvrd(nvrd, motion):
    """Its camera is the one that its user may see."""
    other = Nvrd({"far": {"source": f'"onvif://pat:porch@{nvrd.http}"', "record": "events", "pre_event": "2s", "post_event": "2s"}})
    fragments = 'nvrd_recorder_fragments_total{camera="far"}'
    report(wait_for(lambda: other.metric('nvrd_camera_events_up{camera="far"}') == 1 and other.metric('nvrd_camera_frames_total{camera="far",kind="video"}') > 20, 30),
           "another nvrd takes this one for its camera", other.log()[-2000:])
    report(other.metric(fragments) == 0, "it waits for an event")
    motion.tell("true")
    report(wait_for(lambda: other.metric('nvrd_events_total{camera="far",kind="motion"}') >= 1, 10), "it hears of motion", other.log()[-2000:])
    report(wait_for(lambda: other.metric(fragments) > 2, 20), "and records it", other.log()[-2000:])
    motion.tell("false")
    report(wait_for(lambda: other.metric('nvrd_recorder_segments_total{camera="far"}') == 1, 20), "until it is over", other.log()[-2000:])
    report(other.stop() == 0, "it stops, too")


def main():
    motion = Motion()
    camera = ScriptedCamera(on_frame=motion.on_frame, sdp=lambda usual: usual + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=1\r\n")
    url = f"rtsp://127.0.0.1:{camera.port}/stream"
    nvrd = Nvrd({"porch": {"source": f'"{url}"', "substream": f'"{url}"', "transport": "tcp"}, "yard": {"source": '"test:"'}}, segment="1h", users=USERS, extra="rtsp: {basic: yes}", login=("anna", "secret"))
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') > 10 and nvrd.metric('nvrd_recorder_fragments_total{camera="yard"}') > 10, 60)
    check_roles(nvrd)
    check_logins(nvrd)
    check_search(nvrd)
    check_zeep(nvrd)
    check_npm(nvrd, motion)
    check_events(nvrd, motion)
    check_happened(nvrd, motion)
    check_another_nvrd(nvrd, motion)
    check_many(nvrd)
    check_hostile(nvrd)
    check_messages()
    report(nvrd.stop() == 0, "it stops")
    report("runtime error" not in nvrd.log() and "AddressSanitizer" not in nvrd.log(), "the sanitizers are silent", nvrd.log()[-3000:])
    shutil.rmtree(FOLDER, ignore_errors=True)
    finish()


main()
