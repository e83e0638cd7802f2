#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "protocols/authenticate.h"
#include "protocols/file_pump.h"
#include "protocols/ftp_command.h"
#include "protocols/ftp_path.h"
#include "protocols/ftp_server.h"
#include "server/base/connection.h"
#include "server/base/listener.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/worker.h"

/* What the parts of the FTP server share: sessions, commands, transfers. */

enum {
	FTP_SESSIONS = 64,          /* more are told 421 */
	FTP_SESSIONS_PER_HOST = 16, /* our own host may have all */
	FTP_SESSIONS_PER_USER = 16,
	FTP_LOGINS = 3, /* wrong ones, then the session ends */
	FTP_OUTPUT_BYTES =
		64 << 10, /* of answers that the client does not take: no more commands */
	FTP_NAME_BYTES = 65,
	FTP_HASHES = 4
};
#define FTP_SECOND_US INT64_C(1000000)

struct ftp_server {
	struct listener *listener;
	struct tree *tree;
	const struct tls_server *tls; /* NULL: none */
	struct log_name log;
	struct config_ports passive;
	uint16_t next_port; /* where the search for a free one begins */
	uint64_t put_limit; /* UINT64_MAX: none */
	LIST_HEAD(, ftp_session) sessions;
	size_t n_sessions;
	struct worker *hash; /* has a job of each session at most */
	struct log_repeated full;
	struct metric *sessions_metric, *received_metric;
};

enum ftp_state {
	FTP_GREETED,
	FTP_NAMED,    /* the password is awaited */
	FTP_CHECKING, /* it is being checked, or the answer that it is wrong is held back */
	FTP_READY,
	FTP_ENDING /* nothing is read any more */
};

/* --- ftp_transfer.c: the data connection --- */

enum ftp_transfer_kind {
	FTP_SEND_LIST,  /* as `ls -l` */
	FTP_SEND_NAMES, /* names alone */
	FTP_SEND_FACTS, /* as MLSD */
	FTP_SEND_FILE,
	FTP_TAKE_FILE
};

enum ftp_transfer_state {
	TRANSFER_NONE,
	TRANSFER_PREPARING,  /* what is to be sent is looked for, or the file to be written made */
	TRANSFER_CONNECTING, /* the data connection is awaited */
	TRANSFER_RUNNING,
	TRANSFER_SETTLING,  /* all data have come: is the client still there? */
	TRANSFER_COMMITTING /* they become a file */
};

struct ftp_transfer {
	enum ftp_transfer_state state;
	enum ftp_transfer_kind kind;
	/* where the data go, as PASV or PORT said last: one of these */
	struct listener *listener;
	struct sockaddr_storage target; /* ss_family 0: none */
	struct connection *data;        /* accepted, being connected, or connected */
	bool connected;
	struct event *timer; /* for connecting and settling */

	char path[FTP_PATH_BYTES];
	uint64_t bytes; /* sent; or taken and kept */
	/* sending */
	char prefix[FTP_LINE_BYTES + 2], pattern[FTP_PATH_BYTES]; /* of NLST's names; "": all */
	char after[FTP_PATH_BYTES]; /* the last name of the last page; "": none */
	bool last;                  /* nothing more is to be read */
	struct file_pump pump;      /* of a file */
	uint64_t at, left;          /* of it: what is sent */
	bool reading;
	/* taking */
	struct tree_put *put;
	bool begun;
	uint64_t keep;
	char etag[64];    /* of what was there; "": nothing */
	bool may_be_part; /* of what is cut off something stays */
	size_t folder; /* of a path whose folders are being made: bytes of the next one; 0: none are */
	int cut; /* the code of the answer when it was cut off, and the words; 0: it was not */
	const char *why;
};

struct ftp_session;
void ftp_transfer_init(struct ftp_session *session);
/* Whatever it was doing ends, and nobody is told. */
void ftp_transfer_fini(struct ftp_session *session);
bool ftp_transfer_is_on(const struct ftp_session *session);

/* PASV and EPSV: listens on one of our ports, for this client alone. The port, or 0. */
uint16_t ftp_transfer_listen(struct ftp_session *session);
/* PORT and EPRT, after the checks. */
void ftp_transfer_aim(struct ftp_session *session, const struct sockaddr_storage *target);
/* Forgets where the data were to go. */
void ftp_transfer_forget(struct ftp_session *session);

