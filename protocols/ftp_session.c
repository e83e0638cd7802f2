/* A session of FTP: lines in, answers out, and who it is. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <openssl/crypto.h>

#include "protocols/ftp_format.h"
#include "protocols/ftp_private.h"
#include "server/base/audit.h"
#include "server/base/memory.h"

enum {
	COMMANDS_PER_WAKE_UP = 16,
	INPUT_BYTES = 4 * FTP_LINE_BYTES
};
#define LOGIN_US (60 * FTP_SECOND_US)
#define IDLE_US (300 * FTP_SECOND_US)
#define WRONG_US FTP_SECOND_US /* so late is a wrong password answered */

static void session_enter(struct ftp_session *session, enum ftp_state state)
{
	static const char *const names[] = { "greeted", "named", "checking", "ready", "ending" };

	log_debug(&session->log, "%s -> %s", names[session->state], names[state]);
	session->state = state;
	switch (state) {
	case FTP_GREETED:
	case FTP_NAMED:
		break;
	case FTP_CHECKING:
	case FTP_READY:
	case FTP_ENDING:
		reactor_timer_stop(session->login_timer);
		break;
	}
}

bool ftp_session_is_busy(const struct ftp_session *session)
{
	return session->pending || session->hash || session->state == FTP_CHECKING ||
	       ftp_transfer_is_on(session);
}

const char *ftp_session_user(const struct ftp_session *session)
{
	return session->user ? session->user->name : "";
}

void ftp_session_update_idle(struct ftp_session *session)
{
	if (session->connection && session->state != FTP_ENDING)
		connection_set_idle(
			session->connection, ftp_session_is_busy(session) ? 0 : IDLE_US);
}

/* --- answers --- */

static void reply_add(
	struct ftp_session *session, int code, char behind, const char *format, va_list arguments)
{
	struct evbuffer *output;

	if (!session->connection)
		return;
	output = connection_output(session->connection);
	if (code)
		evbuffer_add_printf(output, "%03d", code);
	evbuffer_add(output, &behind, 1);
	evbuffer_add_vprintf(output, format, arguments);
	evbuffer_add(output, "\r\n", 2);
	if (evbuffer_get_length(output) > FTP_OUTPUT_BYTES)
		connection_pause(session->connection, PAUSE_SLOW);
}

static void reply_final(
	struct ftp_session *session, int code, const char *format, va_list arguments)
{
	char text[16];

	reply_add(session, code, ' ', format, arguments);
	if (code < 200)
		return;
	(void)snprintf(text, sizeof(text), "%d", code);
	metric_add(metric_get(METRIC_FTP_COMMANDS, ftp_verb_word(session->verb), text), 1);
	log_debug(&session->log, "%s is answered %s", ftp_verb_word(session->verb), text);
}

void ftp_reply_part(struct ftp_session *session, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reply_add(session, code, code ? '-' : ' ', format, arguments);
	va_end(arguments);
}

void ftp_reply(struct ftp_session *session, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reply_final(session, code, format, arguments);
	va_end(arguments);
}

void ftp_finish(struct ftp_session *session, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reply_final(session, code, format, arguments);
	va_end(arguments);
	ftp_session_update_idle(session);
	if (session->connection)
		connection_resume(session->connection, PAUSE_BUSY);
}

void ftp_finish_error(struct ftp_session *session, int error)
{
	static const struct {
		int error, code;
		const char *words;
	} rows[] = {
		{ENOENT,        550, "There is nothing of this name."                            },
		{ EACCES,       550, "This user's role does not allow it."                       },
		{ EPERM,        550, "Recordings are as the camera made them, and folders fixed."},
		{ EINVAL,       553, "A file cannot have this name."                             },
		{ ENAMETOOLONG, 553, "A file cannot have a name as long as this."                },
		{ EXDEV,        550, "Recordings and uploads do not mix."                        },
		{ ELOOP,        550, "A folder cannot be put into itself, or so deep."           },
		{ EISDIR,       550, "This is a folder."                                         },
		{ ENOLCK,       550, "It is locked."                                             },
		{ ENOTDIR,      550, "This is no folder, or there is none for it."               },
		{ ENOTEMPTY,    550, "The folder is not empty."                                  },
		{ EEXIST,       550, "There is something of this name."                          },
		{ EMEDIUMTYPE,  550, "This does not go into one file."                           },
		{ E2BIG,        550, "This would be too long."                                   },
		{ EBUSY,        450, "It is being read or written."                              },
		{ EAGAIN,       450, "The storage is busy, try again."                           },
		{ ESTALE,       451, "It is not what it was."                                    },
		{ ENOSPC,       452, "There is no room left."                                    },
		{ EDQUOT,       452, "There is no room left."                                    },
		{ ERANGE,       554, "The file is not as long as this."                          },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].error == -error) {
			ftp_finish(session, rows[i].code, "%s", rows[i].words);
			return;
		}
	}
	ftp_finish(session, 451, "The storage has failed.");
}

