/*
 * Files of the tree over HTTP (RFC 9110 sections 8, 13, 14): validators, conditions and ranges, one or several.
 */
#include "protocols/http_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/file_pump.h"
#include "protocols/http_condition.h"
#include "protocols/http_range.h"
#include "protocols/http_server.h"
#include "protocols/http_tree.h"
#include "protocols/listing.h"
#include "protocols/uri.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "storage/tree.h"

enum {
	FILE_MAX_AGE_SECONDS = 86400
};

struct http_file {
	struct http_request *request;
	struct auth_user *user; /* owned copy, or NULL */
	char path[HTTP_TREE_PATH_BYTES];
	struct tree_request *pending;
	struct file_pump pump;
	struct http_ranges ranges; /* what is sent: the whole file is one */
	size_t part;               /* the next of them */
	char boundary[33];         /* between several; "": there is one */
	char content_type[64];
	uint64_t bytes; /* of the file */
};

static struct tree *http_files_tree;

void http_files_set_tree(struct tree *tree)
{
	http_files_tree = tree;
}

static void http_file_free(struct http_file *f)
{
	tree_cancel(f->pending);
	file_pump_fini(&f->pump);
	auth_user_free(f->user);
	free(f);
}

static void http_file_on_gone(void *context)
{
	http_file_free(context);
}

/* --- the body --- */

/* What stands before the i-th of several parts (RFC 9110 section 14.6, RFC 2046 section 5.1.1), and behind the last. */
static void http_file_add_delimiter(const struct http_file *f, struct evbuffer *out, size_t i)
{
	const struct http_range *range = &f->ranges.ranges[i];

	if (i == f->ranges.n)
		(void)evbuffer_add_printf(out, "\r\n--%s--\r\n", f->boundary);
	else
		(void)evbuffer_add_printf(out,
			"\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
			"/%" PRIu64 "\r\n\r\n",
			f->boundary, f->content_type, range->first, range->first + range->bytes - 1,
			f->bytes);
}

static void http_file_send_delimiter(struct http_file *f, size_t i)
{
	struct evbuffer *out;

	if (!f->boundary[0])
		return;
	out = evbuffer_new();
	if (!out)
		abort();
	http_file_add_delimiter(f, out, i);
	http_send(f->request, out);
	evbuffer_free(out);
}

/* The length of the whole body. */
static uint64_t http_file_body_bytes(const struct http_file *f)
{
	struct evbuffer *out = evbuffer_new();
	uint64_t bytes = 0;

	if (!out)
		abort();
	for (size_t i = 0; i <= f->ranges.n && f->boundary[0]; i++)
		http_file_add_delimiter(f, out, i);
	for (size_t i = 0; i < f->ranges.n; i++)
		bytes += f->ranges.ranges[i].bytes;
	bytes += evbuffer_get_length(out);
	evbuffer_free(out);
	return bytes;
}

static void http_file_send(struct http_file *f)
{
	const struct http_range *range = &f->ranges.ranges[f->part];

	http_file_send_delimiter(f, f->part++);
	http_send_file(f->request, &f->pump, range->first, range->bytes);
}

static void http_file_on_sent(void *arg, size_t bytes)
{
	struct http_file *f = arg;

	http_count_sent(f->request, bytes);
}

static void http_file_on_end(void *arg, int error)
{
	struct http_file *f = arg;

	if (error) {
		log_warn(http_log(f->request), "%s: cannot be read on at byte %" PRIu64 ": %s",
			f->path, f->pump.at,
			error == -ENODATA ? "it became shorter"
					  : evutil_socket_error_to_string(-error));
		http_abort(f->request);
	} else if (f->part < f->ranges.n) {
		http_file_send(f);
	} else {
		http_file_send_delimiter(f, f->ranges.n);
		http_end(f->request);
	}
}

static const struct file_pump_events http_file_pump_events = {
	.on_sent = http_file_on_sent,
	.on_end = http_file_on_end,
};

static void http_file_on_drained(void *context)
{
	struct http_file *f = context;

	file_pump_on_drained(&f->pump);
}

