"""Quirks of SETUP and PLAY, over TCP and UDP."""
import socket

from quirks import quirk
from scripted_camera import Track, answer


# --- SETUP over TCP ---

@quirk("r8 q51 q52 q53", "interleaved channels as the camera answers them")
def channels(t):
    def field(text):
        return lambda request, track, usual: text
    channel = {
        "ten": dict(channel=lambda number, asked: 10 + 2 * number),
        "odd": dict(channel=lambda number, asked: 5 + 2 * number),
        "same": dict(channel=lambda number, asked: 0),
    }
    words = {
        "alone": field("RTP/AVP/TCP;unicast;interleaved=0"),
        "avp": field("RTP/AVP;unicast;interleaved=0-1"),
        "ssrcblank": field("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= 10203040"),
        "ssrcodd": field("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=123"),
        "ssrctext": field("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=xyz;mode=\"PLAY\""),
        "ssrcother": field("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=DEADBEEF"),
        "blanks": field("RTP/AVP/TCP; unicast; interleaved = 0 - 1"),
        "bare": field("RTP/AVP/TCP"),
        "absent": lambda request, track, usual: None,
    }
    both = [t.camera(name, audio=True, **options) for name, options in channel.items()]
    made = [t.camera(name, transport=hook) for name, hook in words.items()]
    yield t.flows(*both, *made, frames=20)
    t.check_first_time(*both, *made)
    for camera in both:
        yield lambda camera=camera: t.frames(camera, "audio") > 50


@quirk("q47", "SETUP has no mode")
def mode(t):
    camera = t.camera(answers={"SETUP": lambda r: answer(r, "461 Unsupported Transport") if "mode" in r.fields["transport"].lower() else None})
    yield t.flows(camera)
    t.check_first_time(camera)


@quirk("q50", "the first session id stays when SETUP answers another")
def session_ids(t):
    camera = t.camera(audio=True)

    async def setup(request):
        out = await type(camera).on_setup(camera, request)
        return out.replace(b"12345678", b"87654321") if request.count == 2 else out
    camera.answers["SETUP"] = setup
    camera.answers["PLAY"] = lambda r: None if r.fields.get("session") == "12345678" else answer(r, "454 Session Not Found")
    yield t.flows(camera)
    t.check_first_time(camera)


@quirk("r6 q49", "the session's id and time-out, however they are written")
def timeouts(t):
    long_id = "x9" * 100
    cases = {"plain": "{id};timeout=4", "blanks": "{id} ; timeout = 4 ", "odd": "{id};Timeout=4;x=y", "long": long_id + ";timeout=4"}
    made = [t.camera(name, session_field=field) for name, field in cases.items()]
    yield lambda: all(len(c.of("GET_PARAMETER")) >= 2 for c in made)
    for camera in made:
        first, second = camera.of("GET_PARAMETER")[:2]
        t.check(1.5 < first.time - camera.sessions[0].played < 2.7, camera.name, "the first keepalive after", first.time - camera.sessions[0].played)
        t.check(1.5 < second.time - first.time < 2.7, camera.name, "the second after", second.time - first.time)
        for request in camera.of("PLAY") + [first]:
            t.equal(request.fields.get("session"), long_id if camera is made[3] else "12345678", camera.name, request.method)
    t.check_first_time(*made)


@quirk("r6 q49 q74", "without a time-out, or with none or a long one, a keepalive each 30 s")
def long_timeouts(t):
    cases = {"none": "{id}", "zero": "{id};timeout=0", "long": "{id};timeout=600"}
    made = [t.camera("t" + name, session_field=field) for name, field in cases.items()]
    yield t.flows(*made)
    yield lambda: all(c.of("GET_PARAMETER") for c in made), 40
    for camera in made:
        after = camera.of("GET_PARAMETER")[0].time - camera.sessions[0].played
        t.check(28 < after < 32, camera.name, "the first keepalive after", after)


@quirk("q62", "packetization-mode 0 with large units, over TCP")
def mode_0(t):
    camera = t.camera(packet_bytes=60000, sdp=lambda text: text.replace("packetization-mode=1", "packetization-mode=0"))
    yield t.flows(camera, frames=20)
    t.check("interleaved" in camera.of("SETUP")[0].fields["transport"], "not over TCP")
    t.check_first_time(camera)


