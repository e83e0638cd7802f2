/* FTP's commands, as a table: what each needs, and what it does. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "protocols/ftp_argument.h"
#include "protocols/ftp_format.h"
#include "protocols/ftp_private.h"
#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	PRIVILEGED_PORTS = 1024
};

/* What a command needs before it is run. */
enum {
	NEEDS_LOGIN = 1 << 0,
	NEEDS_ARGUMENT = 1 << 1,
	NEEDS_PATH = 1 << 2,  /* its argument is one, or else where the session is */
	HAS_OPTIONS = 1 << 3, /* as of ls, which are passed over */
	ANYTIME = 1 << 4      /* also while something is transferred */
};

struct ftp_method {
	unsigned needs;
	void (*run)(struct ftp_session *s, const char *argument);
};

/* --- helpers --- */

/* A request to the tree is on its way, unless it is busy. */
static void started(struct ftp_session *s, struct tree_request *pending)
{
	s->pending = pending;
	if (!pending)
		ftp_finish_error(s, -EAGAIN);
}

/* The same for a change of what is at session->path: it is said now who did it. */
static void started_change(struct ftp_session *s, struct tree_request *pending, const char *what)
{
	if (pending)
		ftp_audit(s, what, s->path, NULL);
	started(s, pending);
}

static void find(struct ftp_session *s, tree_entry_fn *done)
{
	started(s, tree_find(s->server->tree, s->path, s->user, done, s));
}

/* Whether a lock forbids a change; it has been answered then. */
static bool is_locked(struct ftp_session *s, const char *path, unsigned reach)
{
	int error = ftp_check_locks(s, path, reach);

	if (error)
		ftp_finish_error(s, error);
	return error;
}

/* A path in quotes, as 257 has it: those in it are doubled. */
static void reply_path(struct ftp_session *s, const char *path, const char *words)
{
	char text[2 * FTP_PATH_BYTES];
	size_t n = 0;

	for (; *path; path++) {
		text[n++] = *path;
		if (*path == '"')
			text[n++] = '"';
	}
	text[n] = '\0';
	ftp_finish(s, 257, "\"%s\" %s", text, words);
}

/* A change has been made, or not. */
static void on_changed(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;

	(void)created;
	s->pending = NULL;
	if (error)
		ftp_finish_error(s, error);
	else
		ftp_finish(s, 250, "Done.");
}

/* --- logging in and out --- */

static void run_user(struct ftp_session *s, const char *argument)
{
	if (s->state == FTP_READY) {
		ftp_reply(s, 503, "You are logged in already.");
	} else if (strlen(argument) >= sizeof(s->name)) {
		ftp_reply(s, 501, "Nobody has a name as long as this.");
	} else {
		(void)snprintf(s->name, sizeof(s->name), "%s", argument);
		s->state = FTP_NAMED;
		ftp_reply(s, 331, "And the password?");
	}
}

static void run_pass(struct ftp_session *s, const char *argument)
{
	if (s->state == FTP_NAMED)
		ftp_session_login(s, argument);
	else
		ftp_reply(s, 503,
			s->state == FTP_READY ? "You are logged in already." : "USER comes first.");
}

static void run_quit(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_session_end(s, 221, "Goodbye.");
}

/* RFC 4217 section 4. */
static void run_auth(struct ftp_session *s, const char *argument)
{
	bool is_tls = !strcasecmp(argument, "TLS") || !strcasecmp(argument, "TLS-C");

	if (!s->server->tls)
		ftp_reply(s, 502, "There is no TLS here.");
	else if (!is_tls)
		ftp_reply(s, 504, "There is TLS.");
	else if (s->state == FTP_READY || connection_is_tls(s->connection))
		ftp_reply(s, 503, "It is too late for that.");
	else
		ftp_session_secure(s);
}

static void run_pbsz(struct ftp_session *s, const char *argument)
{
	(void)argument;
	if (connection_is_tls(s->connection))
		ftp_reply(s, 200, "PBSZ=0");
	else
		ftp_reply(s, 503, "AUTH TLS comes first.");
}

static void run_prot(struct ftp_session *s, const char *argument)
{
	bool is_private = !strcasecmp(argument, "P");

	if (!connection_is_tls(s->connection)) {
		ftp_reply(s, 503, "AUTH TLS comes first.");
	} else if (!is_private && strcasecmp(argument, "C") != 0) {
		ftp_reply(s, 536, "There are P and C.");
	} else {
		s->protect = is_private;
		ftp_reply(s, 200, is_private ? "Data are private." : "Data are for all to see.");
	}
}

