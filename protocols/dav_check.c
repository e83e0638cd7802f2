/*
 * What holds before a change is made: conditions (RFC 9110 section 13), If (RFC 4918 section 10.4) and locks; and how
 * failures are told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/http_condition.h"
#include "protocols/http_date.h"
#include "protocols/http_host.h"
#include "protocols/markup.h"
#include "protocols/uri.h"
#include "server/base/memory.h"

enum dav_depth dav_depth_of(const struct http_request *request)
{
	struct message_text depth = http_field(request, "Depth");

	if (!depth.p || message_text_is(depth, "infinity"))
		return DAV_DEPTH_INFINITY;
	if (message_text_is(depth, "0"))
		return DAV_DEPTH_0;
	return message_text_is(depth, "1") ? DAV_DEPTH_1 : DAV_DEPTH_WRONG;
}

/* --- failures --- */

void dav_answer_condition(
	struct http_request *request, int status, const char *condition, const char *path)
{
	struct evbuffer *body = evbuffer_new();
	struct markup out = markup_begin(body);

	if (!body)
		abort();
	markup_add(&out, DAV_XML_HEAD "<D:error xmlns:D=\"DAV:\"><D:");
	markup_add(&out, condition);
	if (path) {
		markup_add(&out, "><D:href>");
		markup_add(&out, http_base(request));
		markup_add_path(&out, path);
		markup_add(&out, "</D:href></D:");
		markup_add(&out, condition);
		markup_add(&out, "></D:error>\n");
	} else {
		markup_add(&out, "/></D:error>\n");
	}
	markup_end(&out);
	http_answer(request, status, DAV_CONTENT_TYPE, body);
	evbuffer_free(body);
}

/* Text of several lines. */
static void add_lines(struct markup *out, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		char *line = xstrndup(text, n);

		markup_add_text(out, line);
		free(line);
		text += n + (text[n] == '\n');
		if (*text)
			markup_add(out, "\n");
	}
}

/* The element is ours; in it are the messages about the configuration. */
static void answer_problem(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();
	struct markup out = markup_begin(body);

	if (!body)
		abort();
	markup_add(&out, DAV_XML_HEAD "<D:error xmlns:D=\"DAV:\"><N:valid-configuration "
				      "xmlns:N=\"" DAV_NVRD_SPACE "\">");
	add_lines(&out, tree_problem(dav_get_tree()));
	markup_add(&out, "</N:valid-configuration></D:error>\n");
	markup_end(&out);
	http_answer(request, 422, DAV_CONTENT_TYPE, body);
	evbuffer_free(body);
}

void dav_answer_error(struct http_request *request, int error)
{
	static const struct {
		int error, status;
		const char *words;
	} rows[] = {
		{EACCES,        403, "this user's role does not allow it"                                                },
		{ EPERM,        403,
                 "recordings are as the camera made them: they can be read, locked and deleted, nothing else"            },
		{ EINVAL,       403, "a file cannot have this name"                                                      },
		{ ENAMETOOLONG, 403, "a file cannot have a name as long as this"                                         },
		{ ENOTSUP,      403,
                 "the configuration's own file and those of cameras can be written, and the latter deleted, nothing else"},
		{ EXDEV,        403,
                 "recordings, uploads and the configuration cannot be copied into each other"                            },
		{ ELOOP,        403, "a collection cannot be put into itself"                                            },
		{ EISDIR,       405, "this is a collection"							      },
		{ ENOTDIR,      409, "the collection that it is to be in does not exist"                                 },
		{ EBUSY,        409, "it is being read or written"                                                       },
		{ EEXIST,       412, "there is something of this name"                                                   },
		{ ESTALE,       412, "it is not what it was"							     },
	};

	if (error == -ENOSPC || error == -EDQUOT) {
		dav_answer_condition(request, 507, "sufficient-disk-space", NULL);
		return;
	}
	if (error == -EBADMSG) {
		answer_problem(request);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (rows[i].error == -error) {
			http_answer_error(request, rows[i].status, "%s", rows[i].words);
			return;
		}
	}
	http_tree_answer_error(request, error);
}

bool dav_is_locked(const struct dav_check *check, const char *path, unsigned reach)
{
	struct locks *locks = tree_locks(dav_get_tree());
	const struct lock *lock;

	if (!locks_are_known(locks)) {
		http_tree_answer_error(check->request, -EAGAIN);
		return true;
	}
	lock = locks_forbid(locks, path, reach, &check->tokens);
	if (lock)
		dav_answer_condition(check->request, 423, "lock-token-submitted", lock->path);
	return lock;
}

/* --- URIs --- */

int dav_path_of(const struct http_request *request, struct message_text uri,
	char ret[HTTP_TREE_PATH_BYTES], bool *is_collection)
{
	struct http_target target;
	char path[URI_PATH_BYTES];
	const char *why;
	size_t n;

	if (!http_target_parse(&target, uri) || !target.path.n || target.path.p[0] != '/')
		return 400;
	if (target.authority.p && !http_is_us(request, target.authority))
		return 502;
	if (uri_decode_path(path, sizeof(path), target.path.p, target.path.n, &why) < 0)
		return 400;
	(void)http_below_base(path);
	n = strlen(path);
	*is_collection = path[n - 1] == '/';
	if (n > 1 && *is_collection)
		n--;
	if (n >= HTTP_TREE_PATH_BYTES)
		return 414;
	memcpy(ret, path, n);
	ret[n] = '\0';
	return 0;
}

/* --- If --- */

static void collect_tokens(struct dav_check *check)
{
	const struct dav_if *lists = check->lists;

	for (size_t i = 0; i < lists->n_conditions && check->tokens.n < LOCK_TOKENS; i++) {
		const struct dav_if_condition *condition = &lists->conditions[i];

		if (condition->is_etag)
			continue;
		check->tokens.tokens[check->tokens.n].p = condition->value.p;
		check->tokens.tokens[check->tokens.n++].n = condition->value.n;
	}
}

