/*
 * SEARCH (RFC 5323): finds the recordings of cameras and days. A query's bounds say which cameras and which time are gone
 * through; what is found there is judged one by one, in batches. In the order of the walk it goes out as it is found;
 * in any other order the first SEARCH_SORTED are kept and sorted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/markup.h"
#include "protocols/search_query.h"
#include "protocols/uri.h"
#include "server/base/memory.h"

enum {
	SEARCH_SORTED = 2000, /* about 2 MB */
	SEARCH_BATCH = 500    /* of those, written at once */
};
#define RECORDINGS "/recordings"

/* What is gone through: a camera's collection, or a day's. */
struct dav_walk {
	char path[HTTP_TREE_PATH_BYTES];
	struct catalogue_span span;
};

/* One that is kept to be sorted. */
struct dav_found {
	struct tree_entry entry;
	struct catalogue_segment *segment; /* owned copy */
};

struct dav_search {
	struct http_request *request;
	struct auth_user *user; /* owned copy, or NULL */
	struct search_query query;
	struct dav_selection selection;
	char scope[HTTP_TREE_PATH_BYTES];
	struct tree_request *pending;
	struct evbuffer *out;
	char after[256]; /* the last camera that was listed */
	struct dav_walk *walks;
	size_t n_walks, at;
	uint64_t left; /* results that may still be given */
	bool started, waiting, truncated;
	struct dav_found **
		found; /* NULL: goes out as it is found; else a heap, the last of its order first */
	size_t n_found, most, sent;
};

static void search_go_on(struct dav_search *s);

static void found_free(struct dav_found *found)
{
	catalogue_segment_free(found->segment);
	free(found);
}

static void search_on_gone(void *context)
{
	struct dav_search *s = context;

	tree_cancel(s->pending);
	for (size_t i = 0; i < s->n_found; i++)
		found_free(s->found[i]);
	free(s->found);
	free(s->walks);
	auth_user_free(s->user);
	evbuffer_free(s->out);
	free(s);
}

/* --- properties --- */

static struct search_value number(int64_t value)
{
	return (struct search_value){ .is_defined = true, .number = value };
}

static struct search_value text(const char *value)
{
	return (struct search_value){ .is_defined = true, .text = value ? value : "" };
}

/* As dav_properties.c shows it, in whole seconds and milliseconds. */
static struct search_value instant(int64_t us, int64_t step_us)
{
	return (struct search_value){ .is_defined = us > 0, .number = us - us % step_us };
}

static struct search_value picture_size(int size)
{
	return (struct search_value){ .is_defined = size > 0, .number = size };
}

static struct search_value search_get(const void *thing, enum search_property property)
{
	const struct tree_entry *e = thing;
	const struct catalogue_segment *segment = e->segment;

	switch (property) {
	case SEARCH_DISPLAYNAME:
		return text(e->name);
	case SEARCH_CONTENT_LENGTH:
		return number((int64_t)e->bytes);
	case SEARCH_CONTENT_TYPE:
		return text(e->content_type);
	case SEARCH_ETAG:
		return text(e->etag);
	case SEARCH_MODIFIED:
		return instant(e->modified_us, 1000000);
	case SEARCH_CREATED:
		return instant(e->created_us, 1000000);
	case SEARCH_CAMERA:
		return text(segment->camera);
	case SEARCH_START:
		return instant(segment->start_us, 1000);
	case SEARCH_END:
		return instant(segment->end_us, 1000);
	case SEARCH_DURATION:
		return number((segment->end_us - segment->start_us) / 1000 * 1000);
	case SEARCH_CODEC:
		return text(segment->codecs);
	case SEARCH_WIDTH:
		return picture_size(segment->width);
	case SEARCH_HEIGHT:
		return picture_size(segment->height);
	case SEARCH_STATE:
		return text(segment->state == SEGMENT_OPEN ? "open" : "closed");
	case SEARCH_MOTION:
		return number((segment->events & 1 << EVENT_MOTION) != 0);
	case SEARCH_PROPERTIES:
		break;
	}
	return (struct search_value){ 0 };
}

/* --- the answer --- */

/* Sends what has been written, the head of the answer before the first of it. */
static void search_flush(struct dav_search *s)
{
	if (!s->started)
		http_start(s->request, 207, DAV_CONTENT_TYPE, HTTP_UNKNOWN);
	s->started = true;
	http_send(s->request, s->out);
}

static void search_fail(struct dav_search *s, int error)
{
	if (s->started)
		http_abort(s->request);
	else
		http_tree_answer_error(s->request, error);
}

static void search_begin(struct dav_search *s)
{
	struct markup out = markup_begin(s->out);

	dav_write_head(&out);
	markup_end(&out);
}

