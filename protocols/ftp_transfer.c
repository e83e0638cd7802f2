/* The data connection of FTP: where it goes, what is sent over it, and what becomes of what comes. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "protocols/ftp_format.h"
#include "protocols/ftp_private.h"
#include "server/base/address.h"
#include "server/base/memory.h"

enum {
	LIST_BYTES =
		FILE_PUMP_BYTES, /* unsent ones of a listing, beyond which it is not gone on with */
	STORE_BYTES = 1 << 20    /* are read at once */
};
#define CONNECT_US (20 * FTP_SECOND_US)
#define STALL_US (60 * FTP_SECOND_US)
/*
 * The end of the data connection is the end of the file, unless the client is gone as a whole: a process that was killed ends
 * both its connections at once, in any order.
 */
#define SETTLE_US (INT64_C(10) * 1000)

static const struct connection_events data_events;

static void transfer_enter(struct ftp_session *s, enum ftp_transfer_state state)
{
	static const char *const names[] = { "none", "preparing", "connecting", "running",
		"settling", "committing" };

	log_debug(&s->log, "transfer: %s -> %s", names[s->transfer.state], names[state]);
	s->transfer.state = state;
	reactor_timer_stop(s->transfer.timer);
	if (state == TRANSFER_CONNECTING)
		reactor_timer_start(s->transfer.timer, CONNECT_US);
	else if (state == TRANSFER_SETTLING)
		reactor_timer_start(s->transfer.timer, SETTLE_US);
}

bool ftp_transfer_is_on(const struct ftp_session *s)
{
	return s->transfer.state != TRANSFER_NONE;
}

static bool is_taking(const struct ftp_transfer *t)
{
	return t->kind == FTP_TAKE_FILE;
}

/* Whether the other side may be blamed for silence. */
static void transfer_expect(const struct ftp_transfer *t, bool peer)
{
	connection_set_idle(t->data, peer ? STALL_US : 0);
}

/* --- the end --- */

void ftp_transfer_forget(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;

	listener_free(t->listener);
	t->listener = NULL;
	t->target.ss_family = AF_UNSPEC;
	connection_abandon(&t->data);
	t->connected = false;
}

static void transfer_stop(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;

	if (t->state == TRANSFER_NONE)
		return;
	transfer_enter(s, TRANSFER_NONE);
	tree_cancel(s->pending);
	s->pending = NULL;
	file_pump_fini(&t->pump);
	tree_put_abort(t->put);
	t->put = NULL;
	ftp_transfer_forget(s);
}

static void transfer_count(const struct ftp_transfer *t, const char *result)
{
	static const char *const directions[] = {
		[FTP_SEND_LIST] = "list",
		[FTP_SEND_NAMES] = "list",
		[FTP_SEND_FACTS] = "list",
		[FTP_SEND_FILE] = "out",
		[FTP_TAKE_FILE] = "in",
	};

	metric_add(metric_get(METRIC_FTP_TRANSFERS, directions[t->kind], result), 1);
}

/* It has ended, and so has the session of who has left meanwhile. */
static void transfer_finish(struct ftp_session *s, int code, const char *words)
{
	struct ftp_transfer *t = &s->transfer;

	transfer_count(t, code == 226 ? "done" : t->begun || t->bytes ? "cut" : "refused");
	if (code == 226)
		log_debug(&s->log, "%s: %" PRIu64 " bytes", t->path, t->bytes);
	else
		log_info(&s->log, "%s of %s after %" PRIu64 " bytes: %s", ftp_verb_word(s->verb),
			t->path, t->bytes, words);
	transfer_stop(s);
	if (s->connection)
		ftp_finish(s, code, "%s", words);
	else
		ftp_session_free(s);
}

/* The tree would not. */
static void transfer_fail(struct ftp_session *s, int error)
{
	transfer_count(&s->transfer, "refused");
	transfer_stop(s);
	if (s->connection)
		ftp_finish_error(s, error);
	else
		ftp_session_free(s);
}

/* What has come becomes a file that can be gone on with. False: nothing stays of it. */
static bool transfer_keep_part(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;

	if (!t->put || !t->may_be_part || t->bytes <= t->keep ||
		ftp_check_locks(s, t->path, LOCK_SELF) < 0)
		return false;
	ftp_audit(s, "put", t->path, NULL);
	tree_put_commit_part(t->put, t->etag);
	transfer_enter(s, TRANSFER_COMMITTING);
	return true;
}

/* It was cut off. */
static void transfer_cut(struct ftp_session *s, int code, const char *why)
{
	struct ftp_transfer *t = &s->transfer;

	t->cut = code;
	t->why = why;
	connection_abandon(&t->data);
	if (!transfer_keep_part(s))
		transfer_finish(s, code, why);
}