int ftp_check_locks(const struct ftp_session *session, const char *path, unsigned reach)
{
	struct lock_tokens tokens = { .user = ftp_session_user(session) };
	struct locks *locks = tree_locks(session->server->tree);

	if (!locks_are_known(locks))
		return -EAGAIN;
	return locks_forbid(locks, path, reach, &tokens) ? -ENOLCK : 0;
}

struct ftp_rights ftp_rights_of(
	const struct ftp_session *session, const char *path, enum tree_kind kind)
{
	const struct tree *tree = session->server->tree;
	char member[FTP_PATH_BYTES + 2];
	struct ftp_rights rights = {
		.change = tree_may_change(tree, path, session->user) == 0,
		.delete = tree_may_delete(tree, path, session->user) == 0,
	};

	if (kind == TREE_COLLECTION) {
		(void)snprintf(member, sizeof(member), "%s/x", path);
		rights.add = tree_may_change(tree, member, session->user) == 0;
	}
	return rights;
}

/* --- who it is --- */

static bool session_is_one_too_many(const struct ftp_session *session)
{
	const struct ftp_session *other;
	size_t n = 0;

	LIST_FOREACH (other, &session->server->sessions, entry)
		n += other->user && !strcmp(other->user->name, session->name);
	return n >= FTP_SESSIONS_PER_USER;
}

static void session_let_in(struct ftp_session *session, const struct auth_user *user)
{
	if (user && session_is_one_too_many(session)) {
		metric_add(metric_get(METRIC_FTP_REFUSED, "user"), 1);
		ftp_session_end(session, 421, "This user has too many sessions.");
		return;
	}
	session->user = auth_user_copy(user);
	if (user && !(session->asker.scopes & SCOPE_FTP))
		session->user->role = ROLE_VIEWER;
	(void)snprintf(session->cwd, sizeof(session->cwd), "/");
	if (user && user->cameras && user->cameras[0] && !user->cameras[1]) {
		(void)snprintf(
			session->home, sizeof(session->home), "/uploads/%s", user->cameras[0]);
		(void)snprintf(session->cwd, sizeof(session->cwd), "%s", session->home);
	}
	session_enter(session, FTP_READY);
	ftp_finish(session, 230, "Logged in; this is %s", session->cwd);
}

static void session_forget_password(struct ftp_session *session)
{
	memory_free_secret(session->password);
	session->password = NULL;
}

/* Another name and password may be tried, for a minute, and not too often. */
static void session_refuse_login(struct ftp_session *session, const char *words)
{
	if (++session->failures >= FTP_LOGINS) {
		ftp_session_end(session, 421, words);
		return;
	}
	session_enter(session, FTP_GREETED);
	reactor_timer_start(session->login_timer, LOGIN_US);
	ftp_finish(session, 530, "%s", words);
}

/* The password, or who it belongs to, does not lead further; when it may is said in seconds. */
static void session_put_off(struct ftp_session *session)
{
	char words[80];

	(void)snprintf(words, sizeof(words), "Too many wrong passwords: again in %u s.",
		session->asker.retry_after_s);
	session_refuse_login(session, words);
}

/* Gives a verdict on the password, unless it comes later. */
static void session_judge(void *arg)
{
	struct ftp_session *session = arg;
	const struct auth_user *user;
	enum authenticate_result result =
		authenticate_password(&session->asker, session->name, session->password, &user);

	if (result == AUTHENTICATE_PENDING)
		return;
	session_forget_password(session);
	if (result == AUTHENTICATE_LATER)
		session_put_off(session);
	else if (result != AUTHENTICATED)
		reactor_timer_start(session->login_timer, WRONG_US);
	else if (session->asker.scopes & SCOPE_FTP_READ)
		session_let_in(session, user);
	else
		session_refuse_login(session, "This password is not for FTP.");
}

void ftp_session_login(struct ftp_session *session, const char *password)
{
	session_enter(session, FTP_CHECKING);
	session->password = xstrdup(password);
	session_judge(session);
}

void ftp_audit(
	const struct ftp_session *session, const char *what, const char *path, const char *to)
{
	const struct audit_actor actor = { session->user ? session->user->name : NULL,
		session->asker.address, session->asker.protocol };

	audit(&actor, what, "%s%s%s", path, to ? " to " : "", to ? to : "");
}

static void session_on_login_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ftp_session *session = arg;

	(void)fd, (void)what;
	if (session->state == FTP_CHECKING)
		session_refuse_login(session, "Wrong user or password.");
	else
		ftp_session_end(session, 421, "Nobody has logged in.");
}

/* What came plain behind AUTH could be anybody's words, put there on the way (RFC 4217 section 15). */
void ftp_session_secure(struct ftp_session *session)
{
	if (evbuffer_get_length(connection_input(session->connection)) > 0) {
		ftp_session_end(session, 421, "Nothing may come behind it.");
		return;
	}
	ftp_reply(session, 234, "Go on by TLS.");
	session_enter(session, FTP_GREETED);
	if (connection_start_tls(session->connection, session->server->tls) < 0)
		ftp_session_end(session, 421, "It does not work.");
}