/* --- the head --- */

/* "/recordings/porch/2026-11-20/14-30-00.mp4" is saved as "porch-2026-11-20-14-30-00.mp4". */
static void http_file_add_disposition(struct http_request *request, const char *path)
{
	char name[HTTP_TREE_PATH_BYTES];
	const char *below = path[0] == '/' ? strchr(path + 1, '/') : NULL;

	(void)snprintf(name, sizeof(name), "%s", below ? below + 1 : path);
	for (char *p = name; *p; p++) {
		if (*p == '/')
			*p = '-';
		else if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return;
	}
	http_add_field(request, "Content-Disposition", "inline; filename=\"%s\"", name);
}

static void http_file_add_fields(struct http_request *request, const struct tree_entry *entry)
{
	char date[HTTP_DATE_BYTES];
	bool is_closed = entry->segment && entry->segment->state == SEGMENT_CLOSED;

	http_add_field(request, "ETag", "%s", entry->etag);
	if (entry->modified_us > 0)
		http_add_field(
			request, "Last-Modified", "%s", http_date_write(date, entry->modified_us));
	http_add_field(request, "Accept-Ranges", "bytes");
	if (is_closed)
		http_add_field(
			request, "Cache-Control", "private, max-age=%d", FILE_MAX_AGE_SECONDS);
	else
		http_add_field(request, "Cache-Control", "private, no-cache");
}

static struct http_conditions http_file_conditions(const struct http_request *request)
{
	return (struct http_conditions){
		.if_match = http_field(request, "If-Match"),
		.if_none_match = http_field(request, "If-None-Match"),
		.if_modified_since = http_field(request, "If-Modified-Since"),
		.if_unmodified_since = http_field(request, "If-Unmodified-Since"),
		.if_range = http_field(request, "If-Range"),
	};
}

/* Several parts get a type of their own, and say themselves which bytes they are. Returns what the answer's type is. */
static const char *http_file_set_parts(struct http_file *f, char *type, size_t size)
{
	const struct http_range *range = f->ranges.ranges;

	if (f->ranges.n == 1) {
		http_add_field(f->request, "Content-Range",
			"bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first,
			range->first + range->bytes - 1, f->bytes);
		return f->content_type;
	}
	auth_random_hex(f->boundary, sizeof(f->boundary) / 2);
	(void)snprintf(type, size, "multipart/byteranges; boundary=%s", f->boundary);
	return type;
}

/* Starts the answer to a request for the whole or for parts; false when it is complete already. */
static bool http_file_start(struct http_file *f, const struct tree_entry *entry, bool ranged)
{
	struct http_request *request = f->request;
	struct message_text value = { NULL, 0 };
	char multipart[80];
	const char *type = f->content_type;
	int status = 200;

	(void)snprintf(f->content_type, sizeof(f->content_type), "%s", entry->content_type);
	f->bytes = entry->bytes;
	if (ranged && !http_is_head(request)) /* a Range means something to GET only */
		value = http_field(request, "Range");
	switch (http_range_parse(&f->ranges, value, entry->bytes)) {
	case HTTP_RANGE_WHOLE:
		f->ranges = (struct http_ranges){ .n = 1, .ranges = { { 0, entry->bytes } } };
		break;
	case HTTP_RANGE_PART:
		status = 206;
		type = http_file_set_parts(f, multipart, sizeof(multipart));
		break;
	case HTTP_RANGE_UNSATISFIABLE:
		http_add_field(request, "Content-Range", "bytes */%" PRIu64, entry->bytes);
		http_answer_error(request, 416, "the file has %" PRIu64 " bytes", entry->bytes);
		return false;
	}
	http_file_add_disposition(request, entry->path);
	http_start(request, status, type, http_file_body_bytes(f));
	if (!http_is_head(request) && f->ranges.ranges[0].bytes > 0)
		return true;
	http_end(request);
	return false;
}