bool dav_check_init(struct dav_check *check, struct http_request *request)
{
	struct message_text text = http_field(request, "If");
	const char *why = NULL;

	check->request = request;
	check->user = auth_user_copy(http_user(request));
	check->tokens.user = check->user ? check->user->name : "";
	if (!http_tree_path(request, check->path)) {
		http_answer_error(request, 414, "the path is too long");
		return false;
	}
	if (!text.p)
		return true;
	check->lists = xmalloc(sizeof(*check->lists));
	if (dav_if_parse(check->lists, text, &why) < 0) {
		http_answer_error(request, 400, "%s", why);
		return false;
	}
	collect_tokens(check);
	return true;
}

void dav_check_fini(struct dav_check *check)
{
	tree_cancel(check->pending);
	check->pending = NULL;
	auth_user_free(check->user);
	free(check->entry);
	free(check->lists);
}

static bool is_locked_with(const char *path, struct message_text token)
{
	struct locks *locks = tree_locks(dav_get_tree());
	const struct lock *lock;

	for (lock = locks_next(locks, path, NULL); lock; lock = locks_next(locks, path, lock)) {
		if (strlen(lock->token) == token.n && !memcmp(lock->token, token.p, token.n))
			return true;
	}
	return false;
}

/* Whether all conditions of a list hold for the resource at a path (NULL: none of ours) with that ETag. */
static bool list_holds(const struct dav_check *check, const struct dav_if_list *list,
	const char *path, const char *etag)
{
	for (size_t i = list->first; i < list->first + list->n; i++) {
		const struct dav_if_condition *condition = &check->lists->conditions[i];
		bool holds;

		if (condition->is_etag)
			holds = etag && *etag && http_etag_listed(condition->value, etag, false);
		else
			holds = path && is_locked_with(path, condition->value);
		if (holds == condition->is_not)
			return false;
	}
	return true;
}

static void check_go_on(struct dav_check *check);

static void check_on_resource(void *arg, int error, const struct tree_entry *entry)
{
	struct dav_check *check = arg;
	const struct dav_if_list *list = &check->lists->lists[check->at];
	char path[HTTP_TREE_PATH_BYTES];
	bool is_collection;

	check->pending = NULL;
	if (dav_path_of(check->request, list->resource, path, &is_collection) == 0 &&
		list_holds(check, list, path, error ? NULL : entry->etag)) {
		check->on_checked(check, check->entry);
		return;
	}
	check->at++;
	check_go_on(check);
}

/* From list to list until one holds; those that are about other resources ask for these first. */
static void check_go_on(struct dav_check *check)
{
	char path[HTTP_TREE_PATH_BYTES];
	bool is_collection;

	for (; check->at < check->lists->n_lists; check->at++) {
		const struct dav_if_list *list = &check->lists->lists[check->at];
		const char *about = check->path;
		const char *etag = check->entry ? check->entry->etag : NULL;

		if (list->resource.p) {
			int refused =
				dav_path_of(check->request, list->resource, path, &is_collection);

			about = refused ? NULL : path;
			if (about && strcmp(about, check->path) != 0) {
				check->pending = tree_find(dav_get_tree(), path, check->user,
					check_on_resource, check);
				if (!check->pending)
					http_tree_answer_error(check->request, -EAGAIN);
				return;
			}
			etag = about ? etag : NULL;
		}
		if (list_holds(check, list, about, etag)) {
			check->on_checked(check, check->entry);
			return;
		}
	}
	http_answer_error(check->request, 412, "If: no list of conditions holds");
}

/* --- the other conditions --- */

static bool conditions_hold(const struct dav_check *check)
{
	struct message_text match = http_field(check->request, "If-Match");
	struct message_text none_match = http_field(check->request, "If-None-Match");
	int64_t unmodified_us = http_date_parse(http_field(check->request, "If-Unmodified-Since"));
	const struct tree_entry *entry = check->entry;

	if (match.p && (!entry || !http_etag_listed(match, entry->etag, false)))
		return false;
	if (none_match.p && entry && http_etag_listed(none_match, entry->etag, true))
		return false;
	return match.p || unmodified_us < 0 || !entry ||
	       entry->modified_us / 1000000 <= unmodified_us / 1000000;
}

static void check_on_found(void *arg, int error, const struct tree_entry *entry)
{
	struct dav_check *check = arg;

	check->pending = NULL;
	if (error && error != -ENOENT) {
		http_tree_answer_error(check->request, error);
		return;
	}
	if (!error && entry->kind == TREE_FILE && http_tree_wants_collection(check->request)) {
		http_tree_answer_error(check->request, -ENOENT);
		return;
	}
	if (!error) {
		check->entry = xmalloc(sizeof(*check->entry));
		*check->entry = *entry;
		check->entry->name = strrchr(check->entry->path, '/') + 1;
		check->entry->segment = NULL; /* of the answer, which is over soon */
		check->entry->properties = NULL;
		check->entry->n_properties = 0;
	}
	if (!conditions_hold(check))
		http_answer_error(check->request, 412, "it is not what it was thought to be");
	else if (check->lists)
		check_go_on(check);
	else
		check->on_checked(check, check->entry);
}

void dav_check_start(struct dav_check *check,
	void (*on_checked)(struct dav_check *check, const struct tree_entry *entry))
{
	check->on_checked = on_checked;
	check->pending = tree_find(dav_get_tree(), check->path, check->user, check_on_found, check);
	if (!check->pending)
		http_tree_answer_error(check->request, -EAGAIN);
}