/* --- what there is --- */

static void run_feat(struct ftp_session *s, const char *argument)
{
	struct evbuffer *output = connection_output(s->connection);

	(void)argument;
	ftp_reply_part(s, 211, "There is more:");
	if (s->server->tls)
		ftp_reply_part(s, 0, "AUTH TLS");
	ftp_reply_part(s, 0, "CLNT");
	ftp_reply_part(s, 0, "EPRT");
	ftp_reply_part(s, 0, "EPSV");
	evbuffer_add_printf(output, " HASH ");
	for (unsigned i = 0; ftp_hash_names[i]; i++)
		evbuffer_add_printf(output, "%s%s%s", i ? ";" : "", ftp_hash_names[i],
			i == s->hash_algorithm ? "*" : "");
	evbuffer_add_printf(output, "\r\n");
	ftp_reply_part(s, 0, "MDTM");
	ftp_reply_part(s, 0, "MFMT");
	evbuffer_add_printf(output, " MLST ");
	for (unsigned i = 0; i < FTP_FACT_COUNT; i++)
		evbuffer_add_printf(output, "%s%s;", ftp_fact_name((enum ftp_fact)i),
			s->facts & 1U << i ? "*" : "");
	evbuffer_add_printf(output, "\r\n");
	if (s->server->tls) {
		ftp_reply_part(s, 0, "PBSZ");
		ftp_reply_part(s, 0, "PROT");
	}
	ftp_reply_part(s, 0, "REST STREAM");
	ftp_reply_part(s, 0, "SIZE");
	ftp_reply_part(s, 0, "TVFS");
	ftp_reply_part(s, 0, "UTF8");
	ftp_reply(s, 211, "That is all.");
}

static void run_help(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_reply_part(s, 214, "These are understood:");
	for (unsigned i = 0; i < FTP_VERB_COUNT; i += 8) {
		char line[80] = "";

		for (unsigned k = i; k < i + 8 && k < FTP_VERB_COUNT; k++)
			(void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%-5s",
				ftp_verb_word((enum ftp_verb)k));
		ftp_reply_part(s, 0, "%s", line);
	}
	ftp_reply(s, 214, "docs/FTP.md says more.");
}

static void run_syst(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_reply(s, 215, "UNIX Type: L8");
}

static void run_noop(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_reply(s, 200, "Yes?");
}

static void run_stat(struct ftp_session *s, const char *argument)
{
	if (*argument) {
		ftp_reply(s, 504, "Use LIST or MLST.");
		return;
	}
	ftp_reply_part(s, 211, "nvrd");
	ftp_reply_part(s, 0, "From %s, user %s, in %s", s->peer, s->name, s->cwd);
	ftp_reply_part(s, 0, "TYPE %s, STRU F, MODE S", s->ascii ? "A" : "I");
	ftp_transfer_tell(s);
	ftp_reply(s, 211, "That is all.");
}

static bool option_is(const char *argument, const char *name)
{
	size_t n = strlen(name);

	return !strncasecmp(argument, name, n) && (argument[n] == ' ' || !argument[n]);
}

static void option_facts(struct ftp_session *s, const char *list)
{
	char text[80] = "";

	s->facts = ftp_facts_parse(list);
	for (unsigned i = 0; i < FTP_FACT_COUNT; i++) {
		if (s->facts & 1U << i)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s;",
				ftp_fact_name((enum ftp_fact)i));
	}
	ftp_reply(s, 200, "MLST OPTS %s", text);
}

static void option_hash(struct ftp_session *s, const char *name)
{
	for (unsigned i = 0; *name && ftp_hash_names[i]; i++) {
		if (!strcasecmp(name, ftp_hash_names[i])) {
			s->hash_algorithm = i;
			name = "";
		}
	}
	if (*name)
		ftp_reply(s, 504, "There is no such algorithm.");
	else
		ftp_reply(s, 200, "%s", ftp_hash_names[s->hash_algorithm]);
}

static void run_opts(struct ftp_session *s, const char *argument)
{
	const char *rest = argument + strcspn(argument, " ");

	rest += strspn(rest, " ");
	if (option_is(argument, "UTF8") || option_is(argument, "UTF-8"))
		ftp_reply(s, strcasecmp(rest, "OFF") ? 200 : 504, "Names are UTF-8.");
	else if (option_is(argument, "MLST"))
		option_facts(s, rest);
	else if (option_is(argument, "HASH"))
		option_hash(s, rest);
	else
		ftp_reply(s, 501, "There is no such option.");
}