void ftp_transfer_abort(struct ftp_session *s)
{
	if (!ftp_transfer_is_on(s))
		return;
	transfer_count(&s->transfer, "cut");
	transfer_stop(s);
	ftp_finish(s, 426, "Given up.");
}

bool ftp_transfer_leave(struct ftp_session *s)
{
	const struct ftp_transfer *t = &s->transfer;

	switch (t->state) {
	case TRANSFER_NONE:
	case TRANSFER_PREPARING:
	case TRANSFER_CONNECTING:
		return false;
	case TRANSFER_RUNNING:
	case TRANSFER_SETTLING:
	case TRANSFER_COMMITTING:
		return is_taking(t);
	}
	abort();
}

void ftp_transfer_tell(struct ftp_session *s)
{
	const struct ftp_transfer *t = &s->transfer;

	if (ftp_transfer_is_on(s))
		ftp_reply_part(s, 0, "%s: %" PRIu64 " bytes so far", t->path, t->bytes);
}

/* --- where the data go --- */

static void transfer_run(struct ftp_session *s);

static void transfer_on_accept(void *arg, int fd, const struct sockaddr *peer, int peer_bytes)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	if (!address_is_same_host(peer, (const struct sockaddr *)&s->peer_address)) {
		metric_add(metric_get(METRIC_FTP_REFUSED, "data"), 1);
		log_info(&s->log, "a data connection from another host is refused");
		close(fd);
		return;
	}
	listener_free(t->listener); /* one is enough */
	t->listener = NULL;
	t->data = connection_accept(fd, peer, peer_bytes, NULL, "ftp-data", NULL, &data_events, s);
	t->connected = true;
	connection_pause(t->data, PAUSE_BUSY);
	if (t->state == TRANSFER_CONNECTING)
		transfer_run(s);
}

/* The host that the client knows us by; every one where that is not enough to bind to. */
static void write_local(char *ret, size_t size, const struct ftp_session *s, unsigned port)
{
	const struct sockaddr *address = (const struct sockaddr *)&s->local_address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&s->local_address;
	char host[ADDRESS_HOST_BYTES];
	bool is_v4 = address_ipv4(address);

	if (!is_v4 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
		(void)snprintf(host, sizeof(host), "::");
	else
		address_write_host(host, address);
	(void)snprintf(ret, size, is_v4 ? "%s:%u" : "[%s]:%u", host, port);
}

uint16_t ftp_transfer_listen(struct ftp_session *s)
{
	struct ftp_server *server = s->server;
	unsigned n = server->passive.last - server->passive.first + 1U;
	struct ftp_transfer *t = &s->transfer;
	char address[ADDRESS_HOST_BYTES + 10];

	ftp_transfer_forget(s);
	for (unsigned i = 0; i < n && !t->listener; i++) {
		write_local(address, sizeof(address), s, server->next_port);
		t->listener = listener_new(address, false, transfer_on_accept, s);
		if (!t->listener && errno != EADDRINUSE && errno != EACCES)
			break;
		server->next_port = server->next_port == server->passive.last
					    ? server->passive.first
					    : (uint16_t)(server->next_port + 1);
	}
	if (t->listener)
		return listener_port(t->listener);
	log_warn(&s->log, "no port from %u to %u can be listened on: %s", server->passive.first,
		server->passive.last, strerror(errno));
	return 0;
}

void ftp_transfer_aim(struct ftp_session *s, const struct sockaddr_storage *target)
{
	ftp_transfer_forget(s);
	s->transfer.target = *target;
}

static void transfer_call(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	const struct sockaddr *address = (const struct sockaddr *)&t->target;
	char host[ADDRESS_HOST_BYTES];
	const struct connection_target target = {
		.host = address_write_host(host, address),
		.port = address_port(address),
		.timeout_us = CONNECT_US,
	};

	t->data = connection_connect(&target, "ftp-data", NULL, &data_events, s);
}

/* All is ready but the data connection. */
static void transfer_connect(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;

	ftp_reply(s, 150, "Here it comes.");
	transfer_enter(s, TRANSFER_CONNECTING);
	if (t->connected)
		transfer_run(s);
	else if (t->target.ss_family != AF_UNSPEC)
		transfer_call(s);
	else if (!t->listener)
		transfer_cut(s, 425, "The data connection has ended already.");
}

/* Whether the client has said where the data go; it has been told else. */
static bool transfer_begin(struct ftp_session *s, enum ftp_transfer_kind kind)
{
	struct ftp_transfer *t = &s->transfer;

	if (!t->listener && !t->data && t->target.ss_family == AF_UNSPEC) {
		ftp_finish(s, 425, "PASV, EPSV, PORT or EPRT comes first.");
		return false;
	}
	t->kind = kind;
	memcpy(t->path, s->path, sizeof(t->path));
	t->bytes = t->keep = 0;
	t->last = t->reading = t->begun = t->may_be_part = false;
	t->after[0] = t->pattern[0] = t->prefix[0] = '\0';
	t->folder = 0;
	t->cut = 0;
	transfer_enter(s, TRANSFER_PREPARING);
	return true;
}

/* --- sending --- */

static void send_more(struct ftp_session *s);

static void list_add(
	struct ftp_session *s, struct evbuffer *out, const struct tree_entry *entry, int64_t now_us)
{
	const struct ftp_transfer *t = &s->transfer;
	struct ftp_rights rights;

	if (t->pattern[0] && !ftp_path_matches(t->pattern, entry->name))
		return;
	if (t->kind == FTP_SEND_NAMES) {
		evbuffer_add_printf(out, "%s%s\r\n", t->prefix, entry->name);
		return;
	}
	rights = ftp_rights_of(s, entry->path, entry->kind);
	if (t->kind == FTP_SEND_LIST)
		ftp_format_list(out, entry, &rights, now_us);
	else
		ftp_format_facts(out, entry, &rights, s->facts, entry->name);
}

static void list_on_page(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;
	struct evbuffer *out = connection_output(t->data);
	size_t before = evbuffer_get_length(out);
	int64_t now_us = reactor_now_us();

	s->pending = NULL;
	t->reading = false;
	if (error) {
		transfer_cut(s, 451, "The storage has failed, or is busy.");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!ftp_path_is_hidden(entries[i].path))
			list_add(s, out, &entries[i], now_us);
	}
	if (n)
		(void)snprintf(t->after, sizeof(t->after), "%s", entries[n - 1].name);
	t->last = !more || !n;
	t->bytes += evbuffer_get_length(out) - before;
	transfer_expect(t, true);
	send_more(s);
}