/* Answers with what is known of the file; false when nothing of its body is wanted. */
static bool http_file_answer(struct http_file *f, const struct tree_entry *entry)
{
	struct http_conditions conditions = http_file_conditions(f->request);

	http_file_add_fields(f->request, entry);
	switch (http_condition_judge(&conditions, entry->etag, entry->modified_us)) {
	case HTTP_CONDITION_NOT_MODIFIED:
		http_answer(f->request, 304, NULL, NULL);
		return false;
	case HTTP_CONDITION_FAILED:
		http_answer_error(f->request, 412, "the file is not the one that was asked for");
		return false;
	case HTTP_CONDITION_PROCEED:
		break;
	}
	return http_file_start(f, entry,
		http_condition_range_counts(&conditions, entry->etag, entry->modified_us));
}

/* --- finding it --- */

static void http_file_refuse(struct http_file *f, int error, const struct tree_entry *entry)
{
	if (error == -EMEDIUMTYPE)
		http_tree_answer_mismatch(f->request, entry);
	else if (error == -EBADMSG)
		http_answer_error(f->request, 409,
			"the file cannot be shown, since what of it is secret cannot be told: %s",
			tree_problem(http_files_tree));
	else
		http_tree_answer_error(f->request, error);
}

static void http_file_redirect(struct http_request *request, const struct tree_entry *entry)
{
	char encoded[3 * HTTP_TREE_PATH_BYTES];

	if (uri_encode_path(encoded, sizeof(encoded), entry->path) == 0)
		http_add_field(request, "Location", "%s%s/", http_base(request), encoded);
	http_answer_error(request, 301, "a collection's name ends with a slash");
}

static void http_file_on_collection(struct http_file *f, const struct tree_entry *entry)
{
	struct http_request *request = f->request;

	if (!http_tree_wants_collection(request)) {
		http_file_redirect(request, entry);
		return;
	}
	/* the request changes hands */
	listing_answer(request, http_files_tree, entry, f->user);
	http_file_free(f);
}

static void http_file_on_found(void *arg, int error, const struct tree_entry *entry)
{
	struct http_file *f = arg;

	f->pending = NULL;
	if (error) {
		http_file_refuse(f, error, entry);
	} else if (entry->kind == TREE_COLLECTION) {
		http_file_on_collection(f, entry);
	} else if (http_tree_wants_collection(f->request)) {
		http_tree_answer_error(f->request, -ENOENT);
	} else if (http_is_head(f->request)) {
		(void)http_file_answer(f, entry);
	} else { /* it was a collection when it should have been opened */
		http_tree_answer_error(f->request, -EAGAIN);
	}
}

static void http_file_find(struct http_file *f)
{
	f->pending = tree_find(http_files_tree, f->path, f->user, http_file_on_found, f);
	if (!f->pending)
		http_tree_answer_error(f->request, -EAGAIN);
}

static void http_file_on_open(
	void *arg, int error, const struct tree_entry *entry, struct tree_file *file)
{
	struct http_file *f = arg;

	f->pending = NULL;
	if (error == -EISDIR) {
		http_file_find(f);
		return;
	}
	if (error) {
		http_file_refuse(f, error, entry);
		return;
	}
	file_pump_init(&f->pump, file, 0, &http_file_pump_events, f);
	if (http_file_answer(f, entry)) {
		http_set_drained(f->request, FILE_PUMP_BYTES, http_file_on_drained);
		http_file_send(f);
	}
}

void http_files_get(struct http_request *request)
{
	struct http_file *f = xcalloc(1, sizeof(*f));

	f->request = request;
	f->user = auth_user_copy(http_user(request));
	http_set_context(request, f, http_file_on_gone);
	if (!http_tree_path(request, f->path)) {
		http_tree_answer_error(request, -ENOENT);
		return;
	}
	if (http_is_head(request) || http_tree_wants_collection(request)) {
		http_file_find(f);
		return;
	}
	f->pending = tree_open(http_files_tree, f->path, f->user, http_file_on_open, f);
	if (!f->pending)
		http_tree_answer_error(request, -EAGAIN);
}