/* --- how files are sent --- */

static void run_type(struct ftp_session *s, const char *argument)
{
	if (option_is(argument, "A")) {
		s->ascii = true;
		ftp_reply(s, 200, "Listings are text; files are sent as they are.");
	} else if (option_is(argument, "I") || !strcasecmp(argument, "L 8")) {
		s->ascii = false;
		ftp_reply(s, 200, "Files are sent as they are.");
	} else {
		ftp_reply(s, 504, "There are A and I.");
	}
}

static void run_mode(struct ftp_session *s, const char *argument)
{
	ftp_reply(s, strcasecmp(argument, "S") ? 504 : 200, "There is S.");
}

static void run_stru(struct ftp_session *s, const char *argument)
{
	ftp_reply(s, strcasecmp(argument, "F") ? 504 : 200, "There is F.");
}

static void run_allo(struct ftp_session *s, const char *argument)
{
	char number[24];

	(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(argument, " "), argument);
	if (ftp_argument_number(&s->allocated, number) < 0)
		ftp_reply(s, 501, "That is no number.");
	else
		ftp_reply(s, 200, "It will be seen whether there is room.");
}

static void run_rest(struct ftp_session *s, const char *argument)
{
	if (ftp_argument_number(&s->restart, argument) < 0)
		ftp_reply(s, 501, "That is no number.");
	else
		ftp_reply(s, 350, "From byte %" PRIu64 " on.", s->restart);
}

/* --- where data go --- */

static const struct sockaddr *local_of(const struct ftp_session *s)
{
	return (const struct sockaddr *)&s->local_address;
}

static void run_pasv(struct ftp_session *s, const char *argument)
{
	const unsigned char *host;
	uint32_t v4 = address_ipv4(local_of(s));
	uint16_t port;

	(void)argument;
	if (s->extended_only || !v4) {
		ftp_reply(s, 501, "EPSV is what works here.");
		return;
	}
	port = ftp_transfer_listen(s);
	host = (const unsigned char *)&v4;
	if (port)
		ftp_reply(s, 227, "Entering Passive Mode (%u,%u,%u,%u,%u,%u).", host[0], host[1],
			host[2], host[3], port >> 8, port & 255U);
	else
		ftp_reply(s, 425, "There is no free port.");
}

static void run_epsv(struct ftp_session *s, const char *argument)
{
	const char *ours = address_ipv4(local_of(s)) ? "1" : "2";
	uint16_t port;

	if (!strcasecmp(argument, "ALL")) {
		s->extended_only = true;
		ftp_reply(s, 200, "EPSV it is.");
		return;
	}
	if (*argument && strcmp(argument, ours) != 0) {
		ftp_reply(s, 522, "This is the other protocol, use (%s).", ours);
		return;
	}
	port = ftp_transfer_listen(s);
	if (port)
		ftp_reply(s, 229, "Entering Extended Passive Mode (|||%u|).", port);
	else
		ftp_reply(s, 425, "There is no free port.");
}

/* Nobody has us connect to somebody else (RFC 2577 section 3). */
static void aim(struct ftp_session *s, int error, const struct sockaddr_storage *target)
{
	const struct sockaddr *address = (const struct sockaddr *)target;

	if (s->extended_only) {
		ftp_reply(s, 501, "EPSV it is.");
	} else if (error) {
		ftp_reply(s, error == -EAFNOSUPPORT ? 522 : 501,
			error == -EAFNOSUPPORT ? "There are IPv4 and IPv6, use (1,2)."
					       : "That is no address.");
	} else if (!address_is_same_host(address, (const struct sockaddr *)&s->peer_address) ||
		   address_port(address) < PRIVILEGED_PORTS) {
		metric_add(metric_get(METRIC_FTP_REFUSED, "port"), 1);
		log_info(&s->log, "%s to another host or to a service's port is refused",
			ftp_verb_word(s->verb));
		ftp_reply(s, 504, "Data go to where you are, to a port from 1024 on.");
	} else {
		ftp_transfer_aim(s, target);
		ftp_reply(s, 200, "Data will go there.");
	}
}

static void run_port(struct ftp_session *s, const char *argument)
{
	struct sockaddr_storage target;
	int error = ftp_argument_port(&target, argument);

	aim(s, error, &target);
}