static void file_on_sent(void *arg, size_t bytes)
{
	struct ftp_session *s = arg;

	s->transfer.bytes += bytes;
}

static void file_on_end(void *arg, int error)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	t->reading = false;
	t->last = true;
	if (error)
		transfer_cut(s, 451, "The file cannot be read on.");
	else
		send_more(s);
}

static const struct file_pump_events file_events = {
	.on_sent = file_on_sent,
	.on_end = file_on_end,
};

static void send_more(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	size_t unsent;

	if (t->state != TRANSFER_RUNNING || is_taking(t) || t->reading)
		return;
	unsent = evbuffer_get_length(connection_output(t->data));
	if (t->last) {
		connection_set_low_water(t->data, 0);
		if (unsent == 0) {
			connection_release(&t->data);
			transfer_finish(s, 226, "That is all.");
		}
		return;
	}
	if (unsent > LIST_BYTES)
		return;
	t->reading = true;
	transfer_expect(t, unsent > 0);
	if (t->kind == FTP_SEND_FILE)
		file_pump_send(&t->pump, t->data, t->at, t->left);
	else
		s->pending = tree_list(s->server->tree, t->path, t->after[0] ? t->after : NULL,
			s->user, list_on_page, s);
}

/* The last part of the path is what fits, and what is before it is listed. */
static void list_by_pattern(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	const char *slash = strrchr(s->argument, '/');
	char *name = strrchr(t->path, '/');

	(void)snprintf(t->pattern, sizeof(t->pattern), "%s", name + 1);
	name[name == t->path] = '\0';
	(void)snprintf(t->prefix, sizeof(t->prefix), "%.*s",
		slash ? (int)(slash + 1 - s->argument) : 0, s->argument);
}

static void list_on_found(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	s->pending = NULL;
	if (!error && entry->kind == TREE_FILE) {
		if (t->kind == FTP_SEND_FACTS || t->pattern[0])
			error = -ENOTDIR;
		else
			list_by_pattern(s);
	} else if (!error && !t->pattern[0] && s->argument[0]) {
		size_t n = strlen(s->argument);

		(void)snprintf(t->prefix, sizeof(t->prefix), "%s%s", s->argument,
			s->argument[n - 1] == '/' ? "" : "/");
	}
	if (error)
		transfer_fail(s, error);
	else
		transfer_connect(s);
}

