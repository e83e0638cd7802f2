/*
 * Many RTSP readers of one URL over TCP or UDP, in one process: what each got, and what it missed.
 * Usage: readers URL READERS SECONDS [udp]; prints "PACKETS BYTES LOST" of the seconds after all of them play.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ANSWER_BYTES = 16384,
	BLOCK_BYTES = 1 << 18,
	PACKET_BYTES = 4 + 65535,
	EVENTS = 256
};

struct reader {
	int fd;
	size_t have; /* of a packet that is not whole */
	unsigned char *part;
	int sequence; /* of the next packet of the first channel, or -1 */
};

static unsigned long long packets, bytes, lost;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Sends one request and reads its answer, body included; what comes behind it stays. */
static void ask(int fd, char answer[ANSWER_BYTES], const char *request)
{
	size_t n = 0, whole = 0;

	if (write(fd, request, strlen(request)) < 0)
		die("write");
	while (whole == 0 || n < whole) {
		/* a byte at a time, so that the first packets are left for the loop */
		if (n == ANSWER_BYTES - 1 || read(fd, answer + n, 1) != 1)
			die("read");
		answer[++n] = '\0';
		if (whole == 0 && n > 4 && strcmp(answer + n - 4, "\r\n\r\n") == 0) {
			const char *length = strcasestr(answer, "Content-Length:");
			whole = n + (length ? strtoul(length + 15, NULL, 10) : 0);
		}
	}
	if (strncmp(answer, "RTSP/1.0 200", 12) != 0) {
		fputs(answer, stderr);
		exit(1);
	}
}

static int dial(const char *url)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *port = strchr(url + strlen("rtsp://"), ':');
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!port)
		die(url);
	address.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(url);
	return fd;
}

/* Where the first track is set up: the first control that follows a media line. */
static void find_track(char *ret, size_t size, const char *url, const char *sdp)
{
	const char *media = strstr(sdp, "\nm="), *control;

	control = media ? strstr(media, "\na=control:") : NULL;
	if (!control)
		die("no track");
	control += strlen("\na=control:");
	int n = (int)strcspn(control, "\r\n");
	if (strncmp(control, "rtsp://", 7) == 0)
		snprintf(ret, size, "%.*s", n, control);
	else
		snprintf(ret, size, "%s/%.*s", url, n, control);
}

/* A socket on an even port of the kernel's; nobody listens to the next one. */
static int receive(unsigned *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &n) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) < 0)
		die("socket");
	*port = ntohs(address.sin_port);
	return fd;
}

/* Returns the socket that the packets come by. */
static int play(const char *url, bool udp)
{
	char answer[ANSWER_BYTES], request[2048], track[1024], session[128] = "";
	char transport[128] = "RTP/AVP/TCP;unicast;interleaved=0-1";
	int fd = dial(url), media = fd;
	unsigned port;

	if (udp) {
		media = receive(&port);
		snprintf(transport, sizeof(transport), "RTP/AVP;unicast;client_port=%u-%u", port,
			port + 1);
	}
	snprintf(request, sizeof(request),
		"DESCRIBE %s RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n", url);
	ask(fd, answer, request);
	find_track(track, sizeof(track), url, answer);
	snprintf(request, sizeof(request), "SETUP %s RTSP/1.0\r\nCSeq: 2\r\nTransport: %s\r\n\r\n",
		track, transport);
	ask(fd, answer, request);
	const char *at = strcasestr(answer, "Session: ");
	if (at)
		snprintf(session, sizeof(session), "Session: %.*s\r\n", (int)strcspn(at + 9, ";\r"),
			at + 9);
	snprintf(request, sizeof(request), "PLAY %s RTSP/1.0\r\nCSeq: 3\r\n%s\r\n", url, session);
	ask(fd, answer, request);
	return media;
}

static void take(struct reader *r, const unsigned char *p, size_t n)
{
	packets++;
	bytes += n;
	if (p[1] != 0 || n < 16)
		return;
	int sequence = p[6] << 8 | p[7];
	int ahead = (short)(sequence - r->sequence);
	if (r->sequence >= 0 && ahead < 0) { /* datagrams overtake each other */
		lost -= lost > 0;
		return;
	}
	if (r->sequence >= 0)
		lost += (unsigned)ahead;
	r->sequence = (sequence + 1) & 0xffff;
}

/* One packet without what is before it over TCP. */
static void take_datagram(struct reader *r, unsigned char *p, size_t n)
{
	unsigned char whole[4 + 16] = { '$', 0 };

	memcpy(whole + 4, p, n < 16 ? n : 16);
	take(r, whole, n + 4);
}

/* Whole packets of the block, with what was left of the one before; the rest is kept. */
static void take_block(struct reader *r, unsigned char *p, size_t n)
{
	size_t at = 0;

	for (;;) {
		size_t whole = n - at < 4 ? 4 : 4 + ((size_t)p[at + 2] << 8 | p[at + 3]);
		if (n - at < whole)
			break;
		if (p[at] != '$')
			die("what came is no packet");
		take(r, p + at, whole);
		at += whole;
	}
	r->have = n - at;
	memcpy(r->part, p + at, r->have);
}

static void run(int epoll, double seconds, bool udp)
{
	static unsigned char block[PACKET_BYTES + BLOCK_BYTES];
	struct epoll_event events[EVENTS];
	struct timespec now;
	double end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = (double)now.tv_sec + (double)now.tv_nsec / 1e9 + seconds;
	do {
		int ready = epoll_wait(epoll, events, EVENTS, 100);
		for (int i = 0; i < ready; i++) {
			struct reader *r = events[i].data.ptr;
			memcpy(block, r->part, r->have);
			ssize_t n = read(r->fd, block + r->have, BLOCK_BYTES);
			if (n <= 0)
				die("a reader was cut off");
			if (udp)
				take_datagram(r, block, (size_t)n);
			else
				take_block(r, block, r->have + (size_t)n);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)now.tv_sec + (double)now.tv_nsec / 1e9 < end);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int epoll = epoll_create1(0);

	bool udp = argc == 5 && strcmp(argv[4], "udp") == 0;

	if (argc != 4 && !udp)
		die("usage: readers URL READERS SECONDS [udp]");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	size_t n = strtoul(argv[2], NULL, 10);
	struct reader *readers = calloc(n, sizeof(*readers));
	if (!readers)
		die("memory");
	for (size_t i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &readers[i] };
		readers[i] = (struct reader){
			.fd = play(argv[1], udp), .sequence = -1, .part = malloc(PACKET_BYTES)
		};
		if (!readers[i].part || epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event) < 0)
			die("epoll");
		run(epoll, 0, udp); /* the ones before go on */
	}
	run(epoll, 2, udp);
	packets = bytes = 0;
	printf("ready\n");
	fflush(stdout);
	run(epoll, strtod(argv[3], NULL), udp);
	printf("%llu %llu %llu\n", packets, bytes, lost);
	return 0;
}
