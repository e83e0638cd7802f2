/* The FTP server's listener, its sessions, and how many of them there may be. */
#include "protocols/ftp_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocols/ftp_private.h"
#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	HASH_BYTES = 64 << 20
};

/* Whether there is room for one more; else which limit there is, as the metric has it. */
static const char *server_limit(const struct ftp_server *server, const struct sockaddr *peer)
{
	const struct ftp_session *session;
	size_t n = 0;

	if (server->n_sessions >= FTP_SESSIONS)
		return "sessions";
	if (address_is_loopback(peer))
		return NULL;
	LIST_FOREACH (session, &server->sessions, entry)
		n += address_is_same_host((const struct sockaddr *)&session->peer_address, peer);
	return n >= FTP_SESSIONS_PER_HOST ? "host" : NULL;
}

static void server_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	static const char words[] = "421 Too many sessions.\r\n";
	struct ftp_server *server = arg;
	const char *limit = server_limit(server, peer);

	if (!limit) {
		(void)ftp_session_new(server, fd, peer, peer_bytes);
		return;
	}
	metric_add(metric_get(METRIC_FTP_REFUSED, limit), 1);
	log_write_repeated(&server->full, LOG_WARN, &server->log,
		"too many sessions (of one %s): one more is refused",
		*limit == 'h' ? "host" : "server");
	(void)!write(fd, words, sizeof(words) - 1); /* a new socket has room for it */
	close(fd);
}

struct ftp_server *ftp_server_new(const char *address, const struct config_ports *passive,
	bool loopback_only, struct tree *tree, const struct tls_server *tls)
{
	struct ftp_server *server = xcalloc(1, sizeof(*server));

	LIST_INIT(&server->sessions);
	server->listener = listener_new(address, loopback_only, server_on_accept, server);
	if (!server->listener) {
		int error = errno;

		free(server);
		errno = error;
		return NULL;
	}
	server->log = (struct log_name){ .kind = "ftp server" };
	server->tree = tree;
	server->tls = tls;
	server->passive = *passive;
	server->next_port = passive->first;
	server->put_limit = UINT64_MAX;
	server->hash = worker_new("ftp-hash", FTP_SESSIONS, HASH_BYTES);
	server->sessions_metric = metric_get(METRIC_SESSIONS, "ftp");
	server->received_metric = metric_get(METRIC_FTP_RECEIVED);
	return server;
}

void ftp_server_free(struct ftp_server *server)
{
	struct ftp_session *session;

	if (!server)
		return;
	listener_free(server->listener);
	while ((session = LIST_FIRST(&server->sessions)))
		ftp_session_free(session);
	worker_free(server->hash);
	free(server);
}

const char *ftp_server_address(const struct ftp_server *server)
{
	return listener_address(server->listener);
}

void ftp_server_set_put_limit(struct ftp_server *server, uint64_t bytes)
{
	if (server)
		server->put_limit = bytes ? bytes : UINT64_MAX;
}

void ftp_server_apply(
	struct ftp_server *server, const struct auth_users *before, const struct auth_users *after)
{
	struct ftp_session *session, *next;

	for (session = server ? LIST_FIRST(&server->sessions) : NULL; session; session = next) {
		size_t n = strlen(session->name);

		next = LIST_NEXT(session, entry);
		if (session->state == FTP_READY &&
			((!session->user && !TAILQ_EMPTY(after)) ||
				!config_user_equal(auth_find(before, session->name, n),
					auth_find(after, session->name, n))))
			ftp_session_end(session, 421, "This user is another one now.");
	}
}