void ftp_transfer_list(struct ftp_session *s, enum ftp_transfer_kind kind)
{
	struct ftp_transfer *t = &s->transfer;

	if (!transfer_begin(s, kind))
		return;
	if (kind != FTP_SEND_FACTS && ftp_path_is_pattern(s->argument))
		list_by_pattern(s);
	s->pending = tree_find(s->server->tree, t->path, s->user, list_on_found, s);
	if (!s->pending)
		transfer_fail(s, -EAGAIN);
}

static void file_on_open(
	void *arg, int error, const struct tree_entry *entry, struct tree_file *file)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;
	uint64_t restart = s->restart;

	s->pending = NULL;
	s->restart = 0;
	if (!error && restart > entry->bytes) {
		tree_file_close(file);
		error = -ERANGE;
	}
	if (error) {
		transfer_fail(s, error);
		return;
	}
	file_pump_init(&t->pump, file, STALL_US, &file_events, s);
	t->at = restart;
	t->left = entry->bytes - restart;
	t->last = t->left == 0;
	transfer_connect(s);
}

void ftp_transfer_retrieve(struct ftp_session *s)
{
	if (!transfer_begin(s, FTP_SEND_FILE))
		return;
	s->pending = tree_open(s->server->tree, s->path, s->user, file_on_open, s);
	if (!s->pending)
		transfer_fail(s, -EAGAIN);
}

/* --- taking --- */

static void store_put(struct ftp_session *s);

/* All that has come becomes the file. */
static void store_commit(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	int error = ftp_check_locks(s, t->path, *t->etag ? LOCK_SELF : LOCK_SELF | LOCK_PARENT);

	if (error) { /* somebody has locked it while it came */
		transfer_fail(s, error);
		return;
	}
	ftp_audit(s, "put", t->path, NULL);
	tree_put_commit(t->put, NULL);
	transfer_enter(s, TRANSFER_COMMITTING);
}

static void store_take(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	struct evbuffer *input = connection_input(t->data);
	size_t n = evbuffer_get_length(input);

	t->bytes += n;
	metric_add(s->server->received_metric, (double)n);
	if (t->bytes > s->server->put_limit) {
		t->may_be_part = false;
		transfer_cut(s, 552, "No file may be as large as this.");
	} else if (!tree_put_write(t->put, input)) {
		connection_pause(t->data, PAUSE_SLOW);
		transfer_expect(t, false);
	}
}

static void put_on_begun(void *arg)
{
	struct ftp_session *s = arg;

	s->transfer.begun = true;
	transfer_connect(s);
}

static void put_on_drained(void *arg)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	if (!t->data)
		return;
	transfer_expect(t, true);
	connection_resume(t->data, PAUSE_SLOW);
}

static void folder_make(struct ftp_session *s);

static void folder_on_made(void *arg, int error, bool created)
{
	struct ftp_session *s = arg;

	(void)created;
	s->pending = NULL;
	if (error && error != -EEXIST)
		transfer_fail(s, error);
	else
		folder_make(s);
}

/* The folders that a camera thinks of are made, one after the other; then the file. */
static void folder_make(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	const char *slash = strchr(t->path + t->folder, '/');
	char folder[FTP_PATH_BYTES];
	int error;

	if (!slash) {
		store_put(s);
		return;
	}
	t->folder = (size_t)(slash + 1 - t->path);
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - t->path), t->path);
	error = ftp_check_locks(s, folder, LOCK_SELF | LOCK_PARENT);
	if (error) {
		transfer_fail(s, error);
		return;
	}
	s->pending = tree_make_collection(s->server->tree, folder, s->user, folder_on_made, s);
	if (s->pending)
		ftp_audit(s, "make-collection", folder, NULL);
	else
		transfer_fail(s, -EAGAIN);
}

static void put_on_end(void *arg, int error, bool created, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	(void)created, (void)entry;
	t->put = NULL;
	if (t->cut) {
		transfer_finish(s, t->cut, t->why);
	} else if (error == -ENOTDIR && !t->begun && s->home[0] && !t->folder) {
		t->folder = strlen("/uploads/");
		folder_make(s);
	} else if (error) {
		log_info(&s->log, "%s cannot be written: %s", t->path, strerror(-error));
		transfer_fail(s, error);
	} else {
		transfer_finish(s, 226, "It is there.");
	}
}

static const struct tree_put_events put_events = {
	.on_begun = put_on_begun,
	.on_drained = put_on_drained,
	.on_end = put_on_end,
};

static void store_put(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;
	int error = ftp_check_locks(s, t->path, *t->etag ? LOCK_SELF : LOCK_SELF | LOCK_PARENT);

	if (!error)
		t->put = tree_put(s->server->tree, t->path, s->allocated, t->keep, s->user,
			&put_events, s, &error);
	s->allocated = 0;
	if (error)
		transfer_fail(s, error);
}