static void run_eprt(struct ftp_session *s, const char *argument)
{
	struct sockaddr_storage target;
	int error = ftp_argument_extended_port(&target, argument);

	aim(s, error, &target);
}

static void run_abor(struct ftp_session *s, const char *argument)
{
	(void)argument;
	if (s->hash) {
		ftp_hash_cancel(s->hash);
		s->hash = NULL;
		ftp_finish(s, 426, "Given up.");
	}
	ftp_transfer_abort(s);
	ftp_reply(s, 226, "Nothing is under way any more.");
}

/* --- where one is --- */

static void on_cwd(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;

	s->pending = NULL;
	if (!error && entry->kind != TREE_COLLECTION)
		error = -ENOTDIR;
	if (error) {
		ftp_finish_error(s, error);
		return;
	}
	memcpy(s->cwd, s->path, sizeof(s->cwd));
	ftp_finish(s, 250, "This is %s", s->cwd);
}

static void run_cwd(struct ftp_session *s, const char *argument)
{
	(void)argument;
	find(s, on_cwd);
}

static void run_cdup(struct ftp_session *s, const char *argument)
{
	(void)argument;
	if (ftp_path_resolve(s->path, "", s->cwd, "..") == 0)
		find(s, on_cwd);
}

static void run_pwd(struct ftp_session *s, const char *argument)
{
	(void)argument;
	reply_path(s, s->cwd, "is where you are.");
}

/* --- what files say of themselves --- */

static void on_size(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;

	s->pending = NULL;
	if (!error && entry->kind != TREE_FILE)
		error = -EISDIR;
	if (error)
		ftp_finish_error(s, error);
	else
		ftp_finish(s, 213, "%" PRIu64, entry->bytes);
}

static void run_size(struct ftp_session *s, const char *argument)
{
	(void)argument;
	find(s, on_size);
}

static void on_mdtm(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;
	char time[FTP_TIME_BYTES];

	s->pending = NULL;
	if (error)
		ftp_finish_error(s, error);
	else if (!entry->modified_us)
		ftp_finish(s, 550, "Nobody knows.");
	else
		ftp_finish(s, 213, "%s", ftp_format_time(time, entry->modified_us));
}

static void run_mdtm(struct ftp_session *s, const char *argument)
{
	(void)argument;
	find(s, on_mdtm);
}

static void on_mlst(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;
	struct ftp_rights rights;
	struct evbuffer *output;

	s->pending = NULL;
	if (error) {
		ftp_finish_error(s, error);
		return;
	}
	rights = ftp_rights_of(s, entry->path, entry->kind);
	output = connection_output(s->connection);
	ftp_reply_part(s, 250, "Here it is:");
	evbuffer_add(output, " ", 1);
	ftp_format_facts(output, entry, &rights, s->facts, entry->path);
	ftp_finish(s, 250, "That is all.");
}

static void run_mlst(struct ftp_session *s, const char *argument)
{
	(void)argument;
	find(s, on_mlst);
}

static void on_modified(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;
	char time[FTP_TIME_BYTES];

	(void)created;
	s->pending = NULL;
	if (error)
		ftp_finish_error(s, error);
	else
		ftp_finish(s, 213, "Modify=%s; %s", ftp_format_time(time, s->time_us), s->path);
}

static void run_mfmt(struct ftp_session *s, const char *argument)
{
	const char *path;
	int error;

	if (ftp_argument_time(&s->time_us, argument, &path) < 0 || *path++ != ' ' || !*path) {
		ftp_finish(s, 501, "A time such as 20261120143000, and a name.");
	} else if ((error = ftp_path_resolve(s->path, s->home, s->cwd, path)) < 0) {
		ftp_finish_error(s, error);
	} else if (!is_locked(s, s->path, LOCK_SELF)) {
		started(s, tree_set_modified(
				   s->server->tree, s->path, s->time_us, s->user, on_modified, s));
	}
}

static void run_hash(struct ftp_session *s, const char *argument)
{
	(void)snprintf(s->argument, sizeof(s->argument), "%s", argument);
	ftp_hash_start(s);
}

/* --- changes --- */

static void on_dele(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;

	s->pending = NULL;
	if (!error && entry->kind != TREE_FILE)
		error = -EISDIR;
	if (error)
		ftp_finish_error(s, error);
	else if (!is_locked(s, s->path, LOCK_SELF | LOCK_PARENT))
		started_change(
			s, tree_delete(s->server->tree, s->path, s->user, on_changed, s), "delete");
}

