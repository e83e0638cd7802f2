#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/base/auth.h"
#include "server/base/config.h"
#include "storage/tree.h"

/*
 * An FTP server (RFC 959, 2389, 2428, 2640, 3659, 4217) over the one tree: /recordings and /uploads. docs/FTP.md says what of it
 * there is.
 */
struct ftp_server;

/*
 * Listens on "address:port", on loopback when loopback_only; data connections come to ports of `passive`. NULL with errno
 * set. The tree outlives it, and so does what is shown after AUTH TLS (NULL: it is refused).
 */
struct ftp_server *ftp_server_new(const char *address, const struct config_ports *passive,
	bool loopback_only, struct tree *tree, const struct tls_server *tls);
/* Ends all sessions; what they were writing is given up. NULL is fine. */
void ftp_server_free(struct ftp_server *server);
const char *ftp_server_address(const struct ftp_server *server);

/* The largest file that may be stored; 0: no limit. NULL is fine. */
void ftp_server_set_put_limit(struct ftp_server *server, uint64_t bytes);
/* Ends the sessions of users who are others now. NULL is fine. */
void ftp_server_apply(
	struct ftp_server *server, const struct auth_users *before, const struct auth_users *after);
