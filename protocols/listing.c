/*
 * A collection as an HTML page: names, sizes, times and durations. No script; its style is allowed
 * by hash, so that the Content-Security-Policy needs no exception.
 */
#include "protocols/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "protocols/http_tree.h"
#include "protocols/markup.h"
#include "server/base/memory.h"

#define LISTING_STYLE \
	"body{font-family:sans-serif;margin:2em}td,th{padding:.2em 1em .2em 0;text-align:left}.n{text-align:right}"
/* SHA-256 of LISTING_STYLE; a test compares them */
#define LISTING_STYLE_HASH "DfuTIriLfsfQ/4YSU480elbJ7Hwq/HfnYGtbHUgYaMY="

struct listing {
	struct http_walk walk; /* first */
	bool started;
};

static void listing_on_gone(void *context)
{
	struct listing *l = context;

	http_walk_fini(&l->walk);
	free(l);
}

static void listing_add_size(struct markup *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	uint64_t whole = bytes, tenth = 0;
	size_t unit = 0;

	while (whole >= 1000 && unit + 1 < ARRAY_LENGTH(units)) {
		tenth = whole % 1000 / 100;
		whole /= 1000;
		unit++;
	}
	if (unit)
		markup_add_format(out, "%" PRIu64 ".%" PRIu64 " %s", whole, tenth, units[unit]);
	else
		markup_add_format(out, "%" PRIu64 " B", whole);
}

/* "10:00", "1:02:03" */
static void listing_add_duration(struct markup *out, int64_t duration_us)
{
	int64_t seconds = duration_us / 1000000;

	if (seconds >= 3600)
		markup_add_format(out, "%" PRId64 ":%02d:%02d", seconds / 3600,
			(int)(seconds / 60 % 60), (int)(seconds % 60));
	else
		markup_add_format(out, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
}

static void listing_add_entry(struct markup *out, const struct tree_entry *entry)
{
	const char *slash = entry->kind == TREE_COLLECTION ? "/" : "";
	char time[HTTP_TIMESTAMP_BYTES];

	markup_add(out, "<tr><td><a href=\"./"); /* "./": a name with ':' is no scheme */
	markup_add_path(out, entry->name);
	markup_add(out, slash);
	markup_add(out, "\">");
	markup_add_text(out, entry->name);
	markup_add(out, slash);
	markup_add(out, "</a></td><td class=\"n\">");
	if (entry->kind == TREE_FILE)
		listing_add_size(out, entry->bytes);
	markup_add(out, "</td><td>");
	if (entry->modified_us > 0)
		markup_add(out, http_timestamp_write(time, entry->modified_us));
	markup_add(out, "</td><td class=\"n\">");
	if (entry->segment)
		listing_add_duration(out, entry->segment->end_us - entry->segment->start_us);
	markup_add(out, "</td></tr>\n");
}

static void listing_add_head(struct markup *out, const char *path)
{
	markup_add(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
	markup_add_text(out, path);
	markup_add(out, "</title><style>" LISTING_STYLE "</style></head><body><h1>");
	markup_add_text(out, path);
	markup_add(out, "</h1>\n<p><a href=\"../\">../</a></p>\n"
			"<table><thead><tr><th>name</th><th class=\"n\">size</th><th>changed</th>"
			"<th class=\"n\">duration</th></tr></thead><tbody>\n");
}

static void listing_start(struct listing *l)
{
	struct http_request *request = l->walk.request;

	l->started = true;
	http_add_field(request, "Cache-Control", "private, no-cache");
	http_add_field(request, "Content-Security-Policy",
		"default-src 'none'; style-src 'sha256-" LISTING_STYLE_HASH
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	http_start(request, 200, "text/html; charset=utf-8", HTTP_UNKNOWN);
}

static void listing_on_entries(
	struct http_walk *walk, const struct tree_entry *entries, size_t n, bool last)
{
	struct listing *l = CONTAINER_OF(walk, struct listing, walk);
	struct evbuffer *body = evbuffer_new();
	struct markup out = markup_begin(body);

	if (!body)
		abort();
	if (!l->started) {
		listing_start(l);
		listing_add_head(&out, http_path(walk->request));
	}
	for (size_t i = 0; i < n; i++)
		listing_add_entry(&out, &entries[i]);
	if (last)
		markup_add(&out, "</tbody></table></body></html>\n");
	markup_end(&out);
	http_send(walk->request, body);
	evbuffer_free(body);
	if (last)
		http_end(walk->request);
}

static void listing_on_error(struct http_walk *walk, int error)
{
	struct listing *l = CONTAINER_OF(walk, struct listing, walk);

	if (l->started)
		http_abort(walk->request);
	else
		http_tree_answer_error(walk->request, error);
}

void listing_answer(struct http_request *request, struct tree *tree,
	const struct tree_entry *collection, const struct auth_user *user)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	http_walk_init(&l->walk, request, tree, collection->path, user);
	l->walk.on_entries = listing_on_entries;
	l->walk.on_error = listing_on_error;
	http_set_context(request, l, listing_on_gone);
	if (http_is_head(request)) {
		listing_start(l);
		http_end(request);
	} else {
		http_walk_start(&l->walk);
	}
}