static void run_dele(struct ftp_session *s, const char *argument)
{
	int error = tree_may_delete(s->server->tree, s->path, s->user);

	(void)argument;
	if (error)
		ftp_finish_error(s, error);
	else
		find(s, on_dele);
}

static void run_rmd(struct ftp_session *s, const char *argument)
{
	(void)argument;
	if (!is_locked(s, s->path, LOCK_SELF | LOCK_PARENT))
		started_change(s,
			tree_remove_collection(s->server->tree, s->path, s->user, on_changed, s),
			"delete");
}

static void on_made(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;

	(void)created;
	s->pending = NULL;
	if (error)
		ftp_finish_error(s, error);
	else
		reply_path(s, s->path, "is there.");
}

static void run_mkd(struct ftp_session *s, const char *argument)
{
	(void)argument;
	if (!is_locked(s, s->path, LOCK_SELF | LOCK_PARENT))
		started_change(s,
			tree_make_collection(s->server->tree, s->path, s->user, on_made, s),
			"make-collection");
}

static void on_rnfr(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;

	s->pending = NULL;
	if (!error)
		error = tree_may_change(s->server->tree, entry->path, s->user);
	if (error) {
		ftp_finish_error(s, error);
		return;
	}
	memcpy(s->rename_from, s->path, sizeof(s->rename_from));
	ftp_finish(s, 350, "And the new name?");
}

static void run_rnfr(struct ftp_session *s, const char *argument)
{
	(void)argument;
	find(s, on_rnfr);
}

static void rename_now(struct ftp_session *s, unsigned flags, tree_changed_fn *done)
{
	started(s, tree_copy(s->server->tree, s->rename_from, s->path, flags | TREE_MOVE, s->user,
			   done, s));
}

static void on_renamed(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;

	s->rename_from[0] = '\0';
	on_changed(s, error, created);
}

/* There is something of that name: a file gives way, a folder with all that is in it does not. */
static void on_rename_target(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;

	s->pending = NULL;
	if (!error && entry->kind != TREE_FILE)
		error = -EEXIST;
	if (error)
		on_renamed(s, error, false);
	else
		rename_now(s, TREE_OVERWRITE, on_renamed);
}

static void on_rename_tried(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;

	if (error != -EEXIST) {
		on_renamed(s, error, created);
		return;
	}
	s->pending = NULL;
	find(s, on_rename_target);
}

static void run_rnto(struct ftp_session *s, const char *argument)
{
	static const unsigned reach = LOCK_SELF | LOCK_PARENT | LOCK_BELOW;

	(void)argument;
	if (!s->rename_from[0]) {
		ftp_reply(s, 503, "RNFR comes first.");
	} else if (!is_locked(s, s->rename_from, reach) && !is_locked(s, s->path, reach)) {
		ftp_audit(s, "move", s->rename_from, s->path);
		rename_now(s, 0, on_rename_tried);
	}
}

/* --- transfers --- */

static void run_list(struct ftp_session *s, const char *argument)
{
	(void)snprintf(s->argument, sizeof(s->argument), "%s", argument);
	ftp_transfer_list(s, s->verb == FTP_LIST ? FTP_SEND_LIST : FTP_SEND_NAMES);
}

static void run_mlsd(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_transfer_list(s, FTP_SEND_FACTS);
}

static void run_retr(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_transfer_retrieve(s);
}

static void run_stor(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_transfer_store(s, s->restart);
}

static void run_appe(struct ftp_session *s, const char *argument)
{
	(void)argument;
	ftp_transfer_store(s, TREE_KEEP_ALL);
}

/* --- the table --- */

enum {
	OF_PATH = NEEDS_LOGIN | NEEDS_PATH,
	OF_NAME = NEEDS_LOGIN | NEEDS_PATH | NEEDS_ARGUMENT,
	OF_LIST = NEEDS_LOGIN | NEEDS_PATH | HAS_OPTIONS,
	OF_TEXT = NEEDS_LOGIN | NEEDS_ARGUMENT
};

