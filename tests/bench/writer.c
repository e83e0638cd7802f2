/*
 * The floor for tests/bench/rtsp: answers RTSP as little as possible, and gives each reader a prepared
 * picture of 4 Mbit/s 25 times a second by one writev. Usage: writer; prints its port, until SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	READERS = 4096,
	PAYLOAD_BYTES = 1400,
	PACKETS = 15, /* of 1400 bytes, 25 times a second: 4.2 Mbit/s */
	PERIOD_NS = 40000000,
	EVENTS = 256
};
static const char sdp[] =
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
	"a=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";

static int readers[READERS];
static size_t n_readers;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* One request after the other; they come one at a time. */
static void answer(int fd)
{
	char request[4096], text[1024];
	ssize_t n = read(fd, request, sizeof(request) - 1);
	const char *more = "";

	if (n <= 0) {
		for (size_t i = 0; i < n_readers; i++)
			if (readers[i] == fd)
				readers[i] = readers[--n_readers];
		close(fd);
		return;
	}
	request[n] = '\0';
	if (request[0] == '$')
		return;
	const char *cseq = strstr(request, "CSeq:");
	if (strncmp(request, "SETUP", 5) == 0)
		more = "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
	int bytes = snprintf(text, sizeof(text), "RTSP/1.0 200 OK\r\n%.*s\r\n%s",
		cseq ? (int)strcspn(cseq, "\r") : 0, cseq ? cseq : "", more);
	if (strncmp(request, "DESCRIBE", 8) == 0)
		bytes += snprintf(text + bytes, sizeof(text) - (size_t)bytes,
			"Content-Length: %zu\r\n\r\n%s", sizeof(sdp) - 1, sdp);
	else
		bytes += snprintf(text + bytes, sizeof(text) - (size_t)bytes, "\r\n");
	if (write(fd, text, (size_t)bytes) != bytes)
		die("write");
	if (strncmp(request, "PLAY", 4) == 0 && n_readers < READERS)
		readers[n_readers++] = fd;
}

static void send_picture(void)
{
	static unsigned char packets[PACKETS][4 + 12 + PAYLOAD_BYTES];
	static unsigned sequence;
	struct iovec pieces[PACKETS];

	for (unsigned i = 0; i < PACKETS; i++, sequence++) {
		unsigned char *p = packets[i];
		p[0] = '$';
		p[2] = (12 + PAYLOAD_BYTES) >> 8;
		p[3] = (12 + PAYLOAD_BYTES) & 0xff;
		p[4] = 0x80;
		p[6] = (unsigned char)(sequence >> 8);
		p[7] = (unsigned char)sequence;
		pieces[i] = (struct iovec){ p, sizeof(packets[i]) };
	}
	for (size_t i = 0; i < n_readers; i++) {
		/* who does not keep up is none of its concern: the socket's buffer is large */
		if (writev(readers[i], pieces, PACKETS) != (ssize_t)sizeof(packets))
			die("a reader is too slow for a server that keeps nothing");
	}
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(address);
	struct itimerspec period = {
		{0,  PERIOD_NS},
                { 0, PERIOD_NS}
	};
	struct rlimit files;
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN };
	int epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), room = 4 << 20;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (bind(listener, (struct sockaddr *)&address, n) < 0 || listen(listener, 512) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &n) < 0 ||
		timerfd_settime(timer, 0, &period, NULL) < 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	event.data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	event.data.fd = timer;
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
	for (;;) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < ready; i++) {
			unsigned long long beats;
			if (events[i].data.fd == listener) {
				event.data.fd = accept(listener, NULL, NULL);
				(void)setsockopt(
					event.data.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
			} else if (events[i].data.fd != timer) {
				answer(events[i].data.fd);
			} else if (read(timer, &beats, sizeof(beats)) == sizeof(beats)) {
				send_picture();
			}
		}
	}
}