@quirk("q76", "all tracks are set up before PLAY")
def all_tracks(t):
    camera = t.camera(audio=True)
    yield t.flows(camera)
    t.equal(camera.methods()[:5], ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"])
    t.equal(len(camera.of("PLAY")), 1, "PLAY")
    t.equal(camera.of("SETUP")[1].fields.get("session"), "12345678", "the second SETUP's session")


# --- UDP ---

UDP = {"transport": "udp"}


@quirk("r9 q54 q55", "server_port missing, 0-0 or apart; source= that is nobody")
def server_ports(t):
    def put(pattern):
        return lambda request, track, usual: pattern.format(head=usual.partition(";server_port")[0], rtp=track.ports[0], rtcp=track.ports[1])
    cases = {
        "missing": "{head}",
        "zero": "{head};server_port=0-0",
        "apart": "{head};server_port={rtp}-9",
        "alone": "{head};server_port={rtp}",
        "noclient": "RTP/AVP;unicast;server_port={rtp}-{rtcp}",
        "sourceempty": "{head};source=;server_port={rtp}-{rtcp}",
        "sourcename": "{head};source=no-such-host.invalid;server_port={rtp}-{rtcp}",
        "sourceother": "{head};source=192.0.2.77;server_port={rtp}-{rtcp}",
    }
    made = [t.camera(name, transport=put(pattern), yaml=UDP) for name, pattern in cases.items()]
    elsewhere = t.camera("elsewhere", yaml=UDP)

    def answered(request, track, usual):
        track.udp[0], track.udp[1] = track.udp[1], track.udp[0]  # media leave from the other port
        return usual
    elsewhere.transport = answered
    elsewhere.reports = False
    yield t.flows(*made, elsewhere, frames=20)
    t.check_first_time(*made, elsewhere)


@quirk("q56", "UDP asked, TCP granted; 461, then DESCRIBE and SETUP again on the same connection")
def granted(t):
    tcp = t.camera("granted", yaml=UDP)

    async def setup(request):
        session = request.session
        session.tracks[0] = track = Track(0)
        track.channel = 0
        return answer(request, Transport="RTP/AVP/TCP;unicast;interleaved=0-1", Session="12345678;timeout=60")
    tcp.answers["SETUP"] = setup
    refused = t.camera("refused", transports=("udp",))
    strict = t.camera("strict", transports=("udp",))
    # a second SETUP that no DESCRIBE came before is refused
    strict.answers["SETUP"] = lambda r: None if r.count == 1 or strict.methods(r.connection)[-2] == "DESCRIBE" else answer(r, "455 No")
    yield t.flows(tcp, refused, strict)
    t.check_first_time(tcp, refused, strict)
    for camera in (refused, strict):
        t.equal(camera.methods()[:7], ["OPTIONS", "DESCRIBE", "SETUP", "DESCRIBE", "SETUP", "PLAY"], camera.name)
        t.check("interleaved" in camera.of("SETUP")[0].fields["transport"], "TCP is not first")


@quirk("r10 q57 q58", "auto: UDP on a 461, remembered; TCP when nothing comes by UDP, remembered")
def silent_udp(t):
    camera = t.camera(transports=("udp",))

    def frame(session, n, unit, packets):
        if session.number == 0:
            return packets if n < 10 else None
        if session.is_udp:
            return []
        return packets if session.number > 2 or n < 10 else None
    camera.on_frame = frame
    camera.reports = False
    yield lambda: len(camera.sessions) > 1
    camera.transports = ("tcp", "udp")
    yield lambda: len(camera.sessions) > 3 and t.is_up(camera), 60

    def first_setup(number):
        return "udp" if "client_port" in camera.of("SETUP", number)[0].fields["transport"] else "tcp"
    t.equal([first_setup(n) for n in range(4)], ["tcp", "udp", "tcp", "tcp"], "what was tried first")
    silent = camera.sessions[1]
    t.check(2.5 < silent.closed - silent.played < 5, "UDP was given", silent.closed - silent.played, "s")
    t.equal(t.failures(camera, "stalled"), 1, "stalled")


@quirk("q58", "auto: UDP when TCP is granted and nothing comes, remembered")
def silent_tcp(t):
    camera = t.camera("tcp", on_frame=lambda s, n, u, packets: packets if s.is_udp and (n < 10 or s.number > 1) else None if s.is_udp else [])
    camera.reports = False
    yield t.flows(camera), 40
    yield lambda: len(camera.sessions) > 2 and t.is_up(camera), 20
    t.check("client_port" in camera.of("SETUP", 2)[0].fields["transport"], "UDP is not remembered")


@quirk("q57", "transport: udp and nothing in 3 s is a stall, and stays UDP")
def only_udp(t):
    camera = t.camera("only", yaml=UDP, on_frame=lambda *a: [])
    camera.reports = False
    yield lambda: len(camera.of("SETUP")) > 1
    silent = camera.sessions[0]
    t.check(2.5 < silent.closed - silent.played < 5, "UDP was given", silent.closed - silent.played, "s")
    t.equal(t.failures(camera, "stalled"), 1, "stalled")
    t.check(all("client_port" in r.fields["transport"] for r in camera.of("SETUP")), "it was asked for TCP")


@quirk("q60 q61 q74", "both ports are punched, reports leave from the RTCP port each 5 s, refused ports do not matter")
def udp_ports(t):
    camera = t.camera(yaml=UDP)
    closed = t.camera("closed", yaml=UDP)
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in pair:
        end.bind(("127.0.0.1", 0))
    nobody = pair[0].getsockname()[1] & ~1
    for end in pair:
        end.close()
    closed.transport = lambda request, track, usual: usual.partition(";server_port")[0] + f";server_port={nobody}-{nobody + 1}"
    yield t.flows(camera, closed)
    yield lambda: len([d for d in camera.datagrams if d[1] == "rtcp"]) >= 4
    port = camera.sessions[0].tracks[0].peer[1]
    played = camera.sessions[0].played
    kinds = {kind for at, kind, _, _ in camera.datagrams if at < played + 1}
    t.equal(kinds, {"rtp", "rtcp"}, "ports punched")
    for at, kind, source, data in camera.datagrams:
        t.equal(source, port + (kind == "rtcp"), kind, "from")
    reports = [at for at, kind, _, _ in camera.datagrams if kind == "rtcp" and at > played + 1]
    t.check(all(3 < b - a < 7 for a, b in zip(reports, reports[1:])), "reports at", [at - played for at in reports])
    t.check_first_time(camera, closed)


# --- PLAY ---

@quirk("q48", "PLAY from npt=0.000-, and without a range where that is refused")
def ranges(t):
    plain = t.camera("plain")
    refusing = t.camera(answers={"PLAY": lambda r: answer(r, "457 Invalid Range") if "range" in r.fields else None})
    yield t.flows(plain, refusing)
    t.equal(plain.of("PLAY")[0].fields.get("range"), "npt=0.000-")
    t.check_first_time(plain, refusing)


@quirk("r14 q65", "RTP-Info is a hint at most")
def rtp_infos(t):
    url = "url=rtsp://127.0.0.1/stream/trackID=0"
    cases = {
        "none": None, "empty": "", "semicolon": url + ";seq=1;rtptime=90000;", "path": "url=trackID=0;seq=1;rtptime=90000",
        "wrong": "url=rtsp://192.0.2.1/else;seq=9;rtptime=1", "noseq": url + ";rtptime=90000", "zero": url + ";seq=0;rtptime=0",
        "one": url + ";seq=1;rtptime=1", "negative": url + ";seq=-1;rtptime=-1", "text": url + ";seq=now;rtptime=now",
        "huge": url + ";seq=99999999;rtptime=99999999999999999999", "commas": ",,,;;=,url",
    }
    made = [t.camera(name, answers={"PLAY": lambda r, info=info: answer(r, Session="12345678", RTP_Info=info)}) for name, info in cases.items()]
    sound = t.camera("sound", audio=True, answers={"PLAY": lambda r: answer(
        r, Session="12345678", RTP_Info=url.replace("=0", "=1") + ";seq=5;rtptime=4000000000," + url + ";seq=7;rtptime=5")})
    yield t.flows(*made, sound, frames=20)
    t.check_first_time(*made, sound)
    yield lambda: t.frames(sound, "audio") > 50


@quirk("r14 q66", "media before the answer to PLAY")
def early(t):
    camera = t.camera()
    camera.answers["PLAY"] = lambda r: [lambda session: session.play(), 1.0, camera.on_play(r)]
    udp = t.camera("udp", yaml=UDP)
    udp.answers["PLAY"] = lambda r: [lambda session: session.play(), 1.0, udp.on_play(r)]
    yield t.flows(camera, udp, frames=20)
    t.check_first_time(camera, udp)
