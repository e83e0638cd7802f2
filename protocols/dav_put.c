/* PUT (RFC 9110 section 9.3.4, RFC 4918 section 9.7): straight to the disk, as fast as that is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "server/base/memory.h"

struct dav_put {
	struct dav_check check; /* first */
	struct tree_put *put;
	bool was_there;
};

static void put_on_gone(void *context)
{
	struct dav_put *p = context;

	tree_put_abort(p->put);
	dav_check_fini(&p->check);
	free(p);
}

static uint64_t put_limit(const struct dav_put *p)
{
	uint64_t limit = tree_put_limit(p->check.path);

	return limit < dav_get_put_limit() ? limit : dav_get_put_limit();
}

/* What the target must be in the end, too. */
static const char *put_expected_etag(const struct dav_put *p)
{
	const struct http_request *request = p->check.request;

	if (message_text_is(http_field(request, "If-None-Match"), "*"))
		return "";
	if (http_field(request, "If-Match").p && p->check.entry)
		return p->check.entry->etag;
	return NULL;
}

static unsigned put_reach(const struct dav_put *p)
{
	return p->was_there ? LOCK_SELF : LOCK_SELF | LOCK_PARENT;
}

static void put_on_body(void *context, struct evbuffer *data, bool last)
{
	struct dav_put *p = context;
	bool goes_on = true;

	if (evbuffer_get_length(data) > 0)
		goes_on = tree_put_write(p->put, data);
	if (!last && !goes_on)
		http_pause_body(p->check.request);
	/* somebody may have locked it while the body came */
	if (!last || dav_is_locked(&p->check, p->check.path, put_reach(p)))
		return;
	http_audit(p->check.request, p->check.user, "put", "%s", p->check.path);
	tree_put_commit(p->put, put_expected_etag(p));
}

static void put_on_begun(void *arg)
{
	struct dav_put *p = arg;

	http_receive(p->check.request, put_limit(p), put_on_body);
}

static void put_on_drained(void *arg)
{
	struct dav_put *p = arg;

	http_resume_body(p->check.request);
}

static void put_on_end(void *arg, int error, bool created, const struct tree_entry *entry)
{
	struct dav_put *p = arg;
	struct http_request *request = p->check.request;

	p->put = NULL;
	if (error) {
		dav_answer_error(request, error);
		return;
	}
	if (*entry->etag)
		http_add_field(request, "ETag", "%s", entry->etag);
	http_answer(request, created ? 201 : 204, NULL, NULL);
}

static const struct tree_put_events put_events = {
	.on_begun = put_on_begun,
	.on_drained = put_on_drained,
	.on_end = put_on_end,
};

static void put_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_put *p = CONTAINER_OF(check, struct dav_put, check);
	uint64_t bytes = http_body_bytes(check->request);
	int error;

	p->was_there = entry;
	if (dav_is_locked(check, check->path, put_reach(p)))
		return;
	if (entry && entry->kind == TREE_COLLECTION) {
		dav_answer_error(check->request, -EISDIR);
		return;
	}
	p->put = tree_put(dav_get_tree(), check->path, bytes == HTTP_UNKNOWN ? 0 : bytes, 0,
		check->user, &put_events, p, &error);
	if (!p->put)
		dav_answer_error(check->request, error);
}

void dav_put(struct http_request *request)
{
	struct dav_put *p = xcalloc(1, sizeof(*p));
	uint64_t bytes = http_body_bytes(request);
	int error;

	http_set_context(request, p, put_on_gone);
	if (!dav_check_init(&p->check, request))
		return;
	error = tree_may_change(dav_get_tree(), p->check.path, p->check.user);
	if (error)
		dav_answer_error(request, error);
	else if (http_field(request, "Content-Range").p)
		http_answer_error(request, 400, "files are written as a whole");
	else if (bytes != HTTP_UNKNOWN && bytes > put_limit(p))
		http_answer_error(request, 413, "files may have %llu bytes here",
			(unsigned long long)put_limit(p));
	else if (http_tree_wants_collection(request))
		http_answer_error(request, 409, "this is the name of a collection");
	else
		dav_check_start(&p->check, put_on_checked);
}