static void search_end(struct dav_search *s)
{
	struct markup out = markup_begin(s->out);

	if (s->truncated) /* section 2.3.1 */
		dav_write_status(&out, http_base(s->request), http_path(s->request),
			"507 Insufficient Storage");
	dav_write_tail(&out);
	markup_end(&out);
	search_flush(s);
	http_end(s->request);
}

/* --- another order than that of the walk: a heap of the first --- */

static int found_compare(
	const struct dav_search *s, const struct tree_entry *a, const struct tree_entry *b)
{
	int order = search_query_compare(&s->query, a, b, search_get);

	return order ? order : strcmp(a->path, b->path);
}

static bool found_is_before(const struct dav_search *s, size_t a, size_t b)
{
	return found_compare(s, &s->found[a]->entry, &s->found[b]->entry) < 0;
}

static void found_swap(struct dav_search *s, size_t a, size_t b)
{
	struct dav_found *found = s->found[a];

	s->found[a] = s->found[b];
	s->found[b] = found;
}

/* Moves the first down until the n are a heap again. */
static void heap_sink(struct dav_search *s, size_t n)
{
	for (size_t at = 0;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < n && found_is_before(s, child, child + 1))
			child++;
		if (child >= n || !found_is_before(s, at, child))
			return;
		found_swap(s, at, child);
		at = child;
	}
}

static void heap_rise(struct dav_search *s)
{
	for (size_t at = s->n_found - 1; at > 0; at = (at - 1) / 2) {
		if (!found_is_before(s, (at - 1) / 2, at))
			return;
		found_swap(s, at, (at - 1) / 2);
	}
}

static struct dav_found *found_new(const struct tree_entry *entry)
{
	struct dav_found *found = xcalloc(1, sizeof(*found));

	found->segment = catalogue_segment_copy(entry->segment);
	found->entry = *entry;
	found->entry.name = strrchr(found->entry.path, '/') + 1;
	found->entry.segment = found->segment;
	return found;
}

/* Keeps one, in place of the last when there are enough. */
static void heap_add(struct dav_search *s, const struct tree_entry *entry)
{
	if (s->n_found < s->most) {
		s->found[s->n_found++] = found_new(entry);
		heap_rise(s);
		return;
	}
	s->truncated = s->most == SEARCH_SORTED && s->left > SEARCH_SORTED;
	if (s->most && found_compare(s, entry, &s->found[0]->entry) < 0) {
		found_free(s->found[0]);
		s->found[0] = found_new(entry);
		heap_sink(s, s->n_found);
	}
}

static void heap_sort(struct dav_search *s)
{
	for (size_t n = s->n_found; n > 1; n--) {
		found_swap(s, 0, n - 1);
		heap_sink(s, n - 1);
	}
}

static void search_send_sorted(struct dav_search *s)
{
	struct markup out = markup_begin(s->out);

	for (size_t i = 0; i < SEARCH_BATCH && s->sent < s->n_found; i++, s->sent++)
		dav_write_response(&out, &s->selection, &s->found[s->sent]->entry);
	markup_end(&out);
	if (s->sent == s->n_found) {
		search_end(s);
		return;
	}
	search_flush(s);
	s->waiting = true;
	if (http_unsent(s->request) <= HTTP_TREE_UNSENT_BYTES)
		search_go_on(s);
}

/* --- the walk --- */

/* Takes what is found, as far as it is wanted. */
static void search_take(struct dav_search *s, const struct tree_entry *entries, size_t n)
{
	struct markup out = markup_begin(s->out);

	for (size_t i = 0; i < n && s->left; i++) {
		if (!search_query_holds(&s->query, &entries[i], search_get))
			continue;
		if (s->found) {
			heap_add(s, &entries[i]);
			continue;
		}
		dav_write_response(&out, &s->selection, &entries[i]);
		s->left--;
	}
	markup_end(&out);
}

static void search_on_recordings(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct dav_search *s = arg;
	struct catalogue_span *span = &s->walks[s->at].span;

	s->pending = NULL;
	if (error) {
		search_fail(s, error);
		return;
	}
	search_take(s, entries, n);
	if (more && n) {
		span->after_us = entries[n - 1].segment->start_us;
		span->after_id = entries[n - 1].segment->id;
	} else {
		s->at++;
	}
	if (!s->left)
		s->at = s->n_walks;
	if (s->at == s->n_walks && s->found)
		heap_sort(s);
	else if (s->at < s->n_walks && evbuffer_get_length(s->out) > HTTP_TREE_UNSENT_BYTES / 4)
		search_flush(s);
	s->waiting = true;
	if (http_unsent(s->request) <= HTTP_TREE_UNSENT_BYTES)
		search_go_on(s);
}

