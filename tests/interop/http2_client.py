"""One connection of HTTP/2 by the library h2, for many requests at once; streams may be left unread."""
import contextlib
import email.message
import io
import socket
import ssl
import threading
import urllib.request
import urllib.response

import h2.config
import h2.connection
import h2.events
import h2.exceptions


class Stream:
    def __init__(self, number, held):
        self.number, self.held = number, held
        self.status, self.fields, self.body, self.error = None, {}, bytearray(), None
        self.unread = 0  # of a window that was not given back
        self.done = threading.Event()


class Client:
    def __init__(self, address, fields=()):
        host, _, port = address.rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.socket = context.wrap_socket(socket.create_connection((host, int(port)), 20), server_hostname="localhost")
        self.socket.settimeout(None)
        self.protocol = self.socket.selected_alpn_protocol()
        self.address, self.fields = address, list(fields)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.streams, self.goaway, self.failure, self.ended = {}, None, None, threading.Event()
        self.changed = threading.Condition()  # also the lock of all above
        with self.changed:
            self.connection.initiate_connection()
            self.connection.increment_flow_control_window(1 << 24)
            self.flush()
        threading.Thread(target=self.read, daemon=True).start()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def read(self):
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    break
                with self.changed:
                    for event in self.connection.receive_data(data):
                        self.take(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, h2.exceptions.ProtocolError) as error:
            self.failure = error
        with self.changed:
            for stream in self.streams.values():
                if not stream.done.is_set():
                    stream.error = stream.error or "the connection ended"
                    stream.done.set()
            self.ended.set()
            self.changed.notify_all()

    def take(self, event):
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
            return
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            pairs = [(name.decode(), value.decode()) for name, value in event.headers]
            stream.status = int(dict(pairs)[":status"])
            stream.fields = email.message.Message()
            for name, value in pairs[1:]:
                stream.fields[name] = value
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if stream.held:
                stream.unread += event.flow_controlled_length
                self.connection.increment_flow_control_window(event.flow_controlled_length)
            else:
                self.connection.acknowledge_received_data(event.flow_controlled_length, stream.number)
        elif isinstance(event, h2.events.StreamReset):
            stream.error = stream.error or int(event.error_code)
            stream.done.set()
        elif isinstance(event, h2.events.StreamEnded):
            stream.error = 0
            stream.done.set()

    def start(self, method, path, fields=(), body=b"", held=False):
        """Sends a request; a held one takes no more of the answer than the first window."""
        with self.changed:
            number = self.connection.get_next_available_stream_id()
            stream = self.streams[number] = Stream(number, held)
            self.connection.send_headers(number, [(":method", method), (":scheme", "https"), (":authority", self.address), (":path", path),
                                                  *self.fields, *fields], end_stream=not body)
            self.flush()
            while body and not stream.done.is_set():
                room = min(self.connection.local_flow_control_window(number), 16384)
                if room == 0:
                    self.changed.wait(20)
                    continue
                self.connection.send_data(number, body[:room], end_stream=len(body) <= room)
                body = body[room:]
                self.flush()
        return stream

    def fetch(self, *words, **options):
        stream = self.start(*words, **options)
        stream.done.wait(60)
        return stream

    def release(self, stream):
        """What was held is taken."""
        with self.changed:
            stream.held = False
            self.connection.increment_flow_control_window(stream.unread, stream.number)
            self.flush()

    def reset(self, stream):
        with self.changed:
            self.connection.reset_stream(stream.number, 8)
            self.flush()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.ended.wait(10)  # a reader left behind would read from whatever gets this descriptor next
        self.socket.close()


class Handler(urllib.request.HTTPSHandler):
    """Has urllib ask for https: by one such connection."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def https_open(self, request):
        stream = self.client.fetch(request.get_method(), request.selector)
        if stream.error or stream.status is None:
            raise OSError(f"the stream ended: {stream.error}")
        answer = urllib.response.addinfourl(io.BytesIO(stream.body), stream.fields, request.full_url, stream.status)
        answer.msg = ""
        return answer
