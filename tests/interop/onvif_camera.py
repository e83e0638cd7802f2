"""
A simulated ONVIF camera: Device, Media, Media2, Events (PullPoint), PTZ, imaging and snapshot over HTTP; its RTSP is another's.

Its faults are attributes, to be changed while it runs. What it was asked is kept, for the strict validator.
"""
import base64
import datetime
import hashlib
import html
import http.server
import os
import pathlib
import re
import secrets
import socket
import subprocess
import threading
import time
import uuid
import xml.etree.ElementTree as ET

VALIDATOR = os.environ.get("NVRD_ONVIF", "")
NAMESPACES = {
    "soap": "http://www.w3.org/2003/05/soap-envelope", "tds": "http://www.onvif.org/ver10/device/wsdl", "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl", "tev": "http://www.onvif.org/ver10/events/wsdl", "tt": "http://www.onvif.org/ver10/schema",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2", "wsa": "http://www.w3.org/2005/08/addressing", "ter": "http://www.onvif.org/ver10/error",
    "tns1": "http://www.onvif.org/ver10/topics", "tptz": "http://www.onvif.org/ver20/ptz/wsdl", "timg": "http://www.onvif.org/ver20/imaging/wsdl",
}
SPACES = "http://www.onvif.org/ver10/tptz/"
DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
DISCOVERY_GROUP = ("239.255.255.250", 3702)
OLD_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
UNAUTHENTICATED = {"GetSystemDateAndTime", "GetServices", "GetCapabilities"}
# by their paths, in no order of the schema's
SETTINGS = {"Sharpness": "40", "Brightness": "50", "ColorSaturation": "60.5", "Contrast": "70", "IrCutFilter": "AUTO", "WideDynamicRange/Level": "0.5", "WideDynamicRange/Mode": "ON",
            "BacklightCompensation/Mode": "OFF", "Exposure/MaxGain": "42", "Exposure/Mode": "AUTO", "Exposure/Priority": "FrameRate", "Focus/AutoFocusMode": "MANUAL", "Focus/NearLimit": "-1",
            "WhiteBalance/Mode": "MANUAL", "WhiteBalance/CrGain": "10", "WhiteBalance/CbGain": "20"}
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
PICTURE = base64.b64decode("/9j/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k=")


