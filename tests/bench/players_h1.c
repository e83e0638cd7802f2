/* Players by HTTP/1.1, plain. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/players.h"

enum {
	HEAD_BYTES = 65536, /* and what of the body comes with it */
	BLOCK_BYTES = 1 << 20
};

struct http1 {
	struct player *player;
	int fd;
	size_t have;             /* of `head` */
	unsigned long long left; /* of the body; 0: the head is not whole */
	char head[HEAD_BYTES];
};

static void *http1_begin(struct player *player, int fd)
{
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		err(1, "memory");
	h->player = player;
	h->fd = fd;
	return h;
}

static void http1_ask(void *connection, char *path)
{
	const struct http1 *h = connection;

	if (dprintf(h->fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) < 0)
		err(1, "write");
}

static size_t http1_get(const struct http1 *h, char *ret, size_t most)
{
	ssize_t n = read(h->fd, ret, most);

	if (n <= 0)
		err(1, "read");
	return (size_t)n;
}

static void http1_take(struct http1 *h, const char *body, size_t n)
{
	h->left -= n;
	player_take(h->player, body, n);
	if (!h->left)
		player_go_on(h->player);
}

static void http1_read_head(struct http1 *h)
{
	const char *end, *length;

	h->have += http1_get(h, h->head + h->have, HEAD_BYTES - 1 - h->have);
	h->head[h->have] = '\0';
	end = strstr(h->head, "\r\n\r\n");
	if (!end)
		return;
	length = strstr(h->head, "Content-Length: ");
	if (strncmp(h->head, "HTTP/1.1 200", 12) != 0 || !length)
		errx(1, "%.300s", h->head);
	h->left = strtoull(length + strlen("Content-Length: "), NULL, 10);
	end += 4;
	http1_take(h, end, h->have - (size_t)(end - h->head));
	h->have = 0;
}

static void http1_read(void *connection)
{
	static char block[BLOCK_BYTES];
	struct http1 *h = connection;

	if (h->left)
		http1_take(h, block,
			http1_get(h, block, h->left < BLOCK_BYTES ? h->left : BLOCK_BYTES));
	else
		http1_read_head(h);
}

const struct carrier http1_carrier = {
	.begin = http1_begin,
	.ask = http1_ask,
	.read = http1_read,
};
