"""Quirks of keepalives, of the interleaved stream, and of its end."""
import time

from quirks import quirk
from scripted_camera import CLOSE, HANG, On, Raw, answer, interleaved, rtp

UDP = {"transport": "udp"}


# --- keepalives ---

def dies_without(t, suffix, refreshing, public, after=3, **options):
    """A camera whose session dies so many seconds after PLAY or the last request of the `refreshing` method."""
    camera = t.camera(suffix, public=public, session_field="{id};timeout=%d" % after, **options)

    def refresh(request):
        request.session.state["refreshed"] = time.monotonic()

    def frame(session, n, unit, packets):
        last = session.state.get("refreshed", session.played)
        return packets if time.monotonic() - last < after else None
    camera.answers.setdefault(refreshing, refresh)
    camera.on_frame = frame
    return camera


def keepalives(camera, number):
    return [r for r in camera.requests if r.connection == number and r.time > (camera.sessions[number].played or 1e99)]


@quirk("q68 q73", "the keepalive that Public lists, at the aggregate URL")
def which_keepalive(t):
    listed = t.camera("listed", session_field="{id};timeout=2")
    unlisted = t.camera("unlisted", session_field="{id};timeout=2", public="OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
    unlisted.answers["GET_PARAMETER"] = HANG
    aggregate = t.camera("aggregate", session_field="{id};timeout=2", session_control="all")
    base = t.camera("base", session_field="{id};timeout=2", session_control=None, content_base="{url}/elsewhere/")
    made = [listed, unlisted, aggregate, base]
    yield lambda: all(c.sessions and c.sessions[0].played and len(keepalives(c, 0)) >= 2 for c in made)
    for camera, method, ends in ((listed, "GET_PARAMETER", ("",)), (unlisted, "OPTIONS", ("",)),
                                 (aggregate, "GET_PARAMETER", ("all",)), (base, "GET_PARAMETER", ("elsewhere", "elsewhere/"))):
        for request in keepalives(camera, 0):
            t.equal(request.method, method, camera.name)
            t.equal(request.uri, camera.of("PLAY")[0].uri, camera.name)
            t.check(request.uri.endswith(ends), camera.name, request.uri)
            t.equal(request.fields.get("session"), "12345678", camera.name)
    t.check_first_time(*made)


@quirk("r7 q70", "GET_PARAMETER refused: OPTIONS from then on, also after a new connection")
def refused_keepalive(t):
    made = [t.camera(status, session_field="{id};timeout=2", answers={"GET_PARAMETER": lambda r, s=status: answer(r, s + " No")})
            for status in ("501", "405", "454")]
    killing = t.camera("kills", session_field="{id};timeout=2", answers={
        "GET_PARAMETER": lambda r: [answer(r, "454 Session Not Found"), CLOSE]})
    yield t.flows(*made, frames=40)
    for camera in made:
        t.equal(len(camera.of("GET_PARAMETER")), 1, camera.name, "GET_PARAMETER")
        t.check(len(keepalives(camera, 0)) >= 3, camera.name, "keepalives", keepalives(camera, 0))
        camera.close_sessions()
    yield lambda: all(len(c.sessions) > 1 and c.sessions[1].played and len(keepalives(c, 1)) >= 2 for c in [*made, killing])
    for camera in [*made, killing]:
        t.equal(len(camera.of("GET_PARAMETER")), 1, camera.name, "GET_PARAMETER")


@quirk("r7", "GET_PARAMETER that closes the connection: after two deaths the other one")
def closing_keepalive(t):
    camera = t.camera("closes", session_field="{id};timeout=3", answers={"GET_PARAMETER": CLOSE})
    yield lambda: len(camera.sessions) > 2 and camera.sessions[2].played and len(keepalives(camera, 2)) >= 3, 40
    t.equal({r.method for r in keepalives(camera, 2)}, {"OPTIONS"}, "the third connection's")


@quirk("q69", "OPTIONS that does not keep the session: after two deaths GET_PARAMETER though unlisted, remembered")
def options_useless(t):
    camera = dies_without(t, "", "GET_PARAMETER", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
    yield lambda: len(camera.sessions) > 2 and camera.sessions[2].played and len(keepalives(camera, 2)) >= 3, 40
    t.equal([{r.method for r in keepalives(camera, n)} for n in range(3)], [{"OPTIONS"}, {"OPTIONS"}, {"GET_PARAMETER"}], "keepalives")
    camera.close_sessions()
    yield lambda: len(camera.sessions) > 3 and camera.sessions[3].played and len(keepalives(camera, 3)) >= 2
    t.equal({r.method for r in keepalives(camera, 3)}, {"GET_PARAMETER"}, "remembered")


@quirk("q70", "GET_PARAMETER that does not keep the session: after two deaths OPTIONS")
def parameter_useless(t):
    camera = dies_without(t, "useless", "OPTIONS", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER",)
    yield lambda: len(camera.sessions) > 2 and camera.sessions[2].played and len(keepalives(camera, 2)) >= 3, 40
    t.equal({r.method for r in keepalives(camera, 2)}, {"OPTIONS"}, "the third connection's")


@quirk("q71 r7", "all keepalives refused: media goes on, and SET_PARAMETER is never tried")
def all_refused(t):
    camera = t.camera(session_field="{id};timeout=2", public="OPTIONS, DESCRIBE, SETUP, PLAY, SET_PARAMETER, GET_PARAMETER", answers={
        "GET_PARAMETER": lambda r: answer(r, "400 Bad Request"),
        "OPTIONS": lambda r: answer(r, "400 Bad Request") if r.session.played else None})
    yield t.flows(camera, frames=60)
    t.check_first_time(camera)
    t.equal(camera.of("SET_PARAMETER"), [], "SET_PARAMETER")
    t.check(len(camera.interleaved) >= 1, "no receiver reports")


@quirk("q72", "keepalives that nobody answers")
def unanswered(t):
    camera = t.camera(session_field="{id};timeout=2", answers={"GET_PARAMETER": HANG})
    camera.answers["OPTIONS"] = lambda r: HANG if r.session.played else None
    yield t.flows(camera, frames=60)
    t.check(len(keepalives(camera, 0)) >= 4, "keepalives", keepalives(camera, 0))
    t.check_first_time(camera)


@quirk("q67", "answers among the media, in pieces, with a body that looks like a packet")
def answers_between(t):
    camera = t.camera(session_field="{id};timeout=2", answers={
        "GET_PARAMETER": lambda r: answer(r, body="$\0\0\x08 RTSP/1.0 $\r\n", Content_Type="text/parameters")})
    pieces = t.camera("pieces", session_field="{id};timeout=2")
    pending = []

    def cut(request):
        pending.append(answer(request, Session="12345678", X="y" * 300))
        return HANG

    def frame(session, n, unit, packets):
        if pending:  # the two halves come in two writes, the packets after them
            text = pending.pop()
            session.write(text[:40])
            return [Raw(text[40:]), *packets]
        return packets
    pieces.answers["GET_PARAMETER"], pieces.on_frame = cut, frame
    yield t.flows(camera, pieces, frames=60)
    t.check_first_time(camera, pieces)
    t.check(len(camera.of("GET_PARAMETER")) >= 3 and len(pieces.of("GET_PARAMETER")) >= 3, "keepalives")


# --- the interleaved stream ---

@quirk("r11", "requests of the camera's are answered, TEARDOWN ends")
def requests(t):
    camera = t.camera()
    sdp = camera.usual_sdp()
    asked = {"OPTIONS": "", "GET_PARAMETER": "", "SET_PARAMETER": "barparam: barstuff\r\n", "ANNOUNCE": sdp}
    yield t.flows(camera)
    for n, (method, body) in enumerate(asked.items()):
        head = f"{method} {camera.url()} RTSP/1.0\r\nCSeq: {900 + n}\r\nSession: 12345678\r\n"
        length = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
        camera.push((head + length + "\r\n" + body).encode())
    before = t.frames(camera)
    yield lambda: len(camera.replies) == 4 and t.frames(camera) > before + 20
    for n, reply in enumerate(camera.replies):
        t.check(reply.startswith(b"RTSP/1.0 200 ") and b"\r\nCSeq: %d\r\n" % (900 + n) in reply, list(asked)[n], reply)
    t.check_first_time(camera)
    camera.push(f"TEARDOWN {camera.url()} RTSP/1.0\r\nCSeq: 950\r\n\r\n".encode())
    yield lambda: len(camera.sessions) == 2 and t.is_up(camera)
    t.equal(t.failures(camera, "closed"), 1, "closed")


@quirk("r11", "ANNOUNCE with a new description is followed")
def announce(t):
    camera = t.camera("announce")
    now = 96
    camera.on_frame = lambda session, n, unit, packets: [bytes([p[0], p[1] & 0x80 | now]) + p[2:] for p in packets]
    yield t.flows(camera)
    sdp = camera.usual_sdp().replace("96", "98")
    camera.push(f"ANNOUNCE {camera.url()} RTSP/1.0\r\nCSeq: 900\r\nSession: 12345678\r\nContent-Type: application/sdp\r\n"
                f"Content-Length: {len(sdp)}\r\n\r\n{sdp}".encode())
    now = 98
    camera.sdp = sdp
    before = t.frames(camera)
    yield lambda: t.frames(camera) > before + 25
    t.check(len(camera.replies) == 1 and b" 200 " in camera.replies[0], "ANNOUNCE was answered", camera.replies)


JUNK = bytes((i * 7919 >> 3) % 256 for i in range(200))
NOISE = {
    "small": b"garbage between packets, in small letters",
    "large": b"GARBAGE IN LARGE LETTERS THAT LOOKS LIKE A METHOD",
    "bytes": JUNK,
    "nearchannel": b"$\0\x20\x00 version 0",
    "text": b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n",
}
FOREIGN_NOISE = {
    "dollars": b"$$$$\0$\x01$$",
    "farchannel": b"$\x63\xff\xff and no packet",
}


def check_garbage(t, noises):
    made = {name: t.camera(name, on_frame=lambda session, n, unit, packets, noise=noise: [Raw(noise), *packets] if n % 5 == 3 else packets)
            for name, noise in noises.items()}
    yield t.flows(*made.values(), frames=40)
    for name, camera in made.items():
        t.check_first_time(camera)
        t.check(t.frames(camera) >= camera.frames_sent - 6, camera.name, t.frames(camera), "of", camera.frames_sent)
        lines = [line for line in t.log(camera) if "garbage" in line]
        if name != "text":
            t.equal(len(lines), 1, camera.name, "lines", lines)


@quirk("r12 q77", "garbage between packets, said once")
def garbage(t):
    yield from check_garbage(t, NOISE)


@quirk("r12 q77", "garbage that looks like a packet of a channel that was never set up")
def foreign_garbage(t):
    yield from check_garbage(t, FOREIGN_NOISE)


@quirk("r12 q79", "a wrong length, half a packet, an answer inside a packet: it goes on with the next group")
def broken_frames(t):
    def wrong(by):
        return lambda p: b"$\0" + (len(p) + by).to_bytes(2, "big") + p
    cases = {
        "long": wrong(7), "short": wrong(-7), "half": lambda p: interleaved(0, p)[:len(p) // 2],
        "muchlong": wrong(3000),
        "inside": lambda p: interleaved(0, p)[:60] + b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n" + interleaved(0, p)[60:],
    }
    made = [t.camera(name, on_frame=lambda session, n, unit, packets, change=change:
                     [Raw(change(packets[0])), *packets[1:]] if n % 20 == 17 else packets) for name, change in cases.items()]
    yield t.flows(*made, frames=60)
    for camera in made:
        t.equal(t.metric("connects_total", camera), 1, camera.name, "connections", t.log(camera)[-3:])
        t.check(t.frames(camera) >= camera.frames_sent * 0.6, camera.name, t.frames(camera), "of", camera.frames_sent)


@quirk("r12", "nothing but garbage: it gives up, with a reason")
def only_garbage(t):
    camera = t.camera("only", on_frame=lambda session, n, unit, packets: packets if n < 10 else [Raw(b"x" * 40000)])
    yield lambda: t.failures(camera)
    t.equal(t.failures(camera, "protocol"), 1, "protocol")
    camera.stop()


@quirk("q78", "CRLF before $")
def crlf(t):
    camera = t.camera(on_frame=lambda session, n, unit, packets: [x for p in packets for x in (Raw(b"\r\n"), p)])
    yield t.flows(camera, frames=30)
    t.check_first_time(camera)
    t.check(t.frames(camera) >= camera.frames_sent - 6, t.frames(camera), "of", camera.frames_sent)


@quirk("q77 q81", "10 kB packets, channels that were never set up")
def odd_frames(t):
    large = t.camera("large", packet_bytes=12000)
    foreign = rtp(b"\x65" + bytes(300), 7, 1, 0x99, True)
    channel = t.camera("channel", on_frame=lambda session, n, unit, packets: [On(8, foreign), On(77, foreign), *packets, On(9, b"")])
    yield t.flows(large, channel, frames=30)
    t.check_first_time(large, channel)
    for camera in (large, channel):
        t.check(t.frames(camera) >= camera.frames_sent - 6, camera.name, t.frames(camera), "of", camera.frames_sent)


@quirk("q80", "another session's media on a new connection of an old live555")
def foreign_media(t):
    tool = "a=tool:LIVE555 Streaming Media v2016.05.20\r\n"
    camera = t.camera(sdp=lambda text: text.replace("t=0 0\r\n", "t=0 0\r\n" + tool),
                      transport=lambda request, track, usual: usual + f";ssrc={track.ssrc:08X}")

    def frame(session, n, unit, packets):
        theirs = [p[:2] + (50000 + n).to_bytes(2, "big") + p[4:8] + b"\xde\xad\xbe\xef" + p[12:] for p in packets]
        return [x for pair in zip(theirs, packets) for x in pair]
    camera.on_frame = frame
    yield lambda: t.frames(camera) >= 40 or [w for w in t.waits(camera) if w >= 60] or any(
        "client_port" in r.fields["transport"] for r in camera.of("SETUP"))
    if t.frames(camera) >= 40:
        t.check(t.frames(camera) <= camera.frames_sent + 2, "foreign frames are published:", t.frames(camera), "of", camera.frames_sent)
        t.equal(t.metric("dropped_frames_total", camera), 0, "dropped frames")


# --- silence, and the end ---

@quirk("r15", "no data for 10 s (20 s over UDP): TEARDOWN, and a new connection")
def half_open(t):
    tcp = t.camera("tcp", on_frame=lambda session, n, unit, packets: packets if n < 10 or session.number else [])
    udp = t.camera("udp", yaml=UDP, on_frame=tcp.on_frame)
    for camera in (tcp, udp):
        camera.reports = False
    yield lambda: all(len(c.sessions) > 1 and t.is_up(c) for c in (tcp, udp)), 50
    for camera, least, most in ((tcp, 9.5, 12.5), (udp, 19.5, 23)):
        silent = camera.sessions[0].closed - camera.sessions[0].played - 1
        t.check(least < silent < most, camera.name, "was given", silent, "s")
        t.equal(t.failures(camera, "stalled"), 1, camera.name, "stalled")
        t.equal(len(camera.of("TEARDOWN", 0)), 1, camera.name, "TEARDOWN")


@quirk("r15 q84", "TEARDOWN that is never answered: 2 s, then the connection is closed")
def mute_teardown(t):
    camera = t.camera(answers={"TEARDOWN": HANG}, on_frame=lambda session, n, unit, packets: packets if n < 10 or session.number else [])
    camera.reports = False
    yield lambda: camera.of("TEARDOWN", 0) and camera.sessions[0].closed
    waited = camera.sessions[0].closed - camera.of("TEARDOWN", 0)[0].time
    t.check(waited < 3, "the connection stayed for", waited, "s")


@quirk("q112", "sound goes on but the picture does not: a new connection")
def no_picture(t):
    camera = t.camera(audio=True, on_frame=lambda session, n, unit, packets: packets if n < 10 or session.number else [])
    yield lambda: len(camera.sessions) > 1 and t.is_up(camera), 40
    silent = camera.sessions[0].closed - camera.sessions[0].played - 1
    t.check(9 < silent < 15, "the picture was given", silent, "s")
    t.equal(t.failures(camera, "stalled"), 1, "stalled")


@quirk("q116", "bursts and pauses of seconds lose nothing")
def bursts(t):
    camera = t.camera()
    held = []

    def frame(session, n, unit, packets):
        held.extend(packets)
        if n > 10 and n % 80 < 70:  # seven seconds of silence, then all at once
            return []
        out, held[:] = list(held), []
        return out
    camera.on_frame = frame
    yield t.flows(camera, frames=161), 40
    t.check_first_time(camera)
    t.equal(t.metric("lost_packets_total", camera), 0, "lost")