static const struct ftp_method methods[FTP_VERB_COUNT] = {
	[FTP_ABOR] = {NEEDS_LOGIN | ANYTIME,  run_abor},
	[FTP_ALLO] = { OF_TEXT,               run_allo},
	[FTP_APPE] = { OF_NAME,               run_appe},
	[FTP_AUTH] = { NEEDS_ARGUMENT,        run_auth},
	[FTP_CDUP] = { NEEDS_LOGIN,           run_cdup},
	[FTP_CLNT] = { 0,                     run_noop},
	[FTP_CWD] = { OF_NAME,               run_cwd },
	[FTP_DELE] = { OF_NAME,               run_dele},
	[FTP_EPRT] = { OF_TEXT,               run_eprt},
	[FTP_EPSV] = { NEEDS_LOGIN,           run_epsv},
	[FTP_FEAT] = { 0,                     run_feat},
	[FTP_HASH] = { OF_NAME,               run_hash},
	[FTP_HELP] = { 0,                     run_help},
	[FTP_LIST] = { OF_LIST,               run_list},
	[FTP_MDTM] = { OF_NAME,               run_mdtm},
	[FTP_MFMT] = { OF_TEXT,               run_mfmt},
	[FTP_MKD] = { OF_NAME,               run_mkd },
	[FTP_MLSD] = { OF_PATH,               run_mlsd},
	[FTP_MLST] = { OF_PATH,               run_mlst},
	[FTP_MODE] = { OF_TEXT,               run_mode},
	[FTP_NLST] = { OF_LIST,               run_list},
	[FTP_NOOP] = { ANYTIME,               run_noop},
	[FTP_OPTS] = { NEEDS_ARGUMENT,        run_opts},
	[FTP_PASS] = { 0,                     run_pass},
	[FTP_PASV] = { NEEDS_LOGIN,           run_pasv},
	[FTP_PBSZ] = { NEEDS_ARGUMENT,        run_pbsz},
	[FTP_PORT] = { OF_TEXT,               run_port},
	[FTP_PROT] = { NEEDS_ARGUMENT,        run_prot},
	[FTP_PWD] = { NEEDS_LOGIN,           run_pwd },
	[FTP_QUIT] = { 0,                     run_quit},
	[FTP_REST] = { OF_TEXT,               run_rest},
	[FTP_RETR] = { OF_NAME,               run_retr},
	[FTP_RMD] = { OF_NAME,               run_rmd },
	[FTP_RNFR] = { OF_NAME,               run_rnfr},
	[FTP_RNTO] = { OF_NAME,               run_rnto},
	[FTP_SIZE] = { OF_NAME,               run_size},
	[FTP_STAT] = { NEEDS_LOGIN | ANYTIME, run_stat},
	[FTP_STOR] = { OF_NAME,               run_stor},
	[FTP_STRU] = { OF_TEXT,               run_stru},
	[FTP_SYST] = { 0,                     run_syst},
	[FTP_TYPE] = { OF_TEXT,               run_type},
	[FTP_USER] = { NEEDS_ARGUMENT,        run_user},
};

/* What follows options such as "-la". */
static const char *pass_options(const char *argument)
{
	while (*argument == '-') {
		argument += strcspn(argument, " ");
		argument += strspn(argument, " ");
	}
	return argument;
}

static void run(struct ftp_session *s, const struct ftp_method *method, const char *argument)
{
	int error = 0;

	if (method->needs & HAS_OPTIONS)
		argument = pass_options(argument);
	if (method->needs & NEEDS_LOGIN && s->state != FTP_READY)
		ftp_reply(s, 530, "Log in with USER and PASS.");
	else if (method->needs & NEEDS_ARGUMENT && !*argument)
		ftp_reply(s, 501, "Something is missing behind it.");
	else if (method->needs & NEEDS_PATH &&
		 (error = ftp_path_resolve(s->path, s->home, s->cwd, argument)) < 0)
		ftp_finish_error(s, error);
	else
		method->run(s, argument);
}

static const struct ftp_method *method_of(const struct ftp_command *command)
{
	return command->verb == FTP_UNKNOWN ? NULL : &methods[command->verb];
}

bool ftp_command_waits(const struct ftp_session *s, const struct ftp_command *command)
{
	const struct ftp_method *method = method_of(command);

	if (!ftp_session_is_busy(s))
		return false;
	return !method || !(method->needs & ANYTIME) || !(ftp_transfer_is_on(s) || s->hash);
}

void ftp_command_run(struct ftp_session *s, const struct ftp_command *command, const char *why)
{
	const struct ftp_method *method = method_of(command);
	enum ftp_verb before = s->verb;
	bool is_busy = ftp_session_is_busy(s);

	s->verb = command->verb;
	if (why)
		ftp_reply(s, 501, "That is %s.", why);
	else if (!method)
		ftp_reply(s, 502, "This is not understood.");
	else
		run(s, method, command->argument);
	if (is_busy)
		s->verb = before;
}
