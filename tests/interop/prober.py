"""Speaks WS-Discovery on one interface: asks, and hears what is said."""
import re
import socket
import struct
import threading
import uuid

from daemon import wait_for

GROUP = ("239.255.255.250", 3702)
DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TYPES = "<d:Types>dn:NetworkVideoTransmitter</d:Types>"


def message(action, body, number):
    return (f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{ADDRESSING}" xmlns:d="{DISCOVERY}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">'
            f"<s:Header><a:Action>{DISCOVERY}/{action}</a:Action><a:MessageID>{number}</a:MessageID></s:Header><s:Body><d:{action}>{body}</d:{action}></s:Body></s:Envelope>").encode()


def spoofed(datagram, source):
    """A datagram to the group that says to be from somewhere else: a packet with its IP header."""
    udp = struct.pack("!HHHH", 5555, GROUP[1], 8 + len(datagram), 0) + datagram
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 1, socket.IPPROTO_UDP, 0, socket.inet_aton(source), socket.inet_aton(GROUP[0])) + udp


class Match:
    """What a device has said of itself."""

    def __init__(self, text):
        self.text = text
        self.action = self.one("Action").rpartition("/")[2]

    def one(self, name):
        found = re.search(rf"<\w+:{name}(?:\s[^>]*)?>([^<]*)<", self.text)
        return found[1] if found else ""

    endpoint = property(lambda self: self.one("Address"))
    scopes = property(lambda self: self.one("Scopes").split())
    addresses = property(lambda self: self.one("XAddrs").split())
    sequence = property(lambda self: tuple(map(int, re.search(r'InstanceId="(\d+)" MessageNumber="(\d+)"', self.text).groups())))


class Prober:
    def __init__(self, address):
        self.heard, self.lock, self.address = [], threading.Lock(), address
        interface = socket.inet_aton(address)
        self.asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.asks.bind((address, 0))
        self.asks.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        self.group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.group.bind(GROUP)
        self.group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP[0]) + interface)
        for s in (self.asks, self.group):
            threading.Thread(target=self.hear, args=(s,), daemon=True).start()

    def hear(self, s):
        while True:
            text = s.recv(65536).decode()
            with self.lock:
                self.heard.append(Match(text))

    def keep(self, folder):
        """What devices have said, for the validator; what is asked is of many, and not for us to judge."""
        with self.lock:
            for i, match in enumerate(self.heard):
                if match.action not in ("Probe", "Resolve"):
                    (folder / f"discovery-{i:05}.xml").write_text(match.text)

    def said(self, action, endpoint=""):
        """What was said of that kind, by that one."""
        with self.lock:
            return [m for m in self.heard if m.action == action and (not endpoint or m.endpoint == endpoint)]

    def send(self, action, body, to=GROUP):
        """Asks, and gives the number by which answers are known."""
        number = f"urn:uuid:{uuid.uuid4()}"
        self.asks.sendto(message(action, body, number), to)
        return number

    def answers(self, number):
        with self.lock:
            return [m for m in self.heard if m.one("RelatesTo") == number]

    def ask(self, body, n=1, action="Probe"):
        """The answers, of which n are waited for."""
        number = self.send(action, body)
        wait_for(lambda: len(self.answers(number)) >= n, 30, f"{n} answers to {body}")
        return self.answers(number)

    def resolve(self, endpoint):
        return self.ask(f"<a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>", 1, "Resolve")

    def probe_from(self, source):
        """With another's address as sender; needs root, which one is in a network of one's own."""
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.address))
            s.sendto(spoofed(message("Probe", TYPES, "urn:uuid:7"), source), (GROUP[0], 0))
