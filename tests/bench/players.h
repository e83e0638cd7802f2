#pragma once

#include <stddef.h>

/* What players.c (what a player asks for) and players_h1.c, players_h2.c (how it is asked) share. */

struct player;

/* Asks over a connection of its own, one request after the other. What fails ends the program. */
struct carrier {
	/* Takes a connected socket, which does not block. Returns what the others are given. */
	void *(*begin)(struct player *player, int fd);
	void (*ask)(void *connection, char *path);
	/* The socket has something. Perhaps calls both below. */
	void (*read)(void *connection);
};
extern const struct carrier http1_carrier, http2_carrier;

/* n bytes of an answer's body came. */
void player_take(struct player *player, const char *body, size_t n);
/* The answer is whole: asks for what comes next. */
void player_go_on(struct player *player);
