/*
 * Many players of one Low-Latency HLS playlist over kept connections, in one process. Each asks for
 * the playlist with the next part, which blocks, then for that part, and throws it away.
 * Usage: players ADDRESS PORT PATH PLAYERS SECONDS; prints "ready" when all of them play, then
 * "PARTS BYTES" of the seconds after that.
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
	HEAD_BYTES = 65536, /* an answer's head, and all of a playlist */
	BLOCK_BYTES = 1 << 20,
	NAME_BYTES = 64,
	EVENTS = 256
};

struct player {
	int fd;
	bool wants_part; /* what is asked for now; else the playlist */
	char hint[NAME_BYTES];
	unsigned long long segment, part; /* that come next */
	size_t have;                      /* of `text` */
	unsigned long long left; /* of a part's body that is not kept; 0: its head is not whole */
	unsigned parts;
	char text[HEAD_BYTES];
};

static unsigned long long parts, bytes;
static const char *folder;
static char block[BLOCK_BYTES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ask(struct player *p)
{
	char request[512];
	int n;

	if (p->wants_part)
		n = snprintf(request, sizeof(request),
			"GET %s/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", folder, p->hint);
	else if (p->hint[0])
		n = snprintf(request, sizeof(request),
			"GET %s/media.m3u8?_HLS_msn=%llu&_HLS_part=%llu HTTP/1.1\r\nHost: "
			"localhost\r\n\r\n",
			folder, p->segment, p->part);
	else
		n = snprintf(request, sizeof(request),
			"GET %s/media.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n", folder);
	if (write(p->fd, request, (size_t)n) != n)
		die("write");
	p->have = 0;
}

static const char *after(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	if (!at) {
		fprintf(stderr, "no %s in %.300s\n", what, text);
		exit(1);
	}
	return at + strlen(what);
}

/* What comes next, of a playlist. */
static void take_playlist(struct player *p, const char *text)
{
	const char *hint = after(text, "PRELOAD-HINT:TYPE=PART,URI=\""), *at = text;

	p->wants_part = p->hint[0] != '\0'; /* the one hinted at before is there now */
	p->segment = strtoull(after(text, "MEDIA-SEQUENCE:"), NULL, 10);
	p->part = 0;
	for (; (at = strchr(at, '#')); at++) {
		if (strncmp(at, "#EXTINF", 7) == 0) {
			p->segment++;
			p->part = 0;
		} else if (strncmp(at, "#EXT-X-PART:", 12) == 0) {
			p->part++;
		}
	}
	if (p->wants_part)
		ask(p);
	(void)snprintf(p->hint, sizeof(p->hint), "%.*s", (int)strcspn(hint, "\""), hint);
	if (!p->wants_part)
		ask(p);
}

static void on_part(struct player *p)
{
	parts++;
	p->parts++;
	p->wants_part = false;
	ask(p);
}

/* Reads a head, and what of the body came with it. */
static void read_head(struct player *p)
{
	ssize_t r = read(p->fd, p->text + p->have, HEAD_BYTES - 1 - p->have);
	unsigned long long length;
	size_t body;
	char *end;

	if (r <= 0)
		die("read");
	bytes += (size_t)r;
	p->have += (size_t)r;
	p->text[p->have] = '\0';
	end = strstr(p->text, "\r\n\r\n");
	if (!end)
		return;
	if (strncmp(p->text, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "%.300s\n", p->text);
		exit(1);
	}
	length = strtoull(after(p->text, "Content-Length: "), NULL, 10);
	body = p->have - (size_t)(end + 4 - p->text);
	if (!p->wants_part && body == length)
		take_playlist(p, end + 4);
	else if (p->wants_part && body < length)
		p->left = length - body;
	else if (p->wants_part)
		on_part(p);
}

static void on_readable(struct player *p)
{
	ssize_t r;

	if (!p->left) {
		read_head(p);
		return;
	}
	r = read(p->fd, block, p->left < BLOCK_BYTES ? p->left : BLOCK_BYTES);
	if (r <= 0)
		die("read");
	bytes += (size_t)r;
	p->left -= (size_t)r;
	if (!p->left)
		on_part(p);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void dial(struct player *p, const struct sockaddr_in *to, int epoll)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = p };

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)to, sizeof(*to)) ||
		epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &event))
		die("connect");
	ask(p);
}

static void turn(int epoll)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, 1000);

	for (int i = 0; i < n; i++)
		on_readable(events[i].data.ptr);
}

static bool all_play(const struct player *players, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (players[i].parts < 2)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct rlimit files = { 65536, 65536 };
	struct player *players;
	unsigned n;
	double end;
	int epoll;

	if (argc != 6)
		return 2;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)inet_pton(AF_INET, argv[1], &to.sin_addr);
	to.sin_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
	folder = argv[3];
	n = (unsigned)strtoul(argv[4], NULL, 10);
	players = calloc(n, sizeof(*players));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!players || epoll < 0)
		die("memory");
	for (unsigned i = 0; i < n; i++)
		dial(&players[i], &to, epoll);
	while (!all_play(players, n))
		turn(epoll);
	puts("ready");
	(void)fflush(stdout);
	parts = bytes = 0;
	for (end = now() + strtod(argv[5], NULL); now() < end;)
		turn(epoll);
	printf("%llu %llu\n", parts, bytes);
	free(players);
	return 0;
}