/* Hands are shaken: what is said from now on is for us alone. */
static void session_on_open(void *arg)
{
	const struct ftp_session *session = arg;

	log_debug(&session->log, "goes on by TLS");
}

/* --- lines --- */

/* Takes one command from the input. False: there is no more, or it must wait. */
static bool session_read_command(struct ftp_session *session, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	struct ftp_command command;
	const char *why;
	bool waits;
	ssize_t used;

	n = n < FTP_LINE_BYTES ? n : FTP_LINE_BYTES;
	used = ftp_command_parse(
		&command, (const char *)evbuffer_pullup(input, (ssize_t)n), n, session->seen, &why);
	session->seen = used == 0 ? n : 0;
	if (used < 0)
		ftp_session_end(session, 500, "No line is as long as this.");
	if (used <= 0)
		return false;
	waits = ftp_command_waits(session, &command);
	if (waits) {
		connection_pause(session->connection, PAUSE_BUSY);
	} else {
		evbuffer_drain(input, (size_t)used);
		ftp_command_run(session, &command, why);
	}
	OPENSSL_cleanse(&command, sizeof(command));
	return !waits;
}

static void session_on_data(void *arg)
{
	struct ftp_session *session = arg;
	struct evbuffer *input = connection_input(session->connection);

	for (unsigned i = 0; i < COMMANDS_PER_WAKE_UP; i++) {
		if (!session->connection || session->state == FTP_ENDING ||
			evbuffer_get_length(input) == 0 || !session_read_command(session, input)) {
			ftp_session_update_idle(session);
			return;
		}
	}
	/* The rest comes with the next turn of the loop. */
	connection_pause(session->connection, PAUSE_BUSY);
	connection_resume(session->connection, PAUSE_BUSY);
}

static void session_on_drained(void *arg)
{
	struct ftp_session *session = arg;

	connection_resume(session->connection, PAUSE_SLOW);
}

/* --- life --- */

static void session_fini(void *object)
{
	struct ftp_session *session = object;

	auth_user_free(session->user);
	memory_free_secret(session->password);
	free(session->peer);
	free(session);
}

/* All that it had begun ends. */
static void session_drop(struct ftp_session *session)
{
	ftp_transfer_fini(session);
	tree_cancel(session->pending);
	session->pending = NULL;
	ftp_hash_cancel(session->hash);
	session->hash = NULL;
}

void ftp_session_free(struct ftp_session *session)
{
	if (session->connection)
		ftp_session_end(session, 421, "nvrd is stopping.");
	session_drop(session);
	authenticate_asker_fini(&session->asker);
	connection_release(&session->connection);
	reactor_timer_free(&session->login_timer);
	session->server->n_sessions--;
	metric_add(session->server->sessions_metric, -1);
	LIST_REMOVE(session, entry);
	reactor_free_later(&session->dead, session_fini, session);
}

void ftp_session_end(struct ftp_session *session, int code, const char *words)
{
	if (!session->connection) {
		ftp_session_free(session);
		return;
	}
	if (session->state == FTP_ENDING)
		return;
	session_drop(session);
	authenticate_asker_fini(&session->asker);
	session_enter(session, FTP_ENDING);
	ftp_reply(session, code, "%s", words);
	connection_set_idle(session->connection, 0);
	connection_finish(session->connection);
}

static void session_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct ftp_session *session = arg;

	log_debug(&session->log, "%s%s%s", close_reason_words(reason), detail ? ": " : "",
		detail ? detail : "");
	session->connection = NULL;
	if (!ftp_transfer_leave(session))
		ftp_session_free(session);
}

static const struct connection_events session_events = {
	.on_open = session_on_open,
	.on_data = session_on_data,
	.on_drained = session_on_drained,
	.on_close = session_on_close,
};

struct ftp_session *ftp_session_new(
	struct ftp_server *server, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct ftp_session *session = xcalloc(1, sizeof(*session));
	int one = 1;

	session->server = server;
	session->verb = FTP_UNKNOWN;
	session->facts = FTP_FACTS_ALL;
	memcpy(&session->peer_address, peer, (size_t)peer_bytes);
	/* Telnet's way to interrupt: what is urgent stands in its place in the stream */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	session->connection = connection_accept(
		fd, peer, peer_bytes, NULL, "ftp", NULL, &session_events, session);
	if (connection_local_address(session->connection, &session->local_address) < 0)
		session->local_address.ss_family = AF_UNSPEC;
	connection_set_input_limit(session->connection, INPUT_BYTES);
	session->peer = xstrdup(connection_peer(session->connection));
	session->log = (struct log_name){ .kind = "ftp", .name = session->peer };
	session->login_timer = reactor_timer_new(session_on_login_timer, session);
	ftp_transfer_init(session);
	authenticate_asker_init(&session->asker, "ftp",
		(const struct sockaddr *)&session->peer_address, session_judge, session);
	server->n_sessions++;
	metric_add(server->sessions_metric, 1);
	LIST_INSERT_HEAD(&server->sessions, session, entry);
	reactor_timer_start(session->login_timer, LOGIN_US);
	ftp_reply(session, 220, "nvrd");
	return session;
}