static void search_go_on(struct dav_search *s)
{
	const struct dav_walk *walk = &s->walks[s->at];

	s->waiting = false;
	if (s->at == s->n_walks && s->found) {
		search_send_sorted(s);
		return;
	}
	if (s->at == s->n_walks) {
		search_end(s);
		return;
	}
	s->pending = tree_search(
		dav_get_tree(), walk->path, &walk->span, s->user, search_on_recordings, s);
	if (!s->pending)
		search_fail(s, -EAGAIN);
}

static void search_on_drained(void *context)
{
	struct dav_search *s = context;

	if (s->waiting)
		search_go_on(s);
}

/* Whether the walk has the order that is asked for: by camera, then by start. Newest first when it says so. */
static bool is_order_of_walk(const struct dav_search *s, bool *newest_first)
{
	const struct search_order *order = s->query.order, *end = order + s->query.n_order;

	*newest_first = false;
	if (order < end && order->property == SEARCH_CAMERA && !order->descending)
		order++;
	else if (order < end && s->n_walks > 1)
		return false;
	if (order < end && order->property == SEARCH_START)
		*newest_first = (order++)->descending;
	return order == end;
}

static void search_start(struct dav_search *s)
{
	bool newest_first;

	if (!is_order_of_walk(s, &newest_first)) {
		s->most = s->query.limit < SEARCH_SORTED ? (size_t)s->query.limit : SEARCH_SORTED;
		s->found = xcalloc(s->most + 1, sizeof(struct dav_found *));
	}
	for (size_t i = 0; i < s->n_walks; i++)
		s->walks[i].span.newest_first = newest_first;
	s->left = s->query.limit;
	if (!s->left)
		s->at = s->n_walks;
	search_begin(s);
	http_set_drained(s->request, HTTP_TREE_UNSENT_BYTES, search_on_drained);
	search_go_on(s);
}

/* A camera, or a day of it, if there can be something. */
static void search_add_walk(struct dav_search *s, const char *camera, const char *path)
{
	struct search_range range;
	struct dav_walk *walk;

	if (!search_query_range(&s->query, camera, &range))
		return;
	s->walks = xrealloc(s->walks, (s->n_walks + 1) * sizeof(*s->walks));
	walk = &s->walks[s->n_walks++];
	*walk = (struct dav_walk){
		.span = {.from_us = range.from_us,
			 .to_us = range.to_us,
			 .ended_us = range.ended_us},
	};
	(void)snprintf(walk->path, sizeof(walk->path), "%s", path);
}

static void search_list_cameras(struct dav_search *s);

static void search_on_cameras(
	void *arg, int error, const struct tree_entry *entries, size_t n, bool more)
{
	struct dav_search *s = arg;

	s->pending = NULL;
	if (error) {
		search_fail(s, error);
		return;
	}
	for (size_t i = 0; i < n; i++)
		search_add_walk(s, entries[i].name, entries[i].path);
	if (n)
		(void)snprintf(s->after, sizeof(s->after), "%s", entries[n - 1].name);
	if (more && n)
		search_list_cameras(s);
	else
		search_start(s);
}

static void search_list_cameras(struct dav_search *s)
{
	s->pending = tree_list(dav_get_tree(), RECORDINGS, s->after[0] ? s->after : NULL, s->user,
		search_on_cameras, s);
	if (!s->pending)
		search_fail(s, -EAGAIN);
}

/* --- the schema (section 4) --- */

static void search_write_schema(struct dav_search *s)
{
	static const char *const types[] = {
		[SEARCH_TEXT] = "string",
		[SEARCH_INTEGER] = "integer",
		[SEARCH_INSTANT] = "dateTime",
		[SEARCH_SECONDS] = "decimal",
	};
	struct markup out = markup_begin(s->out);

	dav_write_head(&out);
	markup_add(&out, "<D:response><D:href>");
	markup_add(&out, http_base(s->request));
	markup_add_path(&out, s->scope);
	markup_add(&out,
		"</D:href><D:status>HTTP/1.1 200 OK</D:status><D:query-schema>"
		"<D:basicsearchschema xmlns:X=\"http://www.w3.org/2001/XMLSchema\"><D:properties>");
	for (size_t i = 0; i < SEARCH_PROPERTIES; i++) {
		const struct search_property_row *row = &search_properties[i];

		markup_add_format(&out,
			"<D:propdesc><D:prop><%s:%s/></D:prop><D:datatype><X:%s/></D:datatype>"
			"<D:searchable/><D:selectable/><D:sortable/></D:propdesc>",
			row->is_ours ? "N" : "D", row->name, types[row->type]);
	}
	markup_add(&out,
		"</D:properties><D:operators><D:opdesc><D:like/><D:operand-property/><D:operand-literal/>"
		"</D:opdesc></D:operators></D:basicsearchschema></D:query-schema></D:response>\n");
	dav_write_tail(&out);
	markup_end(&out);
	http_answer(s->request, 207, DAV_CONTENT_TYPE, s->out);
}

