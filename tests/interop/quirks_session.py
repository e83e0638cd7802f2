"""Quirks of addresses, messages, credentials, redirects and retries."""
import os
import re
import socket
import time
from urllib.parse import quote

from daemon import skip
from quirks import quirk
from scripted_camera import CLOSE, HANG, Gate, answer

LONG_S = 120  # the least wait after a refused password


# --- addresses ---

@quirk("r1 q22 q23", "Content-Base with a broken or foreign host")
def bases(t):
    usual = "rtsp://127.0.0.1:{port}/stream/trackID=0"
    cases = {
        "v6": ("rtsp://::ffff:192.0.2.1/stream/", usual),
        "v6port": ("rtsp://::ffff:192.0.2.1:554/stream/", usual),
        "twice": ("rtsp://rtsp://{host}:{port}/stream/", usual),
        "scheme": ("{host}:{port}/stream/", usual),
        "foreign": ("rtsp://192.0.2.1:554/other/base/", "rtsp://127.0.0.1:{port}/other/base/trackID=0"),
        "zero": ("rtsp://0.0.0.0:8554/stream/", usual),
        "relative": ("/stream/", usual),
        "none": (None, usual),
    }
    made = {t.camera(name, content_base=base): expected for name, (base, expected) in cases.items()}
    yield t.flows(*made)
    for camera, expected in made.items():
        t.equal(camera.of("SETUP")[0].uri, expected.format(port=camera.port), camera.name)
    t.check_first_time(*made)


@quirk("r2 q24 q25", "controls are appended to the base, queries and all")
def controls(t):
    cases = {  # path, base, control, where SETUP must go
        "query": ("/cam?channel=1&subtype=0", None, "trackID={}", "/cam?channel=1&subtype=0/trackID=0"),
        "querybase": ("/cam?channel=1&subtype=0", "{url}/", "trackID={}", "/cam?channel=1&subtype=0/trackID=0"),
        "lastpart": ("/live/ch1", "rtsp://{host}:{port}/live/ch1", "track{}", "/live/ch1/track0"),
        "slash": ("/stream", "{url}/", "/trackID={}", "/stream/trackID=0"),
        "absolute": ("/stream", "{url}/", "rtsp://192.0.2.9:554/elsewhere/track{}?x=1", "/elsewhere/track0?x=1"),
        "controlquery": ("/stream", "{url}/", "track{}?a=b", "/stream/track0?a=b"),
        "star": ("/stream", "{url}/", "*", "/stream/"),
        "empty": ("/stream", "{url}/", "", "/stream/"),
    }
    made = {}
    for name, (path, base, control, expected) in cases.items():
        made[t.camera(name, path=path, content_base=base, control=control)] = expected
    missing = t.camera("missing", control="*", sdp=lambda text: text.replace("a=control:*\r\n", ""))
    made[missing] = "/stream/"
    yield t.flows(*made)
    for camera, expected in made.items():
        t.equal(camera.of("SETUP")[0].uri, f"rtsp://127.0.0.1:{camera.port}{expected}", camera.name)


# --- messages ---

