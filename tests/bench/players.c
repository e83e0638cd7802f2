/*
 * Many players of Low-Latency HLS over kept connections, in one process. Each asks for the playlist
 * with the next part, which blocks, then for that part, and throws it away.
 * Usage: players h1|h2 ADDRESS PORT PLAYERS SECONDS PATH...: by HTTP/1.1, or by HTTP/2 with TLS; the
 * players are spread over the playlists. Prints "ready" when all of them play, then "PARTS BYTES" of
 * the seconds after that.
 */
#include "tests/bench/players.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
	PLAYLIST_BYTES = 65536,
	NAME_BYTES = 64,
	DIALLED = 32, /* at most, whose first answer is awaited */
	PLAYS = 2,    /* parts, after which a player plays */
	EVENTS = 256
};

struct player {
	void *connection;
	const char *folder;
	bool wants_part; /* what is asked for now; else the playlist */
	char hint[NAME_BYTES];
	unsigned long long segment, part; /* that come next */
	unsigned parts;
	size_t have; /* of `playlist` */
	char playlist[PLAYLIST_BYTES];
};

static const struct {
	const char *name;
	const struct carrier *carrier;
} carriers[] = {
	{"h1",  &http1_carrier},
#ifdef HAVE_NGHTTP2
	{ "h2", &http2_carrier},
#endif
};

static const struct carrier *carrier;
static unsigned long long parts, bytes;
static unsigned answered, playing; /* players that have a playlist, and that play */

static void ask(struct player *p)
{
	char path[512];

	if (p->wants_part)
		(void)snprintf(path, sizeof(path), "%s/%s", p->folder, p->hint);
	else if (p->hint[0])
		(void)snprintf(path, sizeof(path), "%s/media.m3u8?_HLS_msn=%llu&_HLS_part=%llu",
			p->folder, p->segment, p->part);
	else
		(void)snprintf(path, sizeof(path), "%s/media.m3u8", p->folder);
	carrier->ask(p->connection, path);
	p->have = 0;
}

static const char *after(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	if (!at)
		errx(1, "no %s in %.300s", what, text);
	return at + strlen(what);
}

/* What comes next, of a playlist. */
static void take_playlist(struct player *p)
{
	const char *hint = after(p->playlist, "PRELOAD-HINT:TYPE=PART,URI=\"");

	p->wants_part = p->hint[0] != '\0'; /* the one hinted at before is there now */
	answered += !p->wants_part;
	p->segment = strtoull(after(p->playlist, "MEDIA-SEQUENCE:"), NULL, 10);
	p->part = 0;
	for (const char *at = p->playlist; (at = strchr(at, '#')); at++) {
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

void player_take(struct player *p, const char *body, size_t n)
{
	bytes += n;
	if (p->wants_part)
		return;
	if (n >= PLAYLIST_BYTES - p->have)
		errx(1, "the playlist is too long");
	memcpy(p->playlist + p->have, body, n);
	p->have += n;
	p->playlist[p->have] = '\0';
}

void player_go_on(struct player *p)
{
	if (!p->wants_part) {
		take_playlist(p);
		return;
	}
	parts++;
	if (++p->parts == PLAYS)
		playing++;
	p->wants_part = false;
	ask(p);
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
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) ||
		fcntl(fd, F_SETFL, O_NONBLOCK) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "connect");
	p->connection = carrier->begin(p, fd);
	ask(p);
}

static void turn(int epoll)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, 1000);

	for (int i = 0; i < n; i++)
		carrier->read(((struct player *)events[i].data.ptr)->connection);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct rlimit files = { 65536, 65536 };
	struct player *players;
	unsigned n, dialled = 0;
	double end;
	int epoll;

	if (argc < 7)
		return 2;
	for (size_t i = 0; i < sizeof(carriers) / sizeof(*carriers); i++) {
		if (strcmp(carriers[i].name, argv[1]) == 0)
			carrier = carriers[i].carrier;
	}
	if (!carrier)
		errx(2, "%s is not known here", argv[1]);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)inet_pton(AF_INET, argv[2], &to.sin_addr);
	to.sin_port = htons((unsigned short)strtoul(argv[3], NULL, 10));
	n = (unsigned)strtoul(argv[4], NULL, 10);
	players = calloc(n, sizeof(*players));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!players || epoll < 0)
		err(1, "memory");
	while (playing < n) {
		for (; dialled < n && dialled - answered < DIALLED; dialled++) {
			players[dialled].folder = argv[6 + dialled % (unsigned)(argc - 6)];
			dial(&players[dialled], &to, epoll);
		}
		turn(epoll);
	}
	puts("ready");
	(void)fflush(stdout);
	parts = bytes = 0;
	for (end = now() + strtod(argv[5], NULL); now() < end;)
		turn(epoll);
	printf("%llu %llu\n", parts, bytes);
	free(players);
	return 0;
}