/* Begin one with the path that is in session->path, and answer it to the end. */
void ftp_transfer_list(struct ftp_session *session, enum ftp_transfer_kind kind);
void ftp_transfer_retrieve(struct ftp_session *session);
void ftp_transfer_store(struct ftp_session *session, uint64_t keep);
/* ABOR: nothing is left of it. */
void ftp_transfer_abort(struct ftp_session *session);
/* The control connection has gone. False: it goes on alone, and ends the session with itself. */
bool ftp_transfer_leave(struct ftp_session *session);
/* What STAT says of it. */
void ftp_transfer_tell(struct ftp_session *session);

/* --- ftp_session.c --- */

struct ftp_hash;
struct ftp_session {
	LIST_ENTRY(ftp_session) entry;
	struct ftp_server *server;
	struct connection *connection; /* NULL when it has ended */
	struct log_name log;
	char *peer;
	struct sockaddr_storage peer_address, local_address;
	enum ftp_state state;
	size_t seen; /* bytes of the input that hold no end of a line */
	/* who it is */
	char name[FTP_NAME_BYTES]; /* as USER said */
	struct auth_user *user;    /* owned copy; NULL without users */
	struct authenticate_asker asker;
	char *password; /* while it is being checked; secret */
	unsigned failures;
	struct event *login_timer; /* a wrong password is answered late */
	/* where he is */
	char home[FTP_PATH_BYTES]; /* of who has one camera only, else "" */
	char cwd[FTP_PATH_BYTES];
	/* what was said for later commands */
	uint64_t restart, allocated;
	char rename_from[FTP_PATH_BYTES]; /* "": nothing */
	unsigned facts;                   /* of MLSD, set of 1 << enum ftp_fact */
	unsigned hash_algorithm;
	bool extended_only; /* EPSV ALL */
	bool ascii;
	bool protect; /* PROT P: TLS for data connections */
	/* the command that is being carried out */
	enum ftp_verb verb;
	char path[FTP_PATH_BYTES]; /* what its argument means */
	char argument[FTP_LINE_BYTES];
	int64_t time_us; /* of MFMT */
	struct tree_request *pending;
	struct ftp_hash *hash;
	struct ftp_transfer transfer;
	struct reactor_dead dead;
};

struct ftp_session *ftp_session_new(
	struct ftp_server *server, int fd, const struct sockaddr *peer, int peer_bytes);
/* Frees it without a word. */
void ftp_session_free(struct ftp_session *session);
/* Tells the client why, and ends when he has got it. */
void ftp_session_end(struct ftp_session *session, int code, const char *words);
/* Whether a command is being carried out. */
bool ftp_session_is_busy(const struct ftp_session *session);
/* Answers AUTH, and goes on by TLS. */
void ftp_session_secure(struct ftp_session *session);
/* Checks a password, and answers. */
void ftp_session_login(struct ftp_session *session, const char *password);
const char *ftp_session_user(const struct ftp_session *session);
/* Who changes something: a line of the audit. `to` may be NULL. */
void ftp_audit(
	const struct ftp_session *session, const char *what, const char *path, const char *to);

/* One line; to nobody when the client has gone. */
void ftp_reply(struct ftp_session *session, int code, const char *format, ...) PRINTF(3, 4);
/* A line of an answer of several, "code-words" or " words" when code is 0. */
void ftp_reply_part(struct ftp_session *session, int code, const char *format, ...) PRINTF(3, 4);
/* The same at the end of a command that was waited for: the next one may come. */
void ftp_finish(struct ftp_session *session, int code, const char *format, ...) PRINTF(3, 4);
/* Why the tree would not. */
void ftp_finish_error(struct ftp_session *session, int error);
/* The control connection's idle time: none while something is going on. */
void ftp_session_update_idle(struct ftp_session *session);

/* Whether locks let a path be changed: 0, -ENOLCK, or -EAGAIN. */
int ftp_check_locks(const struct ftp_session *session, const char *path, unsigned reach) MUST_CHECK;
/* What the user may do with what is at a path. */
struct ftp_rights;
struct ftp_rights ftp_rights_of(
	const struct ftp_session *session, const char *path, enum tree_kind kind);

/* --- ftp_commands.c --- */

/* Whether it must wait until the one before is done. */
bool ftp_command_waits(const struct ftp_session *session, const struct ftp_command *command);
void ftp_command_run(
	struct ftp_session *session, const struct ftp_command *command, const char *why);

/* --- ftp_hash.c --- */

extern const char *const ftp_hash_names[]; /* NULL at the end */
/* Hashes the file at session->path on a thread, and answers. */
void ftp_hash_start(struct ftp_session *session);
void ftp_hash_cancel(struct ftp_hash *hash); /* NULL is fine */