/* --- the question --- */

static void search_refuse_scope(struct dav_search *s)
{
	dav_answer_condition(s->request, 409, "search-scope-valid", s->scope);
}

/* A camera's collection, or a day's: where its recordings are deeper than the scope's depth, there are none. */
static void search_in_camera(struct dav_search *s, const struct tree_entry *entry)
{
	const char *name = s->scope + strlen(RECORDINGS "/");
	bool is_day = strchr(name, '/');
	char camera[HTTP_TREE_PATH_BYTES];

	(void)snprintf(camera, sizeof(camera), "%.*s", (int)strcspn(name, "/"), name);
	if (!strcmp(s->query.depth, "infinity") || (is_day && !strcmp(s->query.depth, "1")))
		search_add_walk(s, camera, entry->path);
	search_start(s);
}

static void search_in_file(struct dav_search *s, const struct tree_entry *entry)
{
	search_begin(s);
	s->left = s->query.limit;
	search_take(s, entry, 1);
	search_end(s);
}

static void search_on_scope(void *arg, int error, const struct tree_entry *entry)
{
	struct dav_search *s = arg;
	bool is_all, is_recording;

	s->pending = NULL;
	if (error && error != -ENOENT) {
		search_fail(s, error);
		return;
	}
	is_all = !strcmp(s->scope, "/") || !strcmp(s->scope, RECORDINGS);
	is_recording = !strncmp(s->scope, RECORDINGS "/", strlen(RECORDINGS "/"));
	if (error || (!is_all && !is_recording) || (entry->kind == TREE_FILE && !entry->segment))
		search_refuse_scope(s);
	else if (s->query.asks_schema)
		search_write_schema(s);
	else if (entry->kind == TREE_FILE)
		search_in_file(s, entry);
	else if (is_recording)
		search_in_camera(s, entry);
	else if (strcmp(s->query.depth, "infinity") != 0)
		search_start(s);
	else
		search_list_cameras(s);
}

/* The scope's path, of a reference that is relative to the request's URI. False: answered. */
static bool search_parse_scope(struct dav_search *s)
{
	const char *href = s->query.scope, *path = http_path(s->request);
	size_t folder = (size_t)(strrchr(path, '/') + 1 - path), n;
	char encoded[3 * HTTP_TREE_PATH_BYTES] = "", uri[SEARCH_HREF_BYTES + sizeof(encoded)];
	bool is_absolute = href[0] == '/' || strstr(href, "://"), is_collection;
	char base[URI_PATH_BYTES];

	if (!is_absolute) {
		n = href[0] ? folder : strlen(path); /* "" is the request's URI itself */
		(void)snprintf(base, sizeof(base), "%.*s", (int)n, path);
		if (uri_encode_path(encoded, sizeof(encoded), base) < 0)
			encoded[0] = '\0';
	}
	(void)snprintf(uri, sizeof(uri), "%s%s", encoded, href);
	if (dav_path_of(s->request, (struct message_text){ .p = uri, .n = strlen(uri) }, s->scope,
		    &is_collection) == 0)
		return true;
	s->scope[0] = '\0';
	dav_answer_condition(s->request, 409, "search-scope-valid", NULL);
	return false;
}

static bool search_parse_query(struct dav_search *s)
{
	struct evbuffer *body = http_body(s->request);
	size_t n = evbuffer_get_length(body);
	const char *p = n ? (const char *)evbuffer_pullup(body, -1) : "";
	const char *condition, *why;
	int error = search_query_parse(&s->query, p, n, &condition, &why);

	if (error && condition)
		dav_answer_condition(s->request, 422, condition, NULL);
	else if (error)
		http_answer_error(s->request, error == -EINVAL ? 422 : 400, "%s", why);
	else
		dav_select(&s->selection, &s->query.select, http_base(s->request));
	return !error;
}

void dav_search(struct http_request *request)
{
	struct dav_search *s = xcalloc(1, sizeof(*s));

	s->out = evbuffer_new();
	if (!s->out)
		abort();
	s->request = request;
	s->user = auth_user_copy(http_user(request));
	http_set_context(request, s, search_on_gone);
	if (!search_parse_query(s) || !search_parse_scope(s))
		return;
	s->pending = tree_find(dav_get_tree(), s->scope, s->user, search_on_scope, s);
	if (!s->pending)
		http_tree_answer_error(request, -EAGAIN);
}