@quirk("r3 q31", "a User-Agent is sent, and no field that was not asked for")
def headers(t):
    known = {"CSeq", "User-Agent", "Accept", "Authorization", "Session", "Transport", "Range"}

    def shy(request):
        if "User-Agent" not in request.names:
            return answer(request, "401 Unauthorized")
        return HANG if set(request.names) - known else None
    camera = t.camera(answers={m: shy for m in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER")})
    yield t.flows(camera)
    for request in camera.requests:
        t.equal(set(request.names) - known, set(), request.method)
        t.check("User-Agent" in request.names, request.method, "has no User-Agent")


def reworded(camera, change):
    """Every answer of the camera goes through `change` (text to text)."""
    for method in ("options", "describe", "setup", "play", "get_parameter"):
        usual = getattr(camera, "on_" + method)

        def changed(request, usual=usual):
            out = usual(request)
            if not isinstance(out, bytes):
                async def later(out=out):
                    return change((await out).decode("latin-1"), request).encode("latin-1")
                return later()
            return change(out.decode("latin-1"), request).encode("latin-1")
        camera.answers[method.upper()] = changed


@quirk("r4 q27 q28 q29", "CSeq in its exact case; answers with a wrong or missing one, odd case, blanks")
def cseqs(t):
    def own(new):
        return lambda text, request: text.replace(f"CSeq: {request.fields['cseq']}\r\n", new(int(request.fields["cseq"])))
    cases = {
        "missing": own(lambda n: ""),
        "first": own(lambda n: "CSeq: 1\r\n"),
        "zero": own(lambda n: "CSeq: 0\r\n"),
        "far": own(lambda n: f"CSeq: {n + 1000}\r\n"),
        "padded": own(lambda n: f"CSeq:    {n}   \r\n"),
        "small": lambda text, request: text.replace("CSeq", "cseq").replace("Content-", "content-").replace("Transport:", "transport:  "),
        "large": lambda text, request: text.replace("CSeq", "CSEQ").replace("Session", "SESSION").replace("Public", "PUBLIC"),
    }
    made = []
    for name, change in cases.items():
        camera = t.camera(name, session_field="{id};timeout=2")
        reworded(camera, change)
        made.append(camera)
    refused = t.camera("keepalive", session_field="{id};timeout=2",
                       answers={"GET_PARAMETER": lambda r: b"RTSP/1.0 400 Bad Request\r\nCSeq: 0\r\n\r\n"})
    yield t.flows(*made, refused, frames=40)
    t.check_first_time(*made, refused)
    for request in made[0].requests:
        t.equal(request.names[0], "CSeq", request.method)


@quirk("q30", "a status line without a reason, line ends without CR")
def reasons(t):
    bare = t.camera("reason")
    reworded(bare, lambda text, request: text.replace("RTSP/1.0 200 OK", "RTSP/1.0 200"))
    lines = t.camera("lf", session_field="{id};timeout=2")
    reworded(lines, lambda text, request: text.partition("\r\n\r\n")[0].replace("\r\n", "\n") + "\n\n" + text.partition("\r\n\r\n")[2])
    yield t.flows(bare, lines, frames=30)
    t.check_first_time(bare, lines)


@quirk("r16 q16", "a description without a length, with one that is too long, without a type")
def lengths(t):
    def described(change):
        return lambda text, request: change(text) if request.method == "DESCRIBE" else text
    cases = {
        "none": lambda text: re.sub(r"Content-Length: \d+\r\n", "", text),
        "long": lambda text: re.sub(r"Content-Length: (\d+)", lambda m: f"Content-Length: {int(m[1]) + 7}", text),
        "end": lambda text: re.sub(r"Content-Length: (\d+)", lambda m: f"Content-Length: {int(m[1]) - 2}", text).rstrip("\r\n"),
        "type": lambda text: re.sub(r"Content-Type: [^\r]*\r\n", "", text),
    }
    made = []
    for name, change in cases.items():
        camera = t.camera(name)
        reworded(camera, described(change))
        made.append(camera)
    yield t.flows(*made)
    t.check_first_time(*made)


@quirk("q42", "an announced method that is refused is left out")
def announced(t):
    options = t.camera("options", answers={"OPTIONS": lambda r: answer(r, "501 Not Implemented")})
    refusals = [t.camera(s, session_field="{id};timeout=2", answers={"GET_PARAMETER": lambda r, s=s: answer(r, s + " No")})
                for s in ("404", "405", "406", "501", "551")]
    yield t.flows(options, *refusals, frames=40)
    t.check_first_time(options, *refusals)
    for camera in refusals:
        t.equal(len(camera.of("GET_PARAMETER")), 1, camera.name, "was asked")


# --- credentials ---

@quirk("r5 q33 q35 q36", "every form of Digest, the strongest of several")
def digests(t):
    md5 = 'Digest realm="old", nonce="0123", algorithm=MD5'
    gates = {
        "plain": Gate(),
        "auth": Gate(qop="auth"),
        "authint": Gate(qop="auth,auth-int"),
        "named": Gate(algorithm="MD5"),
        "small": Gate(algorithm="MD5", written="md5"),
        "sha": Gate(algorithm="SHA-256", qop="auth"),
        "shaplain": Gate(algorithm="SHA-256"),
        "basicfirst": Gate(basic=True),
        "basiclast": Gate(basic=True, basic_first=False),
        "basiconly": Gate(basic=True, digest=False),
        "two": Gate(algorithm="SHA-256", qop="auth", also=[md5]),
        "quotedfalse": Gate(first='stale="FALSE"'),
        "empty": Gate(realm=""),
        "quoted": Gate(realm=r"a \"b\" c"),
    }
    made = [t.camera(name, user="anna:right", gate=gate, session_field="{id};timeout=2") for name, gate in gates.items()]
    odd = t.camera("percent", user=f'{quote("an:na@x", safe="")}:{quote("p/%?# w", safe="")}', gate=Gate(user="an:na@x", password="p/%?# w"))
    yield t.flows(*made, odd, frames=30)
    t.check_first_time(*made, odd)
    for camera in [*made, odd]:
        t.equal(camera.gate.problems, [], camera.name)


@quirk("q37", "a new nonce for each request, also in the middle of a session")
def nonces(t):
    marks = {"stale": "stale=true", "quoted": 'stale="TRUE"', "unsaid": ""}
    made = [t.camera(name, user="anna:right", gate=Gate(qop="auth", nonce_uses=1, stale=words), session_field="{id};timeout=2")
            for name, words in marks.items()]
    yield t.flows(*made, frames=40)
    t.check_first_time(*made)
    for camera in made:
        t.equal(camera.gate.problems, [], camera.name)
        for uri, method in {(r.uri, r.method) for r in camera.requests}:
            n = sum(r.uri == uri and r.method == method for r in camera.requests if r.time < camera.sessions[0].played)
            t.check(n <= 2, camera.name, method, "was sent", n, "times")


@quirk("q32", "the signed URI is the request's own; the base URL when only that is taken")
def signed(t):
    camera = t.camera(user="anna:right")
    camera.gate = Gate(uri=lambda request: camera.url() if request.method == "SETUP" else request.uri)
    slash = t.camera("slash", user="anna:right")
    slash.gate = Gate(uri=lambda request: slash.url() + "/" if request.method == "SETUP" else request.uri)
    yield lambda: t.flows(camera)() or t.flows(slash)()
    good = camera if t.is_up(camera) else slash
    t.equal(t.failures(good), 0, good.name, "failures")
    t.equal(len(good.of("DESCRIBE")), 2, good.name, "DESCRIBE")


@quirk("q63", "SETUP asks for credentials though DESCRIBE did not, or asks again")
def late_401(t):
    late = t.camera(user="anna:right", gate=Gate(open_methods=("OPTIONS", "DESCRIBE")))
    again = t.camera("again", user="anna:right", gate=Gate())
    again.answers["SETUP"] = lambda r: again.gate.refuse(r) if r.count == 1 else None
    play = t.camera("play", user="anna:right", gate=Gate())
    play.answers["PLAY"] = lambda r: play.gate.refuse(r) if r.count == 1 else None
    yield t.flows(late, again, play)
    t.check_first_time(late, again, play)
    t.equal(len(late.of("DESCRIBE")), 1, "DESCRIBE")
    t.equal(len(again.of("DESCRIBE")), 2, "DESCRIBE, the first without credentials")


@quirk("q39", "after a refused password: one login, then minutes of silence")
def lockout(t):
    wrong = t.camera(user="anna:wrong", gate=Gate())
    basic = t.camera("basic", user="anna:wrong", gate=Gate(basic=True, digest=False))
    marked = t.camera("marked", user="anna:wrong", gate=Gate(first='stale="FALSE"'))
    looping = t.camera("looping", user="anna:wrong", gate=Gate(first="stale=true"))
    made = [wrong, basic, marked, looping]
    yield lambda: all(t.waits(c) for c in made)
    start = time.monotonic()
    yield lambda: time.monotonic() > start + 5
    for camera in made:
        logins = [r for r in camera.requests if "authorization" in r.fields]
        t.check(len(logins) <= (2 if camera is looping else 1), camera.name, "tried", len(logins), "times")
        t.check(min(t.waits(camera)) >= LONG_S, camera.name, "waits", t.waits(camera))
        t.check(t.failures(camera, "unauthorized") == 1, camera.name, "is not counted as unauthorized")


@quirk("q38", "a 401 for a password that was right is a camera without room, not a wrong password")
def full_401(t):
    camera = t.camera(user="anna:right", gate=Gate())
    yield t.flows(camera)
    camera.gate.password = "now it says no"
    camera.close_sessions()

    yield lambda: t.failures(camera, "busy")
    t.check(t.waits(camera)[-1] >= 60, "it waits long", t.waits(camera))
    t.equal(t.failures(camera, "unauthorized"), 0, "counted as unauthorized")
    t.check(not any("wrong user or password" in line for line in t.log(camera)), *t.log(camera))


# --- redirects, busy cameras, retries ---

@quirk("r13 q41", "redirects: three at most, credentials for the same host only")
def redirects(t):
    target = t.camera("target", hidden=True, gate=Gate())
    there = t.camera("to", user="anna:right", answers={"DESCRIBE": lambda r: answer(r, "302 Moved", Location=target.url())})
    loop = t.camera("loop")
    loop.answers["DESCRIBE"] = lambda r: answer(r, "301 Moved", Location=loop.url())
    third = t.camera("third")
    third.answers["DESCRIBE"] = lambda r: answer(r, "301 Moved", Location=third.url()) if len(third.of("DESCRIBE")) < 4 else None
    nowhere = t.camera("nowhere", answers={"DESCRIBE": lambda r: answer(r, "302 Moved")})
    other = None
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") and "lo" in open("/proc/net/if_inet6").read():
        foreign = t.camera("foreign", hidden=True, host="::1", gate=Gate(basic=True))
        other = t.camera("other", user="anna:right", gate=Gate(),
                         answers={"DESCRIBE": lambda r: answer(r, "302 Moved", Location=foreign.url())})
    else:
        skip("r13 credentials stay with their host", "no ::1 here")
    yield t.flows(there, third)
    t.equal(target.gate.problems, [], "redirected with credentials")
    t.check(len(target.requests) > 0, "the target was never asked")
    yield lambda: t.failures(loop) and t.failures(nowhere)
    t.equal(len([c for c in loop.sessions if c.opened < loop.sessions[0].opened + 0.8]), 4, "connections of a loop")
    if other:
        yield lambda: t.failures(other)
        t.check(foreign.requests, "the other host was never asked")
        t.check(not any("authorization" in r.fields for r in foreign.requests), "the other host was given credentials")
        t.equal(t.failures(other, "unauthorized"), 1, "failures as unauthorized")
    yield lambda: True
    target.stop()


@quirk("q43", "453 and 503: five seconds at least, or what Retry-After says, up to an hour")
def busy(t):
    cases = {  # status, Retry-After, least and most wait
        "453": ("453 Not Enough Bandwidth", None, 5, 75),
        "503": ("503 Service Unavailable", None, 5, 75),
        "soon": ("503 Service Unavailable", "1", 5, 75),
        "later": ("503 Service Unavailable", "1800", 1800, 2400),
        "never": ("503 Service Unavailable", "86400", 3000, 4500),
        "huge": ("503 Service Unavailable", "99999999999999999999", 5, 4500),
        "date": ("503 Service Unavailable", "Wed, 21 Oct 2015 07:28:00 GMT", 5, 4500),
    }
    made = {}
    for name, (status, after, least, most) in cases.items():
        method = "SETUP" if name == "453" else "DESCRIBE"
        camera = t.camera(name, answers={method: lambda r, s=status, a=after: answer(r, s, Retry_After=a)})
        made[camera] = (least, most)
    yield lambda: all(t.waits(c) for c in made)
    for camera, (least, most) in made.items():
        t.check(least <= t.waits(camera)[0] <= most, camera.name, "waits", t.waits(camera))
        t.equal(t.failures(camera, "busy"), 1, camera.name, "busy")
        t.equal(len(camera.sessions), 1, camera.name, "connections")


def gaps(camera):
    """Seconds from the end of a connection to the beginning of the next."""
    return [b.opened - a.closed for a, b in zip(camera.sessions, camera.sessions[1:]) if a.closed]


@quirk("q44", "waits grow from a second on, and a second of media does not start them over")
def backoff(t):
    refusing = t.camera("closing", answers={"DESCRIBE": CLOSE})
    short = t.camera("short", on_frame=lambda session, n, unit, packets: packets if n < 10 else None)
    yield lambda: len(refusing.sessions) > 4 and len(short.sessions) > 4, 60
    for camera in (refusing, short):
        waited = gaps(camera)
        t.check(min(waited) > 0.9, camera.name, "came back after", waited)
        t.check(waited[3] > min(waited[:3]) * 1.2, camera.name, "does not wait longer and longer", waited)
    refusing.stop()
    short.stop()