static void store_on_found(void *arg, int error, const struct tree_entry *entry)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	s->pending = NULL;
	if (!error && entry->kind == TREE_COLLECTION)
		error = -EISDIR;
	if (error && error != -ENOENT) {
		transfer_fail(s, error);
		return;
	}
	(void)snprintf(t->etag, sizeof(t->etag), "%s", error ? "" : entry->etag);
	t->may_be_part = error || t->keep;
	if (t->keep == TREE_KEEP_ALL)
		t->keep = error ? 0 : entry->bytes;
	t->bytes = t->keep;
	store_put(s);
}

void ftp_transfer_store(struct ftp_session *s, uint64_t keep)
{
	int error = tree_may_change(s->server->tree, s->path, s->user);

	s->restart = 0;
	if (error) {
		ftp_finish_error(s, error);
		return;
	}
	if (!transfer_begin(s, FTP_TAKE_FILE))
		return;
	s->transfer.keep = keep;
	s->pending = tree_find(s->server->tree, s->path, s->user, store_on_found, s);
	if (!s->pending)
		transfer_fail(s, -EAGAIN);
}

/* --- the data connection --- */

static void transfer_run(struct ftp_session *s)
{
	struct ftp_transfer *t = &s->transfer;

	if (s->protect && !connection_is_tls(t->data)) { /* data_on_open() is next */
		connection_withhold_tickets(t->data);
		if (connection_start_tls(t->data, s->server->tls) < 0)
			transfer_cut(s, 425, "The data connection cannot be made private.");
		else
			connection_resume(t->data, PAUSE_BUSY);
		return;
	}
	transfer_enter(s, TRANSFER_RUNNING);
	transfer_expect(t, true);
	if (is_taking(t)) {
		connection_set_bulk(t->data);
		connection_set_input_limit(t->data, STORE_BYTES);
	} else {
		connection_set_low_water(t->data, FILE_PUMP_BYTES);
	}
	connection_resume(t->data, PAUSE_BUSY);
	send_more(s);
}

static void data_on_open(void *arg)
{
	struct ftp_session *s = arg;

	s->transfer.connected = true;
	if (s->transfer.state == TRANSFER_CONNECTING)
		transfer_run(s);
}

static void data_on_data(void *arg)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;
	struct evbuffer *input = connection_input(t->data);

	if (t->state == TRANSFER_RUNNING && is_taking(t))
		store_take(s);
	else
		evbuffer_drain(input, evbuffer_get_length(input));
}

static void data_on_drained(void *arg)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	if (t->kind == FTP_SEND_FILE && t->reading)
		file_pump_on_drained(&t->pump);
	else
		send_more(s);
}

static void data_on_close(void *arg, enum close_reason reason, const char *detail)
{
	struct ftp_session *s = arg;
	struct ftp_transfer *t = &s->transfer;

	bool is_whole = reason == CLOSE_PEER && !detail && connection_ended_whole(t->data);

	if (t->state == TRANSFER_RUNNING && is_taking(t) &&
		evbuffer_get_length(connection_input(t->data)) > 0)
		store_take(s); /* came while we did not look */
	t->data = NULL;
	t->connected = false;
	switch (t->state) {
	case TRANSFER_NONE:
	case TRANSFER_PREPARING: /* transfer_connect() says so */
	case TRANSFER_SETTLING:
	case TRANSFER_COMMITTING:
		break;
	case TRANSFER_CONNECTING:
		transfer_cut(s, 425, close_reason_words(reason));
		break;
	case TRANSFER_RUNNING:
		if (is_taking(t) && is_whole)
			transfer_enter(s, TRANSFER_SETTLING);
		else
			transfer_cut(s, 426, close_reason_words(reason));
		break;
	}
}

static const struct connection_events data_events = {
	.on_open = data_on_open,
	.on_data = data_on_data,
	.on_drained = data_on_drained,
	.on_close = data_on_close,
};

static void transfer_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ftp_session *s = arg;

	(void)fd, (void)what;
	if (s->transfer.state == TRANSFER_CONNECTING)
		transfer_cut(s, 425, "There is no data connection.");
	else if (s->connection)
		store_commit(s);
	else
		transfer_cut(s, 426, "the client has gone");
}

/* --- life --- */

void ftp_transfer_init(struct ftp_session *s)
{
	s->transfer.timer = reactor_timer_new(transfer_on_timer, s);
}

void ftp_transfer_fini(struct ftp_session *s)
{
	transfer_stop(s);
	ftp_transfer_forget(s);
	reactor_timer_free(&s->transfer.timer);
}
