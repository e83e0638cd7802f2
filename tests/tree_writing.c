#include "tests/tree_writing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "storage/locks.h"
#include "tests/reactor_until.h"

struct tree *tree;

static void open_tree(void)
{
	tree = tree_new(catalogue, volume);
	REACTOR_UNTIL(locks_are_known(tree_locks(tree)));
}

int set_up(void **state)
{
	(void)state;
	store_open(1000000);
	open_tree();
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	tree_free(tree);
	store_close();
	metrics_fini();
	return 0;
}

void reopen_tree(void)
{
	tree_free(tree);
	open_tree();
}

/* --- writing --- */

static void on_begun(void *arg)
{
	((struct writing *)arg)->begun = true;
}

static void on_drained(void *arg)
{
	((struct writing *)arg)->drained = true;
}

static void on_end(void *arg, int error, bool created, const struct tree_entry *entry)
{
	struct writing *w = arg;

	w->ended = true;
	w->error = error;
	w->created = created;
	(void)snprintf(w->etag, sizeof(w->etag), "%s", entry ? entry->etag : "");
}

static const struct tree_put_events put_events = { on_begun, on_drained, on_end };

struct writing begin_after(const char *path, uint64_t keep, struct writing *w)
{
	int error = 0;

	*w = (struct writing){ 0 };
	w->put = tree_put(tree, path, 0, keep, NULL, &put_events, w, &error);
	if (!w->put) {
		w->ended = true;
		w->error = error;
	}
	REACTOR_UNTIL(w->begun || w->ended);
	return *w;
}

struct writing begin(const char *path, struct writing *w)
{
	return begin_after(path, 0, w);
}

bool add(struct writing *w, const char *text)
{
	struct evbuffer *data = evbuffer_new();
	bool goes_on;

	(void)evbuffer_add(data, text, strlen(text));
	goes_on = tree_put_write(w->put, data);
	assert_int_equal(evbuffer_get_length(data), 0);
	evbuffer_free(data);
	return goes_on;
}

int commit(struct writing *w, const char *etag)
{
	tree_put_commit(w->put, etag);
	REACTOR_UNTIL(w->ended);
	return w->error;
}

int write_file(const char *path, const char *text)
{
	struct writing w;

	(void)begin(path, &w);
	if (w.ended)
		return w.error;
	(void)add(&w, text);
	return commit(&w, NULL);
}

/* --- the disk --- */

char *on_disk(const char *path)
{
	return xasprintf("%s%s", folder, path);
}

void expect_no_parts(const char *path)
{
	char *command = xasprintf("test -z \"$(find '%s%s' -name '.nvrd-part-*')\"", folder, path);

	REACTOR_UNTIL(system(command) == 0); // NOLINT(cert-env33-c): our own words
	free(command);
}