def instant(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


class Refusal(Exception):
    """What is answered as a fault: HTTP status, subcodes."""

    def __init__(self, status, *subcodes):
        super().__init__(subcodes[-1])
        self.status, self.subcodes = status, subcodes


class Subscription:
    def __init__(self, ends):
        self.ends = ends
        self.waiting = []


class OnvifCamera:
    """
    `rtsp`: URLs by profile, the largest first; with `user` and `password` it wants to know who asks. Resolutions in `sizes`.

    login: "both", "digest" (HTTP alone), "token" (WS-UsernameToken alone) or None; clock: seconds that its own is off;
    local_as_utc: its UTC is local time by that many seconds, and what it compares with is right; services: "all",
    "media" (no Media2, and no GetServices), "none" (of media); addresses: "absolute", "relative", "zero" (http://0.0.0.0), "port" (a wrong one);
    prefixes: "usual" or "odd"; chunked; old_addressing: addresses in WS-Addressing of 2004; renew: "duration",
    "absolute", "addressing" (with such headers only), "plain" (without), "no"; parameters: a subscription is told by
    reference parameters, as Axis does; lifetime: seconds of a subscription, or None: as asked; at_once: PullMessages never
    waits; deaf: PullMessages is not answered; refuses: subscriptions are; sets: "clock": it can be set, "nothing": that is said to have been done, or None: its user may not; ptz: it can be moved;
    holds: what is asked of PTZ and imaging is answered when it does so no more; imaging: its picture can be set, "broken": what it says of that is wrong in parts, or None.
    """

    def __init__(self, rtsp, user="", password="", port=0, address="127.0.0.1"):
        self.rtsp = dict(rtsp)
        self.sizes = [(1280, 720), (640, 360), (320, 180)]
        self.user, self.password = user, password
        self.login = "both" if user else None
        self.clock, self.local_as_utc = 0, 0
        self.services, self.addresses, self.prefixes = "all", "absolute", "usual"
        self.chunked = self.old_addressing = self.at_once = self.deaf = self.refuses = self.parameters = False
        self.renew, self.lifetime, self.sets = "duration", None, "clock"
        self.ptz = self.holds = False
        self.imaging, self.pictures, self.settings = None, [], dict(SETTINGS)
        self.moves, self.presets, self.position, self.home = [], {"1": ("gate", (0.5, 0.25, 0.0))}, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        self.subscriptions, self.next_subscription = {}, 1
        self.states = {}  # what lasts, and what did
        self.asked, self.messages, self.nonces = [], [], set()
        self.digest_nonce = secrets.token_hex(8)
        self.changed = threading.Condition()
        self.address, self.port = address, port
        self.lives = 0  # that have ended
        self.start()

    # --- life ---

    def start(self):
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def do_GET(self):
                camera.answer_get(self)

            def do_POST(self):
                camera.answer_post(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *words):  # clients may go whenever they like
                pass

        self.server = Server((self.address, self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        with self.changed:
            self.lives += 1
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def reboot(self):
        """Away and back, and it has forgotten who listened."""
        self.stop()
        self.subscriptions.clear()
        self.start()

    def forget(self):
        """All subscriptions are over, and nobody is told."""
        with self.changed:
            self.subscriptions.clear()
            self.changed.notify_all()

    def usurp(self):
        """Somebody else subscribes, and takes the only place (Q123)."""
        with self.changed:
            self.subscriptions = {0: Subscription(time.time() + 1)}
            self.changed.notify_all()

    def url(self, scheme="onvif", user=""):
        return f"{scheme}://{user + '@' if user else ''}{self.address}:{self.port}"

    # --- WS-Discovery, on the loopback interface ---

    def discovery_message(self, action, body, relates_to=""):
        return (f'<s:Envelope xmlns:s="{NAMESPACES["soap"]}" xmlns:a="{OLD_ADDRESSING}" xmlns:d="{DISCOVERY}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header>'
                f"<a:Action>{DISCOVERY}/{action}</a:Action><a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID>{relates_to}"
                f'<d:AppSequence InstanceId="1" MessageNumber="1"/></s:Header><s:Body>{body}</s:Body></s:Envelope>').encode()

    def discovery_device(self):
        return (f"<a:EndpointReference><a:Address>urn:uuid:{self.uuid}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>"
                "<d:Scopes>onvif://www.onvif.org/name/Simulated%20one onvif://www.onvif.org/hardware/S1 onvif://www.onvif.org/Profile/T</d:Scopes>"
                f"<d:XAddrs>http://0.0.0.0:{self.port}/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>")

    def tell_group(self, action, body):
        self.speaker.sendto(self.discovery_message(action, f"<d:{action}>{body}</d:{action}>"), DISCOVERY_GROUP)

    def switch_on(self):
        """Says hello, and answers probes."""
        loopback = socket.inet_aton("127.0.0.1")
        self.uuid = uuid.uuid4()
        self.discovery = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.discovery.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.discovery.bind(("", DISCOVERY_GROUP[1]))
        self.discovery.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(DISCOVERY_GROUP[0]) + loopback)
        self.speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # from an address of its own
        self.speaker.bind(("127.0.0.1", 0))
        self.speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        threading.Thread(target=self.answer_probes, daemon=True).start()
        self.tell_group("Hello", self.discovery_device())

    def answer_probes(self):
        while True:
            datagram, sender = self.discovery.recvfrom(65536)
            if b"Probe>" not in datagram:
                continue
            with self.changed:
                self.messages.append(datagram)
            identity = re.search(rb"MessageID[^>]*>([^<]*)<", datagram)[1].decode()
            match = f"<d:ProbeMatches><d:ProbeMatch>{self.discovery_device()}</d:ProbeMatch></d:ProbeMatches>"
            self.speaker.sendto(self.discovery_message("ProbeMatches", match, f"<a:RelatesTo>{identity}</a:RelatesTo>"), sender)

    def switch_off(self):
        self.tell_group("Bye", f"<a:EndpointReference><a:Address>urn:uuid:{self.uuid}</a:Address></a:EndpointReference>")

    # --- what happens ---

    def message(self, topic, value, name, source, operation):
        data = f'<{self.name("tt", "Data")}><{self.name("tt", "SimpleItem")} Name="{name}" Value="{value}"/></{self.name("tt", "Data")}>' if value is not None else ""
        tt, wsnt = lambda word: self.name("tt", word), lambda word: self.name("wsnt", word)
        return (f'<{wsnt("NotificationMessage")}><{wsnt("Topic")} Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">{topic}</{wsnt("Topic")}>'
                   f'<{wsnt("Message")}><{tt("Message")} UtcTime="{instant(self.now()).strftime(FORMAT)}" PropertyOperation="{operation}">'
                   f'<{tt("Source")}><{tt("SimpleItem")} Name="Rule" Value="{source}"/></{tt("Source")}>{data}'
                   f'</{tt("Message")}></{wsnt("Message")}></{wsnt("NotificationMessage")}>')

    def event(self, topic="tns1:RuleEngine/CellMotionDetector/Motion", value="true", name="IsMotion", source="R1"):
        with self.changed:
            self.states[topic, name, source] = value
            for subscription in self.subscriptions.values():
                subscription.waiting.append(self.message(topic, value, name, source, "Changed"))
            self.changed.notify_all()

    def listeners(self):
        with self.changed:
            return len([s for s in self.subscriptions.values() if s.ends > time.time()])

    def now(self):
        return time.time() + self.clock

    # --- writing ---

    def name(self, prefix, word):
        return f"{'x-' + prefix[::-1] if self.prefixes == 'odd' else prefix}:{word}"

    def envelope(self, body, header=""):
        declared = dict(NAMESPACES)
        if self.old_addressing:
            declared["wsa"] = OLD_ADDRESSING
        spaces = " ".join(f'xmlns:{self.name(prefix, "")[:-1]}="{space}"' for prefix, space in declared.items() if prefix != "tns1")
        soap = lambda word: self.name("soap", word)
        return (f'<?xml version="1.0" encoding="UTF-8"?>\n<{soap("Envelope")} {spaces} xmlns:tns1="{NAMESPACES["tns1"]}"><{soap("Header")}>{header}</{soap("Header")}>'
                f'<{soap("Body")}>{body}</{soap("Body")}></{soap("Envelope")}>')

    def xml(self, text):
        """`prefix:Name` in tags becomes what this camera calls it."""
        return re.sub(rf"(</?)({'|'.join(NAMESPACES)}):(\w+)", lambda m: m[1] + self.name(m[2], m[3]), text)

    def place(self, path):
        return {"absolute": f"http://{self.address}:{self.port}{path}", "relative": path, "zero": f"http://0.0.0.0{path}",
                "port": f"http://{self.address}:1{path}"}[self.addresses]

    # --- who asks ---

    def digest_is_right(self, handler):
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', handler.headers.get("Authorization", "")))
        if fields.get("nonce") != self.digest_nonce or fields.get("username") != self.user:
            return False
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        first, second = md5(f"{self.user}:cam:{self.password}"), md5(f"{handler.command}:{fields['uri']}")
        middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
        return fields["uri"] == handler.path and fields["response"] == md5(f"{first}:{middle}:{second}")

    def token_is_right(self, envelope):
        tokens = envelope.findall(f".//{WSSE}Security/{WSSE}UsernameToken")
        if len(tokens) != 1:
            return False
        word = lambda name: tokens[0].findtext(name) or ""
        nonce, created = word(WSSE + "Nonce"), word(WSU + "Created")
        right = base64.b64encode(hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode()).digest()).decode()
        at = datetime.datetime.strptime(re.sub(r"\.\d+", "", created), FORMAT).replace(tzinfo=datetime.timezone.utc).timestamp()
        fresh = abs(at - self.now()) < 60 and nonce not in self.nonces
        self.nonces.add(nonce)
        return word(WSSE + "Username") == self.user and word(WSSE + "Password") == right and fresh

    def check_login(self, handler, envelope, operation):
        if not self.login or operation in UNAUTHENTICATED:
            return
        if self.login in ("both", "digest") and self.digest_is_right(handler):
            return
        if self.login in ("both", "token") and envelope is not None and self.token_is_right(envelope):
            return
        raise Refusal(401 if self.login != "token" else 400, "NotAuthorized")

    # --- HTTP ---

    def send(self, handler, status, body, kind="application/soap+xml; charset=utf-8"):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        if status == 401 and self.login != "token":
            handler.send_header("WWW-Authenticate", f'Digest realm="cam", qop="auth", nonce="{self.digest_nonce}", algorithm=MD5')
        if self.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for at in range(0, len(body), 100):
                part = body[at:at + 100]
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    def answer_get(self, handler):
        self.send(handler, 200 if handler.path == "/snapshot.jpg" else 404, PICTURE, "image/jpeg")

    def answer_post(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if handler.server is not self.server:  # of a former life
            handler.close_connection = True
            return
        operation = None
        try:
            envelope = ET.fromstring(body)
            request = envelope.find("{%s}Body" % NAMESPACES["soap"])[0]
            space, operation = request.tag[1:].split("}")
            with self.changed:
                self.messages.append(body)
                self.asked.append((operation, handler.path))
            self.check_login(handler, envelope, operation)
            method = getattr(self, ("on_imaging_" if space == NAMESPACES["timg"] else "on_") + operation, None)
            if not method:
                raise Refusal(400, "ActionNotSupported")
            answer = method(request, envelope, handler.path, space)
            if answer is None:  # the deaf do not answer, and hang up when they die
                handler.close_connection = True
                return
            self.send(handler, 200, self.envelope(self.xml(answer)).encode())
        except Refusal as refusal:
            code = ""
            for subcode in reversed(refusal.subcodes):
                code = f'<soap:Subcode><soap:Value>{self.name("ter", subcode)}</soap:Value>{code}</soap:Subcode>'
            self.send(handler, refusal.status, self.envelope(self.xml(
                f'<soap:Fault><soap:Code><soap:Value>{self.name("soap", "Sender")}</soap:Value>{code}</soap:Code>'
                f'<soap:Reason><soap:Text xml:lang="en">{refusal}, it is said</soap:Text></soap:Reason></soap:Fault>')).encode())
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    # --- Device ---

    def on_GetSystemDateAndTime(self, *_):
        def date(seconds):
            t = instant(seconds)
            return (f"<tt:Time><tt:Hour>{t.hour}</tt:Hour><tt:Minute>{t.minute}</tt:Minute><tt:Second>{t.second}</tt:Second></tt:Time>"
                    f"<tt:Date><tt:Year>{t.year}</tt:Year><tt:Month>{t.month}</tt:Month><tt:Day>{t.day}</tt:Day></tt:Date>")
        # one whose UTC field holds local time has UTC in the other: the token wants what is neither said nor meant
        return ("<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
                f"<tt:UTCDateTime>{date(self.now() + self.local_as_utc)}</tt:UTCDateTime><tt:LocalDateTime>{date(self.now())}</tt:LocalDateTime>"
                "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>")

    def on_SetSystemDateAndTime(self, request, *_):
        if not self.sets:
            raise Refusal(400, "NotAuthorized")
        number = lambda name: int(request.findtext(".//{%s}%s" % (NAMESPACES["tt"], name)))
        at = datetime.datetime(*map(number, ("Year", "Month", "Day", "Hour", "Minute", "Second")), tzinfo=datetime.timezone.utc)
        if self.sets == "clock":
            self.clock = at.timestamp() - time.time()
        return "<tds:SetSystemDateAndTimeResponse/>"

    def service_paths(self):
        paths = {"tds": "/onvif/device_service", "tev": "/onvif/events"}
        if self.services != "none":
            paths["trt"] = "/onvif/media"
        if self.services == "all":
            paths["tr2"] = "/onvif/media2"
        if self.ptz:
            paths["tptz"] = "/onvif/ptz"
        if self.imaging:
            paths["timg"] = "/onvif/imaging"
        return paths

    def on_GetServices(self, *_):
        if self.services == "media":
            raise Refusal(400, "ActionNotSupported")
        services = "".join(f"<tds:Service><tds:Namespace>{NAMESPACES[prefix]}</tds:Namespace><tds:XAddr>{self.place(path)}</tds:XAddr>"
                           "<tds:Version><tt:Major>2</tt:Major><tt:Minor>42</tt:Minor></tds:Version></tds:Service>" for prefix, path in self.service_paths().items())
        return f"<tds:GetServicesResponse>{services}</tds:GetServicesResponse>"

    def on_GetCapabilities(self, *_):
        return ("<tds:GetCapabilitiesResponse><tds:Capabilities>"
                f'<tt:Events><tt:XAddr>{self.place("/onvif/events")}</tt:XAddr><tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>'
                "<tt:WSPullPointSupport>true</tt:WSPullPointSupport><tt:WSPausableSubscriptionManagerInterfaceSupport>false</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
                + (f'<tt:Imaging><tt:XAddr>{self.place("/onvif/imaging")}</tt:XAddr></tt:Imaging>' if self.imaging else "") +
                f'<tt:Media><tt:XAddr>{self.place("/onvif/media")}</tt:XAddr><tt:StreamingCapabilities/></tt:Media>'
                + (f'<tt:PTZ><tt:XAddr>{self.place("/onvif/ptz")}</tt:XAddr></tt:PTZ>' if self.ptz else "") +
                "</tds:Capabilities></tds:GetCapabilitiesResponse>")

    # --- Media and Media2 ---

    def profiles(self):
        """Not in the order of their size: the first is the second largest."""
        rows = list(zip(self.rtsp, self.sizes))
        return rows[1:] + rows[:1]

    def at_its_place(self, path, space):
        """Q120: a service does not know the words of another."""
        prefix = {"/onvif/media": "trt", "/onvif/media2": "tr2"}.get(path)
        if not prefix or NAMESPACES[prefix] != space:
            raise Refusal(400, "ActionNotSupported")
        return prefix

    def on_GetProfiles(self, request, envelope, path, space):
        prefix = self.at_its_place(path, space)
        text = ""
        moved = "<tt:Name>dome</tt:Name><tt:UseCount>1</tt:UseCount><tt:NodeToken>n1</tt:NodeToken>"
        media_ptz = f'<tt:PTZConfiguration token="p1">{moved}</tt:PTZConfiguration>' if self.ptz else ""
        asked_ptz = self.ptz and "PTZ" in [node.text for node in request]
        media2_ptz = f'<tr2:PTZ token="p1">{moved}</tr2:PTZ>' if asked_ptz else ""
        source = '<tt:Name>s</tt:Name><tt:UseCount>1</tt:UseCount><tt:SourceToken>sensor</tt:SourceToken><tt:Bounds x="0" y="0" width="1280" height="720"/>'
        for token, (width, height) in self.profiles():
            inside = (f"<tt:Name>{token}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding>"
                      f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality>")
            if prefix == "tr2":
                text += (f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{token}</tr2:Name><tr2:Configurations>'
                         f'<tr2:VideoSource token="s1">{source}</tr2:VideoSource>'
                         f'<tr2:VideoEncoder token="e-{token}">{inside}</tr2:VideoEncoder>{media2_ptz}</tr2:Configurations></tr2:Profiles>')
            else:
                text += (f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{token}</tt:Name>'
                         f'<tt:VideoSourceConfiguration token="s1">{source}</tt:VideoSourceConfiguration>'
                         f'<tt:VideoEncoderConfiguration token="e-{token}">{inside}</tt:VideoEncoderConfiguration>{media_ptz}</trt:Profiles>')
        return f"<{prefix}:GetProfilesResponse>{text}</{prefix}:GetProfilesResponse>"

    def on_GetStreamUri(self, request, envelope, path, space):
        prefix = self.at_its_place(path, space)
        uri = self.rtsp.get(request.findtext("{%s}ProfileToken" % space))
        if not uri:
            raise Refusal(400, "InvalidArgVal")
        if prefix == "tr2":
            return f"<tr2:GetStreamUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetStreamUriResponse>"
        return (f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
                "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>")

    # --- Events ---

    def wanted_seconds(self, text):
        """Of a duration, or of an instant of the camera's clock."""
        if text.startswith("P"):
            return int(re.fullmatch(r"PT(\d+)S", text)[1])
        return datetime.datetime.strptime(text, FORMAT).replace(tzinfo=datetime.timezone.utc).timestamp() - self.now()

    def times(self, seconds, prefix):
        form = lambda at: instant(at).strftime(FORMAT)
        return f"<{prefix}:CurrentTime>{form(self.now())}</{prefix}:CurrentTime><{prefix}:TerminationTime>{form(self.now() + seconds)}</{prefix}:TerminationTime>"

    def on_CreatePullPointSubscription(self, request, envelope, path, space):
        if self.refuses or path != "/onvif/events":
            raise Refusal(400, "ActionNotSupported")
        seconds = self.lifetime or self.wanted_seconds(request.findtext("{%s}InitialTerminationTime" % space))
        with self.changed:
            number, self.next_subscription = self.next_subscription, self.next_subscription + 1
            self.subscriptions = {number: Subscription(time.time() + seconds)}  # Q123: a single slot, the newest wins
        address = self.place("/onvif/pull?a=1&amp;b=2" if self.parameters else f"/onvif/pull/{number}?a=1&amp;b=2")
        extra = f'<wsa:ReferenceParameters><v:Id xmlns:v="urn:vendor">{number}</v:Id></wsa:ReferenceParameters>' if self.parameters else ""
        return (f"<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>{address}</wsa:Address>{extra}</tev:SubscriptionReference>"
                f"{self.times(seconds, 'wsnt')}</tev:CreatePullPointSubscriptionResponse>")

    def subscription(self, path, envelope):
        if self.parameters:
            path += f"/{envelope.findtext('.//{urn:vendor}Id')}"
        number = re.fullmatch(r"/onvif/pull\?a=1&b=2/(\d+)" if self.parameters else r"/onvif/pull/(\d+)\?a=1&b=2", path)
        found = self.subscriptions.get(int(number[1])) if number else None
        if not found or found.ends < time.time():
            raise Refusal(500, "ResourceUnknownFault")
        return found

    def on_PullMessages(self, request, envelope, path, space):
        timeout, life = self.wanted_seconds(request.findtext("{%s}Timeout" % space)), self.lives
        with self.changed:
            subscription = self.subscription(path, envelope)
            ready = lambda: self.lives != life or subscription not in self.subscriptions.values() or (not self.deaf and subscription.waiting)
            self.changed.wait_for(ready, 0 if self.at_once else 120 if self.deaf else timeout)
            if self.lives != life or self.deaf:
                return None
            self.subscription(path, envelope)
            messages, subscription.waiting = subscription.waiting, []
        return f"<tev:PullMessagesResponse>{self.times(subscription.ends - time.time(), 'tev')}{''.join(messages)}</tev:PullMessagesResponse>"

    def on_Renew(self, request, envelope, path, space):
        text = request.findtext("{%s}TerminationTime" % space)
        addressed = envelope.find(".//{%s}To" % NAMESPACES["wsa"]) is not None
        if self.renew == "no" or (self.renew == "absolute" and text.startswith("P")) or (self.renew in ("addressing", "plain") and addressed == (self.renew == "plain")):
            raise Refusal(400, "InvalidArgVal")
        with self.changed:
            seconds = self.lifetime or self.wanted_seconds(text)
            self.subscription(path, envelope).ends = time.time() + seconds
        return f"<wsnt:RenewResponse><wsnt:TerminationTime>{instant(self.now() + seconds).strftime(FORMAT)}</wsnt:TerminationTime></wsnt:RenewResponse>"

    def on_SetSynchronizationPoint(self, request, envelope, path, space):
        with self.changed:
            waiting = self.subscription(path, envelope).waiting
            waiting += [self.message(topic, value, name, source, "Initialized") for (topic, name, source), value in self.states.items()]
        return "<tev:SetSynchronizationPointResponse/>"

    def on_Unsubscribe(self, request, envelope, path, space):
        with self.changed:
            self.subscription(path, envelope)
        self.forget()
        return "<wsnt:UnsubscribeResponse/>"

    # --- PTZ ---

    def on_GetNodes(self, request, envelope, path, space):
        """The first is not the one that the profiles name."""
        def scale(name, uri, *ranges):
            return f"<tt:{name}><tt:URI>{SPACES}{uri}</tt:URI>" + "".join(f"<tt:{axis}Range><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:{axis}Range>" for axis in ranges) + f"</tt:{name}>"
        spaces = (scale("AbsolutePanTiltPositionSpace", "PanTiltSpaces/PositionGenericSpace", "X", "Y") + scale("RelativePanTiltTranslationSpace", "PanTiltSpaces/TranslationGenericSpace", "X", "Y")
                  + scale("ContinuousPanTiltVelocitySpace", "PanTiltSpaces/VelocityGenericSpace", "X", "Y") + scale("ContinuousZoomVelocitySpace", "ZoomSpaces/VelocityGenericSpace", "X"))
        return ('<tptz:GetNodesResponse><tptz:PTZNode token="n0"><tt:SupportedPTZSpaces/><tt:MaximumNumberOfPresets>0</tt:MaximumNumberOfPresets><tt:HomeSupported>false</tt:HomeSupported></tptz:PTZNode>'
                f'<tptz:PTZNode token="n1" FixedHomePosition="false"><tt:SupportedPTZSpaces>{spaces}</tt:SupportedPTZSpaces><tt:MaximumNumberOfPresets>9</tt:MaximumNumberOfPresets>'
                "<tt:HomeSupported>true</tt:HomeSupported></tptz:PTZNode></tptz:GetNodesResponse>")

    def vector(self, node):
        """(x, y, zoom), None for what is not there; None for no node."""
        if node is None:
            return None
        pan, zoom = (node.find("{%s}%s" % (NAMESPACES["tt"], name)) for name in ("PanTilt", "Zoom"))
        return (float(pan.get("x")), float(pan.get("y"))) + (() if zoom is None else (float(zoom.get("x")),)) if pan is not None else (None, None, float(zoom.get("x")))

    def ptz_asked(self, request, path, space):
        """Writes down what is asked, and holds its answer while it is to be held. The elements by their names, but for the profile."""
        if path != "/onvif/ptz" or space != NAMESPACES["tptz"] or not self.ptz or request[0].text not in self.rtsp:
            raise Refusal(400, "InvalidArgVal", "NoPTZProfile")
        values = {node.tag.split("}")[1]: self.vector(node) if len(node) else node.text for node in request[1:]}
        with self.changed:
            self.moves.append((request.tag.split("}")[1], values))
            self.changed.wait_for(lambda: not self.holds, 60)
        return values

    def release(self):
        with self.changed:
            self.holds = False
            self.changed.notify_all()

    def moved(self, request, envelope, path, space):
        name = request.tag.split("}")[1]
        values = self.ptz_asked(request, path, space)
        if "PresetToken" in values and values["PresetToken"] not in self.presets:
            raise Refusal(400, "InvalidArgVal", "NoToken")
        if name == "AbsoluteMove":
            self.position = values["Position"]
        elif name == "SetHomePosition":
            self.home = self.position
        elif name == "GotoHomePosition":
            self.position = self.home
        elif name == "GotoPreset":
            self.position = self.presets[values["PresetToken"]][1]
        elif name == "RemovePreset":
            del self.presets[values["PresetToken"]]
        return f"<tptz:{name}Response/>"

    on_ContinuousMove = on_RelativeMove = on_AbsoluteMove = on_Stop = on_GotoPreset = on_GotoHomePosition = on_SetHomePosition = on_RemovePreset = moved

    def on_SetPreset(self, request, envelope, path, space):
        values = self.ptz_asked(request, path, space)
        token = values.get("PresetToken") or str(len(self.presets) + 1)
        self.presets[token] = (values.get("PresetName"), self.position)
        return f"<tptz:SetPresetResponse><tptz:PresetToken>{token}</tptz:PresetToken></tptz:SetPresetResponse>"

    def place_of(self, name, position):
        return f'<tt:{name}><tt:PanTilt x="{position[0]}" y="{position[1]}" space="{SPACES}PanTiltSpaces/PositionGenericSpace"/></tt:{name}>'

    def on_GetPresets(self, request, envelope, path, space):
        self.ptz_asked(request, path, space)
        presets = "".join(f'<tptz:Preset token="{token}"><tt:Name>{html.escape(name)}</tt:Name>{self.place_of("PTZPosition", position)}</tptz:Preset>' for token, (name, position) in self.presets.items())
        return f"<tptz:GetPresetsResponse>{presets}</tptz:GetPresetsResponse>"

    def on_GetStatus(self, request, envelope, path, space):
        self.ptz_asked(request, path, space)
        return (f'<tptz:GetStatusResponse><tptz:PTZStatus>{self.place_of("Position", self.position)}<tt:MoveStatus><tt:PanTilt>IDLE</tt:PanTilt></tt:MoveStatus>'
                f"<tt:UtcTime>{instant(self.now()).strftime(FORMAT)}</tt:UtcTime></tptz:PTZStatus></tptz:GetStatusResponse>")

    # --- imaging ---

    def imaging_asked(self, request, path):
        """Writes down what is asked, and holds its answer as PTZ does."""
        if path != "/onvif/imaging" or not self.imaging:
            raise Refusal(400, "ActionNotSupported")
        if request[0].text != "sensor":
            raise Refusal(400, "InvalidArgVal", "NoSource")
        values = {}

        def read(node, path):
            for child in node:
                read(child, path + [child.tag.split("}")[1]])
            if not len(node):
                values["/".join(path)] = node.text
        for node in request[1:]:
            read(node, [] if len(node) else [node.tag.split("}")[1]])
        with self.changed:
            self.pictures.append((request.tag.split("}")[1], values))
            self.changed.wait_for(lambda: not self.holds, 60)
        return values

    def tree(self, values, leaf=str):
        """The elements of these paths."""
        inside = {}
        for path, value in values.items():
            name, _, rest = path.partition("/")
            inside.setdefault(name, {})[rest] = value
        return "".join(f"<tt:{name}>{leaf(rows['']) if '' in rows else self.tree(rows, leaf)}</tt:{name}>" for name, rows in inside.items())

    def span(self, most):
        return f"<tt:Min>0</tt:Min><tt:Max>{most}</tt:Max>"

    def on_imaging_GetImagingSettings(self, request, envelope, path, space):
        self.imaging_asked(request, path)
        settings = self.tree(self.settings)
        if self.imaging == "broken":
            settings = '<tt:Contrast>high</tt:Contrast><tt:Exposure><tt:Gain>1</tt:Gain></tt:Exposure><v:Hue xmlns:v="urn:vendor">3</v:Hue>' + settings
        return f"<timg:GetImagingSettingsResponse><timg:ImagingSettings>{settings}</timg:ImagingSettings></timg:GetImagingSettingsResponse>"

    def on_imaging_SetImagingSettings(self, request, envelope, path, space):
        values = self.imaging_asked(request, path)
        if float(values.get("Brightness", 0)) > 100:
            raise Refusal(400, "InvalidArgVal", "SettingsInvalid")
        self.settings.update({name: value for name, value in values.items() if name != "ForcePersistence"})
        return "<timg:SetImagingSettingsResponse/>"

    def on_imaging_GetOptions(self, request, envelope, path, space):
        self.imaging_asked(request, path)
        modes = "".join(f"<tt:IrCutFilterModes>{word}</tt:IrCutFilterModes>" for word in ("AUTO", "ON", "OFF"))
        return (f'<timg:GetOptionsResponse><timg:ImagingOptions>{modes}{self.tree({"Brightness": 100, "Contrast": 99.5}, self.span)}<tt:Exposure><tt:Mode>AUTO</tt:Mode><tt:Mode>MANUAL</tt:Mode>'
                f'{self.tree({"MaxGain": 42}, self.span)}</tt:Exposure></timg:ImagingOptions></timg:GetOptionsResponse>')

    def on_imaging_GetMoveOptions(self, request, envelope, path, space):
        self.imaging_asked(request, path)
        return (f'<timg:GetMoveOptionsResponse><timg:MoveOptions>{self.tree({"Continuous/Speed": 7, "Absolute/Position": 1}, self.span)}'
                "</timg:MoveOptions></timg:GetMoveOptionsResponse>")

    def on_imaging_GetStatus(self, request, envelope, path, space):
        self.imaging_asked(request, path)
        return (f'<timg:GetStatusResponse><timg:Status>{self.tree({"FocusStatus20/Position": "0.25", "FocusStatus20/MoveStatus": "IDLE"})}</timg:Status></timg:GetStatusResponse>')

    def imaging_moved(self, request, envelope, path, space):
        self.imaging_asked(request, path)
        return f'<timg:{request.tag.split("}")[1]}Response/>'

    on_imaging_Move = on_imaging_Stop = imaging_moved

    # --- what was seen ---

    def operations(self):
        with self.changed:
            return [operation for operation, _ in self.asked]

    def problems(self, folder):
        """What the strict validator says of all that was asked; None where there is none."""
        if not (pathlib.Path(VALIDATOR) / "validate").exists() or not VALIDATOR:
            return None
        folder = pathlib.Path(folder)
        with self.changed:
            messages = list(self.messages)
        for i, message in enumerate(messages):
            (folder / f"request-{i:04}.xml").write_bytes(message)
        return subprocess.run([f"{VALIDATOR}/validate", "--dir", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
