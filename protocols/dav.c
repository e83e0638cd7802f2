/*
 * PROPFIND over the tree (RFC 4918 section 9.1): Depth 0 and 1, answered in batches. Infinity is
 * refused with the standard's precondition, as it has no bound.
 */
#include "protocols/dav.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav_body.h"
#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/hls_recorded.h"
#include "protocols/markup.h"
#include "protocols/uri.h"
#include "server/base/memory.h"

enum {
	DAV_BLOCK_BYTES = 1 << 20
};

struct dav_propfind {
	struct http_walk walk; /* first */
	struct dav_query query;
	struct dav_selection selection;
	bool with_members; /* Depth: 1 */
	bool with_self;
	bool started;
	struct tree_request *pending;
	struct hls_recorded_look *look;
	struct evbuffer *out;
	size_t response_bytes; /* of each, in the last batch */
};

static struct tree *dav_tree;
static uint64_t dav_put_limit;

void dav_set_tree(struct tree *tree)
{
	dav_tree = tree;
}

void dav_set_put_limit(uint64_t bytes)
{
	dav_put_limit = bytes;
}

struct tree *dav_get_tree(void)
{
	return dav_tree;
}

uint64_t dav_get_put_limit(void)
{
	return dav_put_limit ? dav_put_limit : HTTP_UNKNOWN - 1;
}

static void dav_on_gone(void *context)
{
	struct dav_propfind *d = context;

	tree_cancel(d->pending);
	hls_recorded_cancel(d->look);
	http_walk_fini(&d->walk);
	evbuffer_free(d->out);
	free(d);
}

/* Depth (RFC 4918 section 10.2; absent: infinity), and Windows' "1,noroot". False: answered. */
static bool dav_parse_depth(struct dav_propfind *d)
{
	struct message_text depth = http_field(d->walk.request, "Depth");

	d->with_self = true;
	if (message_text_is(depth, "0"))
		return true;
	d->with_members = true;
	if (message_text_is(depth, "1"))
		return true;
	d->with_self = false;
	if (message_text_is(depth, "1,noroot"))
		return true;
	if (!depth.p || message_text_is(depth, "infinity"))
		dav_answer_condition(d->walk.request, 403, "propfind-finite-depth", NULL);
	else
		http_answer_error(d->walk.request, 400, "Depth must be 0 or 1");
	return false;
}

static bool dav_parse_query(struct dav_propfind *d)
{
	struct evbuffer *body = http_body(d->walk.request);
	size_t n = evbuffer_get_length(body);
	const char *p = n ? (const char *)evbuffer_pullup(body, -1) : "";
	const char *why = NULL;

	if (dav_body_parse(&d->query, p, n, &why) < 0) {
		http_answer_error(d->walk.request, 400, "%s", why);
		return false;
	}
	dav_select(&d->selection, &d->query, http_base(d->walk.request));
	return true;
}

/* Sends what has been written, the head of the answer before the first of it. */
static void dav_flush(struct dav_propfind *d)
{
	if (!d->started)
		http_start(d->walk.request, 207, DAV_CONTENT_TYPE, HTTP_UNKNOWN);
	d->started = true;
	http_send(d->walk.request, d->out);
}

static void dav_on_entries(
	struct http_walk *walk, const struct tree_entry *entries, size_t n, bool last)
{
	struct dav_propfind *d = CONTAINER_OF(walk, struct dav_propfind, walk);
	struct markup out = markup_begin(d->out);
	size_t block = n * d->response_bytes;

	/* in one block, or it would be one for each 4 KiB */
	(void)evbuffer_expand(d->out, block < DAV_BLOCK_BYTES ? block : DAV_BLOCK_BYTES);
	for (size_t i = 0; i < n; i++)
		dav_write_response(&out, &d->selection, &entries[i]);
	if (last)
		dav_write_tail(&out);
	markup_end(&out);
	d->response_bytes = n ? evbuffer_get_length(d->out) / n : 0;
	dav_flush(d);
	if (last)
		http_end(walk->request);
}

static void dav_on_error(struct http_walk *walk, int error)
{
	struct dav_propfind *d = CONTAINER_OF(walk, struct dav_propfind, walk);

	if (d->started)
		http_abort(walk->request);
	else
		http_tree_answer_error(walk->request, error);
}

/* A collection that was named without its slash is told its proper name (section 5.2). */
static void dav_add_location(struct http_request *request, const struct tree_entry *entry)
{
	char encoded[3 * HTTP_TREE_PATH_BYTES];

	if (entry->kind == TREE_COLLECTION && !http_tree_wants_collection(request) &&
		uri_encode_path(encoded, sizeof(encoded), entry->path) == 0)
		http_add_field(request, "Content-Location", "%s%s/", http_base(request), encoded);
}

static void dav_on_found(void *arg, int error, const struct tree_entry *entry)
{
	struct dav_propfind *d = arg;
	struct markup out = markup_begin(d->out);

	d->pending = NULL;
	d->look = NULL;
	if (error == -EMEDIUMTYPE) {
		http_tree_answer_mismatch(d->walk.request, entry);
		return;
	}
	if (error) {
		http_tree_answer_error(d->walk.request, error);
		return;
	}
	bool is_collection = entry->kind == TREE_COLLECTION;
	if (!is_collection && http_tree_wants_collection(d->walk.request)) {
		http_tree_answer_error(d->walk.request, -ENOENT);
		return;
	}
	dav_add_location(d->walk.request, entry);
	dav_write_head(&out);
	if (d->with_self)
		dav_write_response(&out, &d->selection, entry);
	if (!is_collection || !d->with_members)
		dav_write_tail(&out);
	markup_end(&out);
	if (is_collection && d->with_members)
		http_walk_start(&d->walk);
	else
		http_answer(d->walk.request, 207, DAV_CONTENT_TYPE, d->out);
}

/* A playlist, which is none of the tree's: it has no members. */
static void dav_find_playlist(struct dav_propfind *d)
{
	int error;

	d->look = hls_recorded_find(d->walk.request, dav_on_found, d, &error);
	if (!d->look)
		http_tree_answer_error(d->walk.request, error);
}

void dav_propfind(struct http_request *request)
{
	struct dav_propfind *d = xcalloc(1, sizeof(*d));
	char path[HTTP_TREE_PATH_BYTES];

	d->out = evbuffer_new();
	if (!d->out)
		abort();
	d->walk.request = request;
	http_set_context(request, d, dav_on_gone);
	if (!dav_parse_depth(d) || !dav_parse_query(d))
		return;
	if (hls_recorded_is_named(request)) {
		dav_find_playlist(d);
		return;
	}
	if (!http_tree_path(request, path)) {
		http_tree_answer_error(request, -ENOENT);
		return;
	}
	http_walk_init(&d->walk, request, dav_tree, path, http_user(request));
	d->walk.on_entries = dav_on_entries;
	d->walk.on_error = dav_on_error;
	d->pending = tree_find(dav_tree, path, http_user(request), dav_on_found, d);
	if (!d->pending)
		http_tree_answer_error(request, -EAGAIN);
}
